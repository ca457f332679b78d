"""The positions of values in JSON text, so that one can be replaced without changing any other byte."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator

Path = tuple[str | int, ...]
Span = tuple[Path, int, int]

_TOKEN = re.compile(rb'[ \t\r\n]*("[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\],:]|[^\s{}\[\],:"]+)', re.DOTALL)


def spans(text: bytes) -> Iterator[Span]:
    """Every value with its path (names and positions) and its bounds, an outer one after its inner ones.

    Raises ValueError when ``text`` is not JSON. A name that comes twice is given twice.
    """
    try:
        json.loads(text)  # from here on the text is known to be well formed
    except RecursionError as error:
        raise ValueError("JSON is nested too deeply") from error
    path: list[str | int] = []
    opened: list[int] = []
    in_object: list[bool] = []
    position, name_next = 0, False
    while (token := _TOKEN.match(text, position)) is not None:
        start, position = token.span(1)
        first = text[start]
        if first in b"{[":
            opened.append(start)
            in_object.append(first == 0x7B)
            path.append("" if in_object[-1] else 0)
            name_next = in_object[-1]
        elif first in b"}]":
            path.pop()
            in_object.pop()
            yield tuple(path), opened.pop(), position
            name_next = False
        elif first == 0x2C:  # ,
            name_next = in_object[-1]
            if not name_next:
                path[-1] += 1  # type: ignore[operator]
        elif first == 0x3A:  # :
            name_next = False
        elif name_next:
            path[-1] = json.loads(text[start:position])
        else:
            yield tuple(path), start, position


def replaced(text: bytes, change: Callable[[Path, bytes], bytes | None]) -> bytes:
    """The text with some values replaced: ``change`` gets each path and value, and gives None for "leave it".

    Raises ValueError when ``text`` is not JSON. A replaced value's inner values do not matter any more.
    """
    edits: list[tuple[int, int, bytes]] = []
    for path, start, end in spans(text):
        new = change(path, text[start:end])
        if new is not None:
            while edits and edits[-1][0] >= start:
                edits.pop()
            edits.append((start, end, new))
    parts, position = [], 0
    for start, end, new in edits:
        parts += [text[position:start], new]
        position = end
    return b"".join([*parts, text[position:]])


def with_model(body: bytes, model: str) -> bytes:
    """The request body with another model name, and nothing else changed. Raises ValueError when it is not JSON."""
    name = json.dumps(model).encode()
    return replaced(body, lambda path, _: name if path == ("model",) else None)
