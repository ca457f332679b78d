"""Find a text in any value, and what remains of a value that contained it."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from typing import Any, Literal
from uuid import UUID

from regraft.domain.errors import UsageError
from regraft.domain.ids import canonical_json, parse_json
from regraft.domain.lineage.tombstone import ERASED, SHOWN

Kind = Literal["session", "node", "scope", "matching"]
KINDS: tuple[Kind, ...] = ("session", "node", "scope", "matching")

SHORTEST_TEXT = 4  # characters; shorter texts occur in most messages
_DEEPEST = 6  # JSON in a string in JSON, so many times: what a tool's arguments hold is at most three deep
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_SHORT = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_KEPT_IDENTITY = ("purpose", "replay_node", "parent_node")


def check_text(text: str) -> str:
    """The text to erase. Raises UsageError for one that is too short to name anything."""
    if len(text.strip()) < SHORTEST_TEXT:
        raise UsageError(f"The text to erase must have at least {SHORTEST_TEXT} characters.")
    return text


class TextFinder:
    """Finds a text within other texts, either as it is or escaped as JSON any number of times.

    Linear in the length of what is looked through.
    """

    def __init__(self, text: str) -> None:
        self.text = check_text(text)
        self._composed = unicodedata.normalize("NFC", text)
        self._plain = text.isascii()

    def __call__(self, held: str) -> bool:
        for _ in range(_DEEPEST):
            if self._in(held):
                return True
            if "\\" not in held:
                return False
            held = _unescaped(held)
        return self._in(held)

    def _in(self, held: str) -> bool:
        if self.text in held:
            return True
        return not self._plain and self._composed in unicodedata.normalize("NFC", held)


def _unescaped(text: str) -> str:
    found = _ESCAPE.sub(_meant, text)
    if "\\u" not in text:
        return found
    # Two escapes may be the halves of one character.
    return found.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _meant(escape: re.Match[str]) -> str:
    said = escape[1]
    return chr(int(said[1:], 16)) if len(said) == 5 else _SHORT.get(said, said)


def blanked(value: Any, holds: TextFinder) -> Any:
    """A JSON value in which each text that contains the erased text is replaced; its structure stays."""
    if isinstance(value, str):
        return _blanked_text(value, holds) if holds(value) else value
    if isinstance(value, Mapping):
        return {(SHOWN if holds(name) else name): blanked(item, holds) for name, item in value.items()}
    if isinstance(value, list):
        return [blanked(item, holds) for item in value]
    return value


def _blanked_text(text: str, holds: TextFinder) -> str:
    """JSON in a string stays JSON: what reads it finds the rest."""
    if text[:1] not in "{[":
        return SHOWN
    try:
        inner = parse_json(text)
    except ValueError:
        return SHOWN
    rest = canonical_json(blanked(inner, holds))
    return SHOWN if holds(rest) else rest


def identity_tombstone(identity: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of a call's identity: its purpose, the ids that it named, and its replay job."""
    kept: dict[str, Any] = {name: identity[name] for name in _KEPT_IDENTITY if name in identity}
    if not re.fullmatch(r"[a-z_:-]{1,40}", str(kept.get("purpose", "chat"))):
        kept["purpose"] = "chat"
    for name in ("replay_node", "parent_node", "session"):
        said = identity.get(name)
        if not isinstance(said, str) or not _is_id(said.removeprefix("regraft:")):
            kept.pop(name, None)
        else:
            kept[name] = said
    if fingerprint := _fingerprint(identity.get("variant")):
        kept["variant"] = json.dumps({"fingerprint": fingerprint})
    return {**kept, ERASED: "identity"}


def _is_id(text: str) -> bool:
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False


def _fingerprint(variant: Any) -> str | None:
    try:
        said = parse_json(variant)["fingerprint"] if isinstance(variant, str) else None
    except (ValueError, TypeError, KeyError):
        return None
    return said if isinstance(said, str) and re.fullmatch(r"[0-9a-f]{16,64}", said) else None


def hollow(value: Any) -> Any:
    """A JSON value of the same structure without its texts, except ids."""
    if isinstance(value, str):
        return value if _is_id(value) else SHOWN
    if isinstance(value, Mapping):
        return {name: hollow(item) for name, item in value.items()}
    if isinstance(value, list):
        return [hollow(item) for item in value]
    return value
