"""The records of a JSON file of any size, one at a time: lines, the elements of an array, or one object in pieces.

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
from regraft.domain.ids import Number, parse_json

LARGE_MEMBERS = frozenset({"samples", "simulations", "resourceSpans", "resourceLogs"})
_LONGEST = 1 << 29  # characters of one record
_SPREAD = 1_000_000  # positions that a line of many elements has to itself
_BLANK = re.compile(r"[ \t\r\n]*")


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
    if first == "[":
        yield from _elements(text, {}, "", 0)
    elif first == "{":
        yield from _object_or_lines(text)
    elif first:
        raise UsageError("The file is neither JSON nor JSON lines.")


class _Text:
    """Text that arrives in pieces, with a place in it."""

    def __init__(self, chunks: Iterable[str]) -> None:
        self._chunks = iter(chunks)
        self.buffer = ""
        self.at = 0
        self.ended = False

    def more(self) -> bool:
        """Read on: at least as much as is held, so that trying again costs no more than reading did."""
        if self.ended:
            return False
        wanted = max(len(self.buffer) - self.at, 1 << 16)
        if wanted > _LONGEST:
            raise UsageError(f"One record of the file is longer than {_LONGEST} characters, or its JSON is broken.")
        pieces = [self.buffer[self.at :]]
        while wanted > 0:
            piece = next(self._chunks, None)
            if piece is None:
                self.ended = True
                break
            pieces.append(piece)
            wanted -= len(piece)
        self.buffer, self.at = "".join(pieces), 0
        return True

    def peek(self) -> str:
        """The next character that is no blank; empty at the end."""
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

    def take(self, expected: str) -> None:
        """Step over one character."""
        if self.peek() != expected:
            raise UsageError(f"The file is not JSON: {expected!r} expected, {self.peek()!r} found.")
        self.at += 1

    def value(self) -> Any:
        """The next JSON value."""
        self.peek()
        while True:
            try:
                value, end = _decode(self.buffer, self.at)
            except ValueError as error:
                if not self.more():
                    raise UsageError(f"The file is not JSON: {error}") from error
                continue
            if end == len(self.buffer) and not self.ended and not isinstance(value, dict | list | str):
                self.more()  # a number may go on
                continue
            self.at = end
            return value

    def line(self) -> str | None:
        """The rest of this line; None at the end."""
        start = self.at
        while (end := self.buffer.find("\n", start)) < 0:
            start = len(self.buffer) - self.at
            if not self.more():
                rest = self.buffer[self.at :]
                self.at = len(self.buffer)
                return rest or None
        line = self.buffer[self.at : end]
        self.at = end + 1
        return line


def _not_a_number(constant: str) -> Any:
    return None  # evaluation logs write NaN for a figure that came to nothing; a message holds none


_DECODER = json.JSONDecoder(parse_float=Number, parse_constant=_not_a_number)


def _decode(text: str, at: int) -> tuple[Any, int]:
    try:
        return _DECODER.raw_decode(text, at)
    except RecursionError as error:
        raise UsageError("The file's JSON is nested too deeply.") from error


def _elements(text: _Text, head: dict[str, Any], member: str, position: int) -> Iterator[JsonRecord]:
    text.take("[")
    while text.peek() != "]":
        yield JsonRecord(position, text.value(), head, member)
        position += 1
        if text.peek() == ",":
            text.take(",")
    text.take("]")


def _object_or_lines(text: _Text) -> Iterator[JsonRecord | UnreadableLine]:
    """One object; more text after it means that it was the first line."""
    yield from _members(text)
    if text.peek():
        yield from _lines(text)


def _lines(text: _Text) -> Iterator[JsonRecord | UnreadableLine]:
    position = 0
    while (line := text.line()) is not None:
        if not line.strip():
            continue
        position += 1
        try:
            value = parse_json(line)
        except ValueError as error:
            yield UnreadableLine(position, f"not JSON: {str(error).split(':')[0]}")
            continue
        large = next(
            (name for name in LARGE_MEMBERS if isinstance(value, dict) and isinstance(value.get(name), list)), None
        )
        if large is None:
            yield JsonRecord(position, value)
        else:
            elements = value.pop(large)
            for at, element in enumerate(elements):
                yield JsonRecord(position * _SPREAD + at, element, value, large)


def _members(text: _Text) -> Iterator[JsonRecord]:
    """One object: its large member in pieces; without one, the object itself."""
    head: dict[str, Any] = {}
    pieces = False
    text.take("{")
    while text.peek() != "}":
        name = text.value()
        text.take(":")
        if name in LARGE_MEMBERS and text.peek() == "[":
            pieces = True
            yield from _elements(text, head, name, 0)
        else:
            head[name] = text.value()
        if text.peek() == ",":
            text.take(",")
    text.take("}")
    if not pieces:
        yield JsonRecord(0, head)
