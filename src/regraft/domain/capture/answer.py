"""A captured answer, read: whole bodies and server-sent chunks give the same messages.

Streamed deltas follow the Chat Completions streaming reference (text, tool calls, refusals, audio, logprobs), and what
other servers add to it: reasoning fields, tool calls without ``index``, content as a list of parts, usage in any
chunk, an error object inside a 200 stream, no ``[DONE]``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from regraft.domain.ids import parse_json

_EVENT_END = re.compile(r"\r\n\r\n|\n\n|\r\r")
_LINE_END = re.compile(r"\r\n|\n|\r")
_LAST_INDEX = 2**31 - 1  # what the log has room for


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One alternative of an answer. ``message`` is a chat message; ``rest`` is what else the choice held."""

    index: int
    message: dict[str, Any] | None
    finish_reason: str | None
    rest: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back. ``done`` is None for a whole body, else whether the stream said ``[DONE]``."""

    choices: list[Choice]
    model: str | None
    usage: dict[str, Any] | None
    error: Any
    rest: dict[str, Any]
    done: bool | None = None


ReadChoice = Callable[[dict[str, Any], str], dict[str, Any]]


def _as_it_is(choice: dict[str, Any], _place: str) -> dict[str, Any]:
    return choice


def read_answer(body: bytes, content_type: str, read_choice: ReadChoice = _as_it_is) -> Answer:
    """Assemble an answer from a decoded body. A body that is no JSON object becomes an answer with an ``error``.

    ``read_choice`` turns another dialect's choice into a chat choice, which has its words under ``message`` or, in a
    stream, under ``delta``: the place that it is told.
    """
    text = body.decode("utf-8", "replace")
    if is_stream(text, content_type):
        return _read_stream(text, read_choice)
    document = read_object(text)
    return unreadable(text) if document is None else _read_document(document, read_choice)


def is_stream(text: str, content_type: str) -> bool:
    """Whether a body is server-sent events: its type says so, or its first words do."""
    return "text/event-stream" in content_type.lower() or text.lstrip()[:6].startswith(("data:", "event:"))


def read_object(text: str) -> dict[str, Any] | None:
    """The JSON object that a text is, if it is one."""
    try:
        document = parse_json(text)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def unreadable(text: str) -> Answer:
    """The answer of a body that is no JSON object: an error that shows its beginning."""
    return Answer(choices=[], model=None, usage=None, error={"message": text[:2000]}, rest={})


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, list):
        yield from (item for item in value if isinstance(item, dict))


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _index(choice: Mapping[str, Any]) -> int:
    index = choice.get("index")
    return index if isinstance(index, int) and 0 <= index <= _LAST_INDEX else 0


def _free(index: int, taken: Container[int]) -> int:
    """The index, or the next that no other choice has."""
    while index in taken:
        index += 1
    return index


def _read_document(document: dict[str, Any], read_choice: ReadChoice) -> Answer:
    choices: list[Choice] = []
    for each in _objects(document.get("choices")):
        choice = read_choice(each, "message")
        message = choice.get("message")
        choices.append(
            Choice(
                index=_free(_index(choice), {known.index for known in choices}),
                message=message if isinstance(message, dict) else None,
                finish_reason=_string(choice.get("finish_reason")),
                rest={key: choice[key] for key in choice if key not in ("index", "message", "finish_reason")},
            )
        )
    usage = document.get("usage")
    return Answer(
        choices=choices,
        model=_string(document.get("model")),
        usage=usage if isinstance(usage, dict) else None,
        error=document.get("error"),
        rest={key: document[key] for key in document if key not in ("choices", "usage", "error", "model")},
    )


def events(text: str) -> Iterator[str]:
    """The data of each server-sent event (WHATWG HTML, 9.2.6); comments and other fields are left out."""
    for event in _EVENT_END.split(text):
        lines = [line[5:].removeprefix(" ") for line in _LINE_END.split(event) if line.startswith("data:")]
        if lines:
            yield "\n".join(lines)


class _Growing:
    """One choice while its chunks arrive."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.message: dict[str, Any] = {"role": "assistant"}
        self.calls: dict[int, dict[str, Any]] = {}
        self.finish_reason: str | None = None
        self.rest: dict[str, Any] = {}

    def add(self, choice: dict[str, Any]) -> None:
        delta = choice.get("delta")
        for key, value in (delta if isinstance(delta, dict) else {}).items():
            if key == "tool_calls":
                for call in _objects(value):
                    self._add_call(call)
            elif key == "role":
                if isinstance(value, str) and value:
                    self.message["role"] = value
            else:
                self.message[key] = _grow(self.message.get(key), value)
        self.finish_reason = _string(choice.get("finish_reason")) or self.finish_reason
        for key, value in choice.items():
            if key not in ("index", "delta", "finish_reason", "usage") and value is not None:
                self.rest[key] = _grow(self.rest.get(key), value) if isinstance(value, dict | list) else value

    def _add_call(self, call: dict[str, Any]) -> None:
        place = call.get("index")
        if not isinstance(place, int):
            same = [at for at, known in self.calls.items() if call.get("id") and known.get("id") == call.get("id")]
            place = same[0] if same else len(self.calls)
        known = self.calls.setdefault(place, {})
        for key, value in call.items():
            if key == "index":
                continue
            if key == "function" and isinstance(value, dict):
                function = known.setdefault("function", {})
                for name, piece in value.items():
                    if name == "name" and piece == function.get("name"):
                        continue
                    function[name] = _grow(function.get(name), piece)
            elif value is not None and not known.get(key):
                known[key] = value

    def choice(self) -> Choice:
        message = {key: value for key, value in self.message.items() if value is not None or key == "content"}
        message.setdefault("content", None)
        if self.calls:
            message["tool_calls"] = [self._call(self.calls[place]) for place in sorted(self.calls)]
        legacy = message.get("function_call")
        if isinstance(legacy, dict):
            legacy.setdefault("arguments", "")
        return Choice(index=self.index, message=message, finish_reason=self.finish_reason, rest=self.rest)

    @staticmethod
    def _call(call: dict[str, Any]) -> dict[str, Any]:
        call.setdefault("type", "function")
        if call["type"] == "function":
            function = call.setdefault("function", {})
            if function.get("arguments") is None:
                function["arguments"] = ""
        return call


def _grow(known: Any, piece: Any) -> Any:
    """Add a piece to what is known: texts and lists run on, objects merge, anything else is replaced."""
    if piece is None:
        return known
    if isinstance(piece, str) and isinstance(known, str):
        if "\ud800" <= known[-1:] <= "\udbff" and "\udc00" <= piece[:1] <= "\udfff":
            pair = (known[-1] + piece[0]).encode("utf-16", "surrogatepass").decode("utf-16")
            return known[:-1] + pair + piece[1:]
        return known + piece
    if isinstance(piece, list) and isinstance(known, list):
        return known + piece
    if isinstance(piece, dict) and isinstance(known, dict):
        grown = dict(known)
        for key, value in piece.items():
            identifying = key in ("id", "type", "index", "name", "format", "signature")
            grown[key] = (grown.get(key) or value) if identifying else _grow(grown.get(key), value)
        return grown
    return piece


def _read_stream(text: str, read_choice: ReadChoice) -> Answer:
    growing: dict[int, _Growing] = {}
    rest: dict[str, Any] = {}
    model: str | None = None
    usage: dict[str, Any] | None = None
    error: Any = None
    done = False
    unread = 0
    for data in events(text):
        if data.strip() == "[DONE]":
            done = True
            continue
        try:
            chunk = parse_json(data)
        except ValueError:
            unread += 1
            continue
        if not isinstance(chunk, dict):
            continue
        error = chunk.get("error") or error
        model = model or _string(chunk.get("model"))
        if isinstance(chunk.get("usage"), dict):
            usage = chunk["usage"]
        for choice in _objects(chunk.get("choices")):
            index = _index(choice)
            growing.setdefault(index, _Growing(index)).add(read_choice(choice, "delta"))
            if usage is None and isinstance(choice.get("usage"), dict):
                usage = choice["usage"]
        for key, value in chunk.items():
            if key not in ("choices", "usage", "error", "model", "object") and value is not None:
                rest[key] = value
    if unread:
        rest["unread_events"] = unread
    return Answer(
        choices=[growing[index].choice() for index in sorted(growing)],
        model=model,
        usage=usage,
        error=error,
        rest=rest,
        done=done,
    )
