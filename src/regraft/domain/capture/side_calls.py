"""Calls that a client makes for itself: titles, tags, follow-up questions, quota checks, topic detection.

They are told by rules, which are data (``side_calls.toml``, and a config's): literal texts only, looked for in the
beginning and the end of what was said, so that reading a call is linear in its length.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from regraft.domain.capture.request import Request

SIDE = "side"
_PREFIX = "side:"
_HEAD, _TAIL = 16_000, 4_000  # characters of a text that are searched, from its beginning and its end
_SYSTEM = ("system", "developer")


@dataclass(frozen=True, slots=True, kw_only=True)
class SideCallRule:
    """All conditions that are given must hold. Texts are compared without regard to case.

    ``*_starts`` and ``user_is``: any of these texts begins, or is, one part of what the system prompt or the last
    message, if it is the user's, says. ``*_has``: any of these lists, of which every text must occur. ``user_lacks``:
    none of these may occur. ``max_tokens`` and ``messages``: at most so many, system prompts not counted. ``models``
    and ``headers`` are globs. ``tools``: whether tools were offered.
    """

    name: str
    purpose: str
    system_starts: tuple[str, ...] = ()
    system_has: tuple[tuple[str, ...], ...] = ()
    user_is: tuple[str, ...] = ()
    user_starts: tuple[str, ...] = ()
    user_has: tuple[tuple[str, ...], ...] = ()
    user_lacks: tuple[str, ...] = ()
    max_tokens: int | None = None
    messages: int | None = None
    tools: bool | None = None
    models: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class _Said:
    """What of a call the rules look at, read once."""

    system: list[str] = field(default_factory=list)
    user: list[str] = field(default_factory=list)
    messages: int = 0


def side_purpose(rules: Sequence[SideCallRule], headers: Mapping[str, str], request: Request) -> str | None:
    """``side:PURPOSE`` of the first rule that the call meets; None: it is part of a conversation."""
    if not rules or not request.messages:
        return None
    said = _read(request)
    for rule in rules:
        if _meets(rule, said, headers, request):
            return _PREFIX + rule.purpose
    return None


def is_side_call(purpose: str) -> bool:
    """Whether a stored purpose is one that a rule gave."""
    return purpose.startswith(_PREFIX)


def _meets(rule: SideCallRule, said: _Said, headers: Mapping[str, str], request: Request) -> bool:
    if rule.messages is not None and said.messages > rule.messages:  # the cheap conditions first: most calls meet none
        return False
    if rule.user_is and not (said.user and said.user[-1].strip() in rule.user_is):
        return False
    if rule.user_starts and not _starts(said.user, rule.user_starts):
        return False
    if rule.system_starts and not _starts(said.system, rule.system_starts):
        return False
    if rule.user_has and not _has(said.user, rule.user_has):
        return False
    if rule.system_has and not _has(said.system, rule.system_has):
        return False
    return (
        (rule.max_tokens is None or _at_most(request, rule.max_tokens))
        and (rule.tools is None or rule.tools == bool(request.tools.get("tools") or request.tools.get("functions")))
        and (not rule.models or any(fnmatchcase(request.model, glob) for glob in rule.models))
        and all(fnmatchcase(headers.get(name.lower(), ""), glob) for name, glob in rule.headers)
        and not any(text in part for text in rule.user_lacks for part in said.user)
    )


def _starts(parts: Sequence[str], texts: tuple[str, ...]) -> bool:
    return any(part.lstrip().startswith(texts) for part in parts)


def _has(parts: Sequence[str], wanted: Sequence[tuple[str, ...]]) -> bool:
    if not parts:
        return False
    whole = parts[0] if len(parts) == 1 else "\n".join(parts)
    for texts in wanted:
        for text in texts:
            if text not in whole:
                break
        else:
            return True
    return False


def _at_most(request: Request, most: int) -> bool:
    limits = [request.sampling.get(name) for name in ("max_tokens", "max_completion_tokens", "max_output_tokens")]
    given = [each for each in limits if isinstance(each, int) and not isinstance(each, bool)]
    return bool(given) and min(given) <= most


def _read(request: Request) -> _Said:
    said = _Said()
    messages = request.messages
    count = len(messages)
    place = 0
    while place < count:
        role, parts = _message(messages[place])
        if role not in _SYSTEM:
            break
        said.system += parts
        place += 1
    said.messages = count - place
    if said.messages:
        role, parts = _message(messages[count - 1])
        if role == "user":
            said.user = parts
    return said


def _message(message: Any) -> tuple[str, list[str]]:
    if not isinstance(message, Mapping):
        return "", []
    role, content = message.get("role"), message.get("content")
    texts: list[Any] = [content]
    if isinstance(content, list):
        texts = [part.get("text") if isinstance(part, Mapping) else part for part in content]
    return role if isinstance(role, str) else "", [_searched(text) for text in texts if isinstance(text, str)]


def _searched(text: str) -> str:
    if len(text) > _HEAD + _TAIL:
        text = f"{text[:_HEAD]}\n{text[-_TAIL:]}"
    return text.lower()
