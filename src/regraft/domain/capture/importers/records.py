"""The records of a JSON file of any size, one at a time: lines, the elements of an array, or one object in pieces.

A record that is not JSON, not UTF-8, nested too deeply or too long, and a truncated last line are reported with their
positions, and the others are read. A record has a limit in characters and in values, so that no file takes much memory.

A file of one object is read as a *head* (its small members) and the elements of its one large member, which the
importers name: ``samples`` of an evaluation log, ``simulations`` of a run, ``resourceSpans`` of a trace.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from regraft.domain.errors import UsageError
from regraft.domain.ids import TOO_DEEP, Number, parse_json

LARGE_MEMBERS = frozenset({"samples", "simulations", "resourceSpans", "resourceLogs"})
_LONGEST = 1 << 25  # characters of one record
_MOST_VALUES = 4_000_000  # of one record; each takes some tens of bytes when it is read
_COUNTED = 1 << 22  # characters from which on values are counted
_LOOKED_AT = 1 << 20  # characters in which the form of a file is searched for
_SPREAD = 1_000_000  # positions that a line of many elements has to itself
_BLANK = re.compile(r"[ \t\r\n]*")
_BRACKET = re.compile(r'[\[\]{}"]')
_QUOTE = re.compile(r'["\\]')
NOT_UTF8 = "a record that is not UTF-8"
CUT_SHORT = "a line that was cut short at the end of the file"


@dataclass(frozen=True, slots=True)
class JsonRecord:
    """One JSON value of a file, by its position from 0. ``head`` holds the members of the object that it lies in, and
    ``member`` their name for it."""

    position: int
    value: Any
    head: dict[str, Any] = field(default_factory=dict)
    member: str = ""


@dataclass(frozen=True, slots=True)
class UnreadableLine:
    """A line that is not JSON."""

    position: int
    reason: str


def records(chunks: Iterable[str]) -> Iterator[JsonRecord | UnreadableLine]:
    """Read a file from pieces of its text. Memory is bounded by its largest record.

    Raises UsageError when the file is neither JSON nor JSON lines.
    """
    text = _Text(chunks)
    first = text.peek()
    if first and _is_lines(text):
        yield from _lines(text, 0)
    elif first == "[":
        yield from _elements(text, {}, "", 0)
        if text.peek():
            raise UsageError("The file continues after its array; the rest was not read.")
    elif first == "{":
        yield from _object_or_lines(text)
    elif first:
        raise UsageError("The file is neither JSON nor JSON lines.")


def _is_lines(text: _Text) -> bool:
    """Whether each line is a separate value, as the first lines show; the first of them may be broken.

    No JSON text that is spread over lines has two whole objects in neighbouring lines, with nothing between them.
    """
    lines = text.next_lines(3)
    if len(lines) < 2:
        return False
    if _is_value(lines[0]):
        return True
    return _is_value(lines[1]) and lines[1].startswith("{") and (len(lines) == 2 or _is_value(lines[2]))


def _is_value(line: str) -> bool:
    try:
        parse_json(line)
    except ValueError as error:
        return str(error) == TOO_DEEP
    return True


@dataclass(frozen=True, slots=True)
class _Broken:
    """A value that could not be read, and was stepped over."""

    reason: str


def _has_stray_bytes(text: str) -> bool:
    """Whether bytes that are not UTF-8 are in a text, which are read as lone surrogates."""
    if text.isascii():
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


class _Text:
    """Text that arrives in pieces, with a place in it. ``odd``: bytes that are not UTF-8 were in a piece."""

    def __init__(self, chunks: Iterable[str]) -> None:
        self._chunks = iter(chunks)
        self.buffer = ""
        self.at = 0
        self.ended = False
        self.odd = False

    def more(self) -> bool:
        """Read on: at least as much as is held, so that trying again costs no more than reading did."""
        if self.ended:
            return False
        wanted = max(len(self.buffer) - self.at, 1 << 16)
        if wanted > 2 * _LONGEST:
            raise UsageError(f"One record of the file is longer than {_LONGEST} characters, or its JSON is broken.")
        pieces = [self.buffer[self.at :]]
        while wanted > 0:
            piece = next(self._chunks, None)
            if piece is None:
                self.ended = True
                break
            pieces.append(piece)
            wanted -= len(piece)
            self.odd = self.odd or _has_stray_bytes(piece)
        self.buffer, self.at = "".join(pieces), 0
        return True

    def peek(self) -> str:
        """The next character that is not a blank; empty at the end."""
        while True:
            match = _BLANK.match(self.buffer, self.at)
            self.at = match.end() if match else self.at
            if self.at < len(self.buffer):
                if self.buffer[self.at] == "\ufeff" and self.at == 0:
                    self.at = 1
                    continue
                return self.buffer[self.at]
            if not self.more():
                return ""

    def next_lines(self, count: int) -> list[str]:
        """The next lines that are not blank, or fewer where the file ends before; none where they are too long."""
        while True:
            found: list[str] = []
            start = self.at
            while len(found) < count:
                end = self.buffer.find("\n", start)
                if end < 0:
                    break
                if line := self.buffer[start:end].strip(" \t\r\ufeff"):
                    found.append(line)
                start = end + 1
            if len(found) == count:
                return found
            if len(self.buffer) - self.at > _LOOKED_AT:
                return []
            if not self.more():
                last = self.buffer[start:].strip(" \t\r\n\ufeff")
                return [*found, last] if last else found

    def skip(self) -> None:
        """Step over the next value, however deeply it is nested."""
        depth = 0
        while True:
            match = _BRACKET.search(self.buffer, self.at)
            if match is None:
                self.at = len(self.buffer)
                if not self.more():
                    raise UsageError(_ENDS)
                continue
            self.at = match.end()
            if match[0] == '"':
                self._skip_text()
            else:
                depth += 1 if match[0] in "[{" else -1
            if depth <= 0:
                return

    def _skip_text(self) -> None:
        while True:
            match = _QUOTE.search(self.buffer, self.at)
            if match is None:
                self.at = len(self.buffer)
            elif match[0] == '"':
                self.at = match.end()
                return
            elif match.end() < len(self.buffer):
                self.at = match.end() + 1
                continue
            else:
                self.at = match.start()
            if not self.more():
                raise UsageError(_ENDS)

    def take(self, expected: str) -> None:
        """Step over one character."""
        if not self.peek():
            raise UsageError(_ENDS)
        if self.peek() != expected:
            raise UsageError(f"The file is not JSON: {expected!r} expected, {self.peek()!r} found.")
        self.at += 1

    def value(self) -> Any:
        """The next JSON value, or a ``_Broken`` one."""
        self.peek()
        while True:
            try:
                value, end = _DECODER.raw_decode(self.buffer, self.at)
            except RecursionError:
                self.skip()
                return _Broken(TOO_DEEP)
            except ValueError as error:
                if isinstance(error, json.JSONDecodeError) and _is_malformed(error, self.buffer):
                    self.skip()
                    return _Broken(_not_json(error))
                if not self.more():
                    ends = isinstance(error, json.JSONDecodeError) and _is_cut(error, self.buffer)
                    raise UsageError(_ENDS if ends else f"The file is not JSON: {error}") from error
                if _has_too_many_values(self.buffer):  # it is all of one record: no more is read than that needs
                    raise UsageError(_TOO_MANY) from error
                continue
            if end == len(self.buffer) and not self.ended and not isinstance(value, dict | list | str):
                self.more()  # a number may continue
                continue
            start, self.at = self.at, end
            return _Broken(NOT_UTF8) if self.odd and _has_stray_bytes(self.buffer[start:end]) else value

    def line(self) -> str | _Broken | None:
        """The rest of this line, with its end where it has one; None at the end."""
        start = self.at
        too_long = False
        while (end := self.buffer.find("\n", start)) < 0:
            if len(self.buffer) - self.at > _LONGEST:
                too_long, self.at = True, len(self.buffer)
            start = len(self.buffer) - self.at
            if not self.more():
                end = len(self.buffer) - 1
                break
        line = self.buffer[self.at : end + 1]
        self.at = end + 1
        if too_long or len(line) > _LONGEST:
            return _Broken(f"a record longer than {_LONGEST} characters")
        return _Broken(NOT_UTF8) if self.odd and _has_stray_bytes(line) else line or None


def _not_a_number(constant: str) -> Any:
    return None  # evaluation logs write NaN for a figure that came to nothing; a message holds none


_DECODER = json.JSONDecoder(parse_float=Number, parse_constant=_not_a_number)
_MARGIN = 16  # characters at the end of what was read in which an error may be a token that continues
_ENDS = "The file ends in the middle of a record: it was cut short. What is before it was read."
_TOO_MANY = f"One record of the file holds more than {_MOST_VALUES} values."


def _is_malformed(error: json.JSONDecodeError, text: str) -> bool:
    """Whether no more text can make it JSON: the error lies well before the end of what was read."""
    return error.pos + _MARGIN < len(text) and not error.msg.startswith("Unterminated string")


def _not_json(error: ValueError) -> str:
    return f"not JSON: {str(error).split(':')[0]}"


def _is_cut(error: json.JSONDecodeError, text: str) -> bool:
    """Whether text ends where more was expected, or within a string."""
    return error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string")


def _has_too_many_values(text: str) -> bool:
    return len(text) >= _COUNTED and sum(map(text.count, ("[", "{", ","))) > _MOST_VALUES


def _elements(text: _Text, head: dict[str, Any], member: str, position: int) -> Iterator[JsonRecord | UnreadableLine]:
    text.take("[")
    while text.peek() != "]":
        value = text.value()
        broken = isinstance(value, _Broken)
        yield UnreadableLine(position, value.reason) if broken else JsonRecord(position, value, head, member)
        position += 1
        if text.peek() == ",":
            text.take(",")
    text.take("]")


def _object_or_lines(text: _Text) -> Iterator[JsonRecord | UnreadableLine]:
    """One object; more text after it means that it was the first line."""
    yield from _members(text)
    if text.peek():
        yield from _lines(text, 1)


def _lines(text: _Text, first: int) -> Iterator[JsonRecord | UnreadableLine]:
    """The lines from here on, counted from ``first``."""
    position = first - 1
    while (line := text.line()) is not None:
        if isinstance(line, str) and not line.strip(" \t\r\n\ufeff"):
            continue
        position += 1
        if isinstance(line, _Broken):
            yield UnreadableLine(position, line.reason)
            continue
        if _has_too_many_values(line):
            yield UnreadableLine(position, "a record with too many values")
            continue
        try:
            value = parse_json(line.removeprefix("\ufeff"))
        except ValueError as error:
            cut = not line.endswith("\n") and isinstance(error, json.JSONDecodeError) and _is_cut(error, line)
            yield UnreadableLine(position, CUT_SHORT if cut else _not_json(error))
            continue
        yield from _line_records(position, value)


def _line_records(position: int, value: Any) -> Iterator[JsonRecord]:
    """The elements of a line's large members; the line itself where it has none, or none with an element."""
    large = [name for name in value if name in LARGE_MEMBERS] if isinstance(value, dict) else []
    large = [name for name in large if isinstance(value[name], list)]
    if not any(value[name] for name in large):
        yield JsonRecord(position, value)
        return
    head = {name: held for name, held in value.items() if name not in large}
    elements = ((name, element) for name in large for element in value[name])
    for at, (name, element) in enumerate(elements):
        yield JsonRecord(position * _SPREAD + at, element, head, name)


def _members(text: _Text) -> Iterator[JsonRecord | UnreadableLine]:
    """One object: its large members in pieces; without an element in them, the object itself."""
    head: dict[str, Any] = {}
    count = 0
    text.take("{")
    while text.peek() != "}":
        name = text.value()
        if not isinstance(name, str):
            raise UsageError("The file is not JSON: a member without a name.")
        text.take(":")
        if name in LARGE_MEMBERS and text.peek() == "[":
            before = count
            for element in _elements(text, head, name, count):
                count += 1
                yield element
            if count == before:
                head[name] = []
        else:
            head[name] = text.value()
            if isinstance(head[name], _Broken):
                raise UsageError(f"The file's member {name!r} cannot be read: {head[name].reason}.")
        if text.peek() == ",":
            text.take(",")
    text.take("}")
    if not count:
        yield JsonRecord(0, head)
