"""Redaction of rows: what was found in their texts becomes placeholders that are stable under a key.

Calls and tool lists stay JSON: only texts in them are replaced. A row is refused where that is not enough, because a
number, the name of a field or of a tool would have to be replaced.
"""

from __future__ import annotations

import hmac
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from regraft.domain.datasets.content import LISTS
from regraft.domain.datasets.messages import Message, RowRefusal
from regraft.domain.datasets.rows import Row
from regraft.domain.datasets.secrets import Finding, is_secret_name
from regraft.domain.ids import digest, parse_json

Find = Callable[[str], Iterable[Finding]]

PERSON = "PERSON"
_PLACEHOLDER = re.compile(r"<[A-Z_]{2,20}_[0-9a-f]{8}>")
_JSON_ITEM = re.compile(r'("[^"\\]*(?:\\.[^"\\]*)*")(\s*:)?|(-?\d[-+.\deE]*)')
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_WORD = re.compile(r"\w+")
_LONGEST_NAME = 5  # words
_SHORTEST_SECRET = 4  # characters of a value whose field says that it is a secret
# Fields of a tool list whose texts are names that calls and schemas refer to.
_STRUCTURE = frozenset({"name", "type", "$ref", "$schema", "$id", "format", "pattern", "required", "strict"})


class _BreaksCallError(Exception):
    """A replacement would break a call or a tool list; the message says where."""


class Redaction:
    """``find`` finds what is replaced in texts, ``find_in_names`` what must not be in names and numbers: it knows forms
    only, and takes no name of a tool for that of a person. With ``hide_names`` the names of users are replaced."""

    def __init__(self, key: bytes, find: Find, find_in_names: Find, *, hide_names: bool) -> None:
        self._key = key
        self._find = find
        self._find_in_names = find_in_names
        self._hide_names = hide_names

    def row(self, row: Row) -> tuple[Row, Counter[str]] | RowRefusal:
        """The redacted row, and what was replaced by kind; or why it cannot be redacted."""
        try:
            persons = _Persons()
            found: dict[str, list[Finding]] = {}
            self._through(row, lambda text: self._collect(text, found, persons))
            counts: Counter[str] = Counter()

            def redacted(text: str) -> str:
                findings = found[text] if text in found else list(self._find(text))
                return self._replace(text, [*findings, *persons.find(text)], counts)

            return self._through(row, redacted), counts
        except _BreaksCallError as error:
            return RowRefusal("redaction_breaks_call", str(error))

    def _through(self, row: Row, change: Callable[[str], str]) -> Row:
        changed: dict[str, Any] = {}
        for name in LISTS:
            before = getattr(row, name)
            after = tuple(self._message(message, change) for message in before)
            if after != before:
                changed[name] = after
        if row.tools:
            tools = self._json(row.tools, change, _STRUCTURE, "a tool list")
            if tools != row.tools:
                changed |= {"tools": tools, "tools_digest": digest(tools.encode()).hex()}
        for name in ("evidence", "stratum"):
            changed[name] = self._name(getattr(row, name))
        return replace(row, **changed)

    def _message(self, message: Message, change: Callable[[str], str]) -> Message:
        said: Message = {key: change(message[key]) for key in ("content", "reasoning") if message[key]}
        if message["parts"]:
            said["parts"] = [change(part) for part in message["parts"]]
        if message["name"]:
            said["name"] = self._message_name(message)
        if message["tool_call_id"]:
            said["tool_call_id"] = self._name(message["tool_call_id"])
        if message["tool_calls"]:
            said["tool_calls"] = [self._call(call, change) for call in message["tool_calls"]]
        return {**message, **said}

    def _message_name(self, message: Message) -> str:
        name: str = message["name"]
        if message["role"] == "tool":
            self._refuse_in(name, "the name of a tool")
        elif message["role"] == "user" and self._hide_names and not _PLACEHOLDER.fullmatch(name):
            return self._placeholder(PERSON, name)
        return self._name(name)

    def _call(self, call: dict[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
        function = call["function"]
        self._refuse_in(function["name"], "the name of a tool")
        arguments = self._json(function["arguments"], change, frozenset(), "the arguments of a call")
        identity = self._name(call["id"]) if call["id"] else call["id"]
        return {**call, "id": identity, "function": {**function, "arguments": arguments}}

    def _json(self, text: str, change: Callable[[str], str], structure: frozenset[str], place: str) -> str:
        """JSON text with its texts replaced, and every other character as it was."""
        try:
            parse_json(text, non_finite=True)
        except ValueError:
            unescaped = _ESCAPE.sub(lambda match: chr(int(match[1], 16)) if match[1] else match[2], text)
            if change(text) != text or change(unescaped) != unescaped:
                raise _BreaksCallError(f"{place} are not JSON and hold what is to be replaced") from None
            return text
        made: list[str] = []
        end = 0
        field = ""
        for item in _JSON_ITEM.finditer(text):
            literal, is_key, number = item.groups()
            if number is not None:
                self._refuse_in(number, f"a number in {place}")
                if is_secret_name(field) and len(number) >= _SHORTEST_SECRET:
                    raise _BreaksCallError(f"a secret in {place} is a number")
                continue
            said = json.loads(literal, strict=False)
            if is_key:
                field = said
            if is_key or field in structure:
                self._refuse_in(said, f"a name in {place}")
                continue
            after = self._secret(said, change) if is_secret_name(field) else change(said)
            if after != said:
                made += (text[end : item.start(1)], json.dumps(after, ensure_ascii=not _is_unicode(after)))
                end = item.end(1)
        return "".join((*made, text[end:]))

    def _secret(self, said: str, change: Callable[[str], str]) -> str:
        """A value whose field says that it is a secret."""
        changed = change(said)
        if changed != said or len(said.strip()) < _SHORTEST_SECRET or _PLACEHOLDER.fullmatch(said):
            return changed
        return self._placeholder("PASSWORD", said)

    def _refuse_in(self, name: str, place: str) -> None:
        if any(True for _ in self._find_in_names(name)):
            raise _BreaksCallError(f"{place} holds what is to be replaced")

    def _name(self, text: str) -> str:
        return self._replace(text, self._find_in_names(text), Counter()) if text else text

    def _collect(self, text: str, found: dict[str, list[Finding]], persons: _Persons) -> str:
        """Keep what is found in a text; the text as it is."""
        if text not in found:
            found[text] = list(self._find(text))
            for one in found[text]:
                if one.kind == PERSON:
                    persons.add(text[one.start : one.end])
        return text

    def _replace(self, text: str, findings: Iterable[Finding], counts: Counter[str]) -> str:
        """The text with placeholders for findings; of overlapping ones, the one that begins first and is longest
        replaces all that they cover."""
        found = sorted(findings, key=lambda one: (one.start, -one.end))
        if not found:
            return text
        taken = [match.span() for match in _PLACEHOLDER.finditer(text)]
        merged: list[Finding] = []
        for one in found:
            if merged and one.start < merged[-1].end:
                last = merged[-1]
                merged[-1] = Finding(last.kind, last.start, max(last.end, one.end))
            else:
                merged.append(one)
        made: list[str] = []
        end = place = 0
        for one in merged:
            while place < len(taken) and taken[place][1] <= one.start:
                place += 1
            if place < len(taken) and taken[place][0] < one.end:
                continue  # replaced before
            made += (text[end : one.start], self._placeholder(one.kind, text[one.start : one.end]))
            end = one.end
            counts[one.kind] += 1
        return "".join((*made, text[end:]))

    def _placeholder(self, kind: str, said: str) -> str:
        same = " ".join(said.split()).casefold() if kind == PERSON else said
        code = hmac.digest(self._key, f"{kind}\0{same}".encode("utf-8", "surrogatepass"), "sha256").hex()[:8]
        return f"<{kind}_{code}>"


class _Persons:
    """Names that were found somewhere in a row, to be found in the rest of it too."""

    def __init__(self) -> None:
        self._names: set[tuple[str, ...]] = set()
        self._lengths: set[int] = set()

    def add(self, name: str) -> None:
        said = tuple(_WORD.findall(name))
        if 0 < len(said) <= _LONGEST_NAME:
            self._names.add(said)
            self._lengths.add(len(said))

    def find(self, text: str) -> Iterable[Finding]:
        if not self._names:
            return
        said = list(_WORD.finditer(text))
        for number, first in enumerate(said):
            for length in self._lengths:
                run = said[number : number + length]
                if len(run) == length and tuple(word.group() for word in run) in self._names:
                    end = run[-1].end()
                    if end - first.start() <= sum(len(word.group()) for word in run) + 3 * length:
                        yield Finding(PERSON, first.start(), end)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def key_name(key: bytes) -> str:
    """What a certificate says of a key: enough to know it again, nothing to find it by."""
    return hmac.digest(key, b"the name of the key", "sha256").hex()[:16]


def total(counts: Mapping[str, int]) -> dict[str, int]:
    """Counts by kind, in the order of their names."""
    return dict(sorted(counts.items()))
