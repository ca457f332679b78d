"""Server-sent events (WHATWG HTML, 9.2.6), and the JSON objects in those of a model server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from regraft.domain.ids import parse_json

_LINE_END = re.compile(r"\r\n|\n|\r")


def named_events(text: str) -> Iterator[tuple[str, str]]:
    """The name and data of each event; comments and other fields are left out. An event that was cut off counts."""
    name, data = "", []
    for line in _LINE_END.split(text.removeprefix("\ufeff")):
        if line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))
        elif line.startswith("event:"):
            name = line[6:].strip()
        elif not line:
            if data:
                yield name, "\n".join(data)
            name, data = "", []
    if data:
        yield name, "\n".join(data)


def events(text: str) -> Iterator[str]:
    """The data of each event."""
    for _, data in named_events(text):
        yield data


_END = object()  # in the place of [DONE]


class EventReader:
    """Reads the chunks of a stream once. Afterwards: ``done`` says whether ``[DONE]`` came, ``error`` what the server
    reported, ``broken`` the events that hold part of an object."""

    def __init__(self) -> None:
        self.done = False
        self.error: Any = None
        self.broken: list[str] = []
        self._unread = 0

    def rest(self) -> dict[str, Any]:
        """How many events were not JSON, if any, to be kept with the answer."""
        return {"unread_events": self._unread} if self._unread else {}

    def chunks(self, text: str) -> Iterator[dict[str, Any]]:
        """The object of each event; of a list, each object in it. Errors are noted on the way."""
        for name, data in named_events(text):
            if data.strip() == "[DONE]":
                self.done = True
                continue
            for chunk in self._objects(data):
                if chunk.get("error"):
                    self.error = chunk["error"]
                elif chunk.get("object") == "error" or (name == "error" and chunk):
                    self.error = {key: value for key, value in chunk.items() if key not in ("type", "object")}
                yield chunk

    def _objects(self, data: str) -> Iterator[dict[str, Any]]:
        if not data.strip():
            return
        try:
            value = parse_json(data, non_finite=True)
            if isinstance(value, dict):
                yield value
                return
            read = [value]
        except ValueError:
            read = self._by_line(data)
        for value in read:
            self.done = self.done or value is _END
            for each in value if isinstance(value, list) else [value]:
                if isinstance(each, dict):
                    yield each

    def _by_line(self, data: str) -> list[Any]:
        """The values of an event whose lines are JSON each: a server that leaves out the blank line between events."""
        values: list[Any] = []
        for line in data.split("\n") if "\n" in data else ():
            if line.strip() == "[DONE]":
                values.append(_END)
                continue
            try:
                values.append(parse_json(line, non_finite=True))
            except ValueError:
                values = []
                break
        if not values:
            self._unread += 1
            if data.lstrip().startswith(("{", "[{")):
                self.broken.append(data)
            elif "error" in data[:40].lower():
                self.error = self.error or {"message": data[:2000]}
        return values
