"""A captured answer, read: whole bodies and server-sent chunks give the same messages.

Streamed deltas follow the Chat Completions streaming reference (text, tool calls, refusals, audio, logprobs), and what
other servers add to it: reasoning fields, tool calls without ``index``, content as a list of parts, usage in any
chunk, an error object inside a 200 stream, no ``[DONE]``.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from regraft.domain.capture.endings import ending_of
from regraft.domain.capture.server_events import EventReader, events
from regraft.domain.capture.streamed_logprobs import StreamedLogprobs
from regraft.domain.capture.streamed_message import StreamedMessage
from regraft.domain.capture.streamed_parts import StreamedValue, continues
from regraft.domain.ids import NonFinite, canonical_json, parse_json, whole_number

__all__ = [
    "Answer",
    "Choice",
    "count_non_finite",
    "events",
    "finish_reason",
    "is_stream",
    "read_answer",
    "read_object",
    "unreadable",
]

_LAST_INDEX = 2**31 - 1  # what the log has room for
_READ_OF_CHOICE = frozenset({"index", "delta", "message", "finish_reason", "usage", "logprobs"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One alternative of an answer. ``message`` is a chat message; ``rest`` has the other fields of the choice.

    ``unattributed`` are pieces of a stream, unchanged, whose place in the message is not certain: with any, the
    choice is ambiguous.
    """

    index: int
    message: dict[str, Any] | None
    finish_reason: str | None
    rest: dict[str, Any] = field(default_factory=dict)
    unattributed: list[Any] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer to a call. ``done`` is None for a whole body, else whether the stream ended with ``[DONE]``.
    ``unread`` are events of a stream that contain a broken object; their content is not in the choices."""

    choices: list[Choice]
    model: str | None
    usage: dict[str, Any] | None
    error: Any
    rest: dict[str, Any]
    done: bool | None = None
    unread: list[str] = field(default_factory=list)

    def stored_rest(self) -> dict[str, Any]:
        """All fields that are not in a message, as one JSON object."""
        choices = []
        for choice in self.choices:
            unsure = {"unattributed": choice.unattributed} if choice.unattributed else {}
            choices.append({"index": choice.index, **choice.rest, **unsure})
        return {**self.rest, **({"unread": self.unread} if self.unread else {}), "choices": choices}


ReadChoice = Callable[[dict[str, Any], str], dict[str, Any]]


def count_non_finite(answer: Answer) -> Answer:
    """The answer with the number of its ``NonFinite`` values in its rest, which are stored as texts."""
    found = 0
    waiting: list[Any] = [answer.usage, answer.error, answer.rest]
    for choice in answer.choices:
        waiting += [choice.message, choice.rest, choice.unattributed]
    while waiting:
        value = waiting.pop()
        if isinstance(value, NonFinite):
            found += 1
        elif isinstance(value, dict | list):
            waiting += value.values() if isinstance(value, dict) else value
    return replace(answer, rest={**answer.rest, "non_finite_numbers": found}) if found else answer


def _as_it_is(choice: dict[str, Any], _place: str) -> dict[str, Any]:
    return choice


def read_answer(body: bytes, content_type: str, read_choice: ReadChoice = _as_it_is) -> Answer:
    """Assemble an answer from a decoded body. A body that is not a JSON object becomes an answer with an ``error``.

    ``read_choice`` turns another dialect's choice into a chat choice, which has its content under ``message`` or, in a
    stream, under ``delta``: the key that it is given.
    """
    text = body.decode("utf-8", "replace")
    if is_stream(text, content_type):
        return _read_stream(text, read_choice)
    document = read_object(text)
    if document is not None:
        return _read_document(document, read_choice)
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) > 1 and all(line.lstrip().startswith("{") for line in lines):
        return _read_stream("".join(f"data: {line}\n\n" for line in lines), read_choice)
    return unreadable(text)


def is_stream(text: str, content_type: str) -> bool:
    """Whether a body is server-sent events, by its first characters, or by its content type if it is not a JSON
    object."""
    first = text[:64].lstrip("\ufeff \t\r\n")
    if first.startswith(("data:", "event:", ":", "id:", "retry:")):
        return True
    return "text/event-stream" in content_type.lower() and not first.startswith("{")


def read_object(text: str) -> dict[str, Any] | None:
    """The JSON object that a text is, if it is one."""
    try:
        document = parse_json(text.removeprefix("\ufeff"), non_finite=True)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def unreadable(text: str) -> Answer:
    """The answer of a body that is not a JSON object: an error that shows its beginning."""
    return Answer(choices=[], model=None, usage=None, error={"message": text[:2000]}, rest={})


def finish_reason(choice: Mapping[str, Any]) -> str | None:
    """The finish reason that the server gave: a string, the ``type`` of an object, or the JSON text of any other
    value."""
    reason = choice.get("finish_reason")
    if isinstance(reason, Mapping) and isinstance(reason.get("type"), str):
        reason = reason["type"]
    return reason if reason is None or isinstance(reason, str) else canonical_json(reason)


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, list):
        yield from (item for item in value if isinstance(item, dict))


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _index(choice: Mapping[str, Any], place: int = 0) -> int:
    """The number of a choice; of one without, its place among those that came with it."""
    index = whole_number(choice.get("index"))
    return place if index is None else index if 0 <= index <= _LAST_INDEX else 0


def _free(index: int, taken: Container[int]) -> int:
    """The index, or the next free one."""
    while index in taken:
        index += 1
    return index


def _read_document(document: dict[str, Any], read_choice: ReadChoice) -> Answer:
    choices: list[Choice] = []
    for each in _objects(document.get("choices")):
        choice = read_choice(each, "message")
        message, read = choice.get("message"), {"index", "message", "finish_reason"}
        if message is None and (said := _bare_text(choice)):
            message = {"role": "assistant", **said}
            read.add("text")
        choices.append(
            Choice(
                index=_free(_index(choice), {known.index for known in choices}),
                message=message if isinstance(message, dict) else None,
                finish_reason=finish_reason(choice),
                rest={key: choice[key] for key in choice if key not in read},
            )
        )
    usage = document.get("usage")
    reported = [choice["error"] for choice in _objects(document.get("choices")) if choice.get("error")]
    error = document.get("error") or next(iter(reported), None)
    if error is None and document.get("object") == "error":
        error = {key: value for key, value in document.items() if key != "object"}
    return Answer(
        choices=choices,
        model=_string(document.get("model")),
        usage=usage if isinstance(usage, dict) else None,
        error=error,
        rest={key: document[key] for key in document if key not in ("choices", "usage", "error", "model")},
    )


class _Growing:
    """One choice while its chunks arrive."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.finish_reason: str | None = None
        self.rest: dict[str, Any] = {}
        self.error: Any = None
        self._said = StreamedMessage()
        self._whole = StreamedMessage(whole_each=True)  # messages beside or instead of deltas: the answer so far
        self._logprobs = StreamedLogprobs()
        self._lists: dict[str, StreamedValue] = {}
        self._worded = -1
        self._unsure: list[Any] = []

    def add(self, choice: dict[str, Any], chunk: int) -> None:
        """Add the choice of a chunk, which has a number in its stream."""
        delta, message = choice.get("delta"), choice.get("message")
        if not isinstance(delta, dict):
            delta = {} if isinstance(message, dict) else _bare_text(choice)
        if delta.get("content") and chunk == self._worded:
            self._unsure.append({"delta": delta})  # another choice of the same number in the same chunk
        self._worded = chunk if delta.get("content") else self._worded
        self._said.add(delta)
        if isinstance(message, dict):
            self._whole.add(message)
        reason = finish_reason(choice)
        if reason and (ending_of(reason) or not self.finish_reason):
            self.finish_reason = reason
        if choice.get("error"):
            self.error = choice["error"]
        if choice.get("logprobs") is not None:
            says = bool(delta.get("content") or delta.get("tool_calls") or delta.get("refusal"))
            self._logprobs.add(choice["logprobs"], says=says)
        for key, value in choice.items():
            if key in _READ_OF_CHOICE or value is None or (key == "text" and value == delta.get("content")):
                continue
            if isinstance(value, list):
                self._lists.setdefault(key, StreamedValue(key)).add(value)
            else:
                known = self.rest.get(key)
                if isinstance(value, dict) and isinstance(known, dict):
                    value = {**known, **value}
                self.rest[key] = value

    def set_apart(self, choice: dict[str, Any]) -> None:
        """Keep the choice of a chunk that is of another answer."""
        self._unsure.append({"after_the_end": choice})

    def choice(self) -> Choice:
        said, findings = self._said.message(), list(self._said.findings())
        whole = self._whole.message()
        unattributed: list[Any] = [*self._unsure, *self._said.unattributed]
        if self._whole:
            said, differs = _with_whole(said if self._said else None, whole)
            unattributed += self._whole.unattributed
            unattributed += [{"message": differs}] if differs else []
            findings = findings if self._said else []
        said.setdefault("content", None)
        rest = {**self.rest, **{key: each.value() for key, each in self._lists.items()}}
        if self._logprobs:
            rest["logprobs"] = self._logprobs.value(said.get("content"))
        cumulative = sorted({key for finding, key in findings if finding == "cumulative"})
        if cumulative:
            rest["cumulative"] = cumulative
        unattributed += [{"doubtful": key} for finding, key in findings if finding == "doubtful"]
        return Choice(
            index=self.index, message=said, finish_reason=self.finish_reason, rest=rest, unattributed=unattributed
        )


def _bare_text(choice: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a choice that has its words where the older completions have them."""
    return {"content": choice["text"]} if isinstance(choice.get("text"), str) else {}


def _with_whole(said: dict[str, Any] | None, whole: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The message from the deltas, completed from a whole message in the same chunk; and where the two differ."""
    if said is None:
        return whole, {}
    differs = {}
    for key, value in whole.items():
        known = said.get(key)
        if key == "role" or value in (None, "", [], {}) or known == value:
            continue
        if known is None or (isinstance(known, str) and continues(known, value)):
            said[key] = value
        elif not _same(key, known, value):
            differs[key] = value
    return said, differs


def _same(key: str, said: Any, whole: Any) -> bool:
    """Whether a whole message adds nothing to the deltas: it may lag behind them, or number its calls."""
    if isinstance(said, str) and isinstance(whole, str):
        return said.startswith(whole) or said.strip() == whole.strip()
    if key == "tool_calls" and isinstance(whole, list):
        whole = [{name: call[name] for name in call if name != "index"} for call in _objects(whole)]
        whole = [{"type": "function", **call} for call in whole]
    return continues(whole, said)


class _Splice:
    """Detects two answers in one stream: chunks with one id and then with another, each with its own text."""

    def __init__(self) -> None:
        self._last = ""
        self._runs: list[list[Any]] = []  # of one id: the id, how many chunks, how many with words
        self._begins = False  # whether the second run begins as an answer does, with a role

    def add(self, chunk: dict[str, Any]) -> None:
        identity = chunk.get("id")
        if identity != self._last:
            if not isinstance(identity, str) or not identity or len(self._runs) > 2:
                return
            self._last = identity
            self._runs.append([identity, 0, 0])
            self._begins = any(
                isinstance(each.get("delta"), dict) and each["delta"].get("role")
                for each in _objects(chunk.get("choices"))
            )
        elif not self._runs or (self._runs[-1][1] > 1 and self._runs[-1][2]):
            return  # known well enough
        deltas = [each.get("delta") for each in _objects(chunk.get("choices"))]
        self._runs[-1][1] += 1
        self._runs[-1][2] += any(isinstance(delta, dict) and bool(delta.get("content")) for delta in deltas)

    def ids(self) -> list[str]:
        """The two ids, if there were just two; servers that give every chunk its own have more."""
        if len(self._runs) != 2 or not all(said for _, _, said in self._runs):
            return []
        (_, first, _), (_, second, _) = self._runs
        two = second > 1 and (first > 1 or self._begins)
        return [identity for identity, _, _ in self._runs] if two else []


def _begins_an_answer(choice: Mapping[str, Any]) -> bool:
    delta = choice.get("delta")
    return isinstance(delta, dict) and bool(delta.get("role"))


def _read_stream(text: str, read_choice: ReadChoice) -> Answer:
    growing: dict[int, _Growing] = {}
    rest: dict[str, Any] = {}
    model: str | None = None
    usage: dict[str, Any] | None = None
    stream = EventReader()
    spliced = _Splice()
    after: list[int] = []  # choices that begin again after the end of the stream: another answer
    for chunks, chunk in enumerate(stream.chunks(text)):
        model = model or _string(chunk.get("model"))
        if isinstance(chunk.get("usage"), dict):
            usage = chunk["usage"]
        spliced.add(chunk)
        for place, choice in enumerate(_objects(chunk.get("choices"))):
            index = _index(choice, place)
            grown = growing.get(index)
            if grown and stream.done and _begins_an_answer(choice):
                after.append(index)
            if grown and index in after:
                grown.set_apart(choice)
                continue
            if grown is None:
                grown = growing[index] = _Growing(index)
            grown.add(read_choice(choice, "delta"), chunks)
            stream.error = grown.error or stream.error
            if usage is None and isinstance(choice.get("usage"), dict):
                usage = choice["usage"]
        for key, value in chunk.items():
            if key not in ("choices", "usage", "error", "model", "object") and value is not None:
                known = rest.get(key)
                rest[key] = {**known, **value} if isinstance(known, dict) and isinstance(value, dict) else value
    choices = [growing[index].choice() for index in sorted(growing)]
    if ids := spliced.ids():
        choices = [replace(each, unattributed=[*each.unattributed, {"ids": ids}]) for each in choices]
    return Answer(
        choices=choices,
        model=model,
        usage=usage,
        error=stream.error,
        rest={**rest, **stream.rest()},
        done=stream.done,
        unread=stream.broken,
    )
