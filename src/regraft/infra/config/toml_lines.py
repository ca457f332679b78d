"""The lines of the keys in a TOML text, for messages about a key."""

from __future__ import annotations

import re
from collections.abc import Mapping

KeyPath = tuple[str | int, ...]

_KEY = re.compile(r"""\s*(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([A-Za-z0-9_-]+))\s*(\.|=|\]\]?|$)""")
_OPENING, _CLOSING = "[{", "]}"


def key_lines(text: str) -> dict[KeyPath, int]:
    """The line of each key and table of a TOML text, from 1, by its path; a table of an array is a number in the path.

    Linear in the length of the text. What is not TOML gives fewer keys, and no error.
    """
    found: dict[KeyPath, int] = {}
    counts: dict[KeyPath, int] = {}
    table: KeyPath = ()
    value = _Value()
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        if value.is_open:
            value.read(line)
            continue
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        array = stripped.startswith("[[")
        if stripped.startswith("["):
            keys, _ = _keys(stripped[2 if array else 1 :])
            table = _inside(keys, counts)
            if array and keys:
                counts[table] = counts.get(table, -1) + 1
                table = (*table, counts[table])
            found.setdefault(table, number)
            continue
        keys, rest = _keys(line)
        for length in range(1, len(keys) + 1):
            found.setdefault((*table, *keys[:length]), number)
        value.read(rest)
    return found


def line_of(path: KeyPath, lines: Mapping[KeyPath, int]) -> int | None:
    """The line of a key, or of the nearest table or key that holds it; None where none is in the text."""
    while path:
        if path in lines:
            return lines[path]
        path = path[:-1]
    return None


def _keys(text: str) -> tuple[tuple[str, ...], str]:
    """The dotted keys that a text begins with, and what follows their ``=`` or bracket."""
    keys: list[str] = []
    place = 0
    while match := _KEY.match(text, place):
        keys.append(next(one for one in match.groups()[:3] if one is not None))
        place = match.end()
        if match[4] != ".":
            break
    return tuple(keys), text[place:]


def _inside(keys: tuple[str, ...], counts: Mapping[KeyPath, int]) -> KeyPath:
    """The path of a table, through the last element of each array of tables on the way."""
    path: KeyPath = ()
    for position, key in enumerate(keys):
        path = (*path, key)
        if path in counts and position < len(keys) - 1:
            path = (*path, counts[path])
    return path


class _Value:
    """Reads on through the lines of a value until its strings and brackets are closed."""

    def __init__(self) -> None:
        self._quote = ""
        self._depth = 0

    @property
    def is_open(self) -> bool:
        return bool(self._quote) or self._depth > 0

    def read(self, line: str) -> None:
        place = 0
        while place < len(line):
            place = self._in_string(line, place) if self._quote else self._outside(line, place)
        if len(self._quote) == 1:
            self._quote = ""  # such a string ends with its line

    def _in_string(self, line: str, place: int) -> int:
        if line[place] == "\\" and self._quote[0] == '"':
            return place + 2
        if line.startswith(self._quote, place):
            place += len(self._quote)
            self._quote = ""
            return place
        return place + 1

    def _outside(self, line: str, place: int) -> int:
        mark = line[place]
        if mark == "#":
            return len(line)
        if mark in "\"'":
            self._quote = mark * 3 if line.startswith(mark * 3, place) else mark
            return place + len(self._quote)
        self._depth += (mark in _OPENING) - (mark in _CLOSING)
        return place + 1
