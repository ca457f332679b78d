"""An answer that a line stores separately from its history: a response of an API, a message, a list of them, or a text.

Logs of calls have the request under ``messages`` and the answer under another key. Responses are recognised by their
form, under any key; a text is an answer only under a known name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from regraft.domain.capture import answer as chat
from regraft.domain.capture.answer import Answer
from regraft.domain.capture.dialects import anthropic, responses_stream
from regraft.domain.capture.importers.conversation import (
    ImportedMessage,
    RefusedConversation,
    UnreadableConversationError,
)
from regraft.domain.capture.importers.recorded import answer as recorded_answer
from regraft.domain.capture.importers.recorded import decoded
from regraft.domain.capture.importers.unread import holds_words
from regraft.domain.capture.importers.values import mapping, mappings, text
from regraft.domain.ids import canonical_json

TEXTS = frozenset(
    {"response", "responses", "completion", "completions", "output", "outputs", "output_text", "answer", "answers"}
    | {"reply", "replies", "assistant", "assistant_response", "generation", "generations", "generated_text"}
    | {"model_response", "model_output", "prediction", "chatbot_response", "bot_response"}
)
_SEVERAL = frozenset({"responses", "completions", "outputs", "answers", "replies", "generations"})


@dataclass(frozen=True, slots=True)
class AnswerBeside:
    """``paths`` are alternative continuations of the history, each a list of messages. ``sure``: the form says that it
    is an answer, and not only the name of its key."""

    key: str
    paths: list[list[ImportedMessage]]
    sure: bool


def answers_beside(line: dict[str, Any], read: frozenset[str]) -> list[AnswerBeside]:
    """All answers in a line, except in members that were already read."""
    found = []
    whole = _response(line) if "choices" in line and "choices" not in read else None
    if whole is not None:
        found.append(AnswerBeside("choices", whole, sure=True))
    for key in line:
        if key in read or (key == "choices" and whole is not None):
            continue
        value = decoded(line[key]) if isinstance(line[key], str) else line[key]
        paths = _response(value) or _messages(value)
        if paths:
            found.append(AnswerBeside(key, paths, sure=True))
        elif key.lower() in TEXTS and (texts := list(_texts(key.lower(), line[key]))):
            said = [{"role": "assistant", "content": each} for each in texts]
            found.append(AnswerBeside(key, [[_answered(each)] for each in said], sure=False))
    return found


def _texts(key: str, value: Any) -> Iterator[str]:
    if isinstance(value, str) and value.strip():
        yield value
    elif key in _SEVERAL and isinstance(value, list) and all(isinstance(each, str) for each in value):
        yield from value


def _response(value: Any) -> list[list[ImportedMessage]] | None:
    """A response of a known API; None for anything else."""
    found = mapping(value)
    if mappings(found.get("choices")):
        return _of(chat.read_answer(_body(found), "application/json"))
    if isinstance(found.get("content"), list) and found.get("role") == "assistant":
        return _of(anthropic.read_answer(_body({**found}), "application/json"))
    items = mappings(found.get("output")) if found.get("object") == "response" else mappings(value)
    if items and all(each.get("type") in _ITEMS for each in items):
        whole = found if found.get("object") == "response" else {"output": items}
        return _of(responses_stream.read_answer(_body(whole), "application/json"))
    if mappings(found.get("candidates")):
        return [[_answered(recorded_answer(found), model=text(found.get("modelVersion")) or None)]]
    inner = mapping(found.get("message"))
    if inner.get("role") == "assistant":
        reason = text(found.get("finish_reason")) or text(found.get("done_reason"))
        return [[_answered(inner, finish_reason=reason or None, model=text(found.get("model")) or None)]]
    return None


_ITEMS = ("message", "reasoning", "function_call", "custom_tool_call")


def _body(value: dict[str, Any]) -> bytes:
    return canonical_json(value).encode()


def _of(answer: Answer) -> list[list[ImportedMessage]] | None:
    said = [
        [
            _answered(
                choice.message,
                model=answer.model,
                usage=answer.usage,
                finish_reason=choice.finish_reason,
                rest={**answer.rest, **choice.rest},
            )
        ]
        for choice in answer.choices
        if choice.message is not None
    ]
    return said or None


def _messages(value: Any) -> list[list[ImportedMessage]] | None:
    """A message of an assistant, or several that continue one another."""
    listed = [value] if isinstance(value, dict) else value
    if not isinstance(listed, list) or not listed:
        return None
    if any(mapping(each).get("role") not in ("assistant", "tool") for each in listed):
        return None
    if not any(mapping(each).get("role") == "assistant" for each in listed):
        return None
    return [
        [
            _answered(each) if each["role"] == "assistant" else ImportedMessage(message=each, parent=None)
            for each in listed
        ]
    ]


def _answered(message: dict[str, Any], **more: Any) -> ImportedMessage:
    return ImportedMessage(message=message, parent=None, answered=True, **more)


def with_answer(
    said: list[ImportedMessage], line: dict[str, Any], read: frozenset[str]
) -> tuple[list[ImportedMessage], frozenset[str]]:
    """The messages of a line with the answer beside them, and the members of the line that it was read
    from. A history that ends with an answer has none beside it, but perhaps a copy.

    Raises UnreadableConversationError when it is not clear which message the answer belongs to.
    """
    found = answers_beside(line, read)
    if not said or not found:
        return said, frozenset()
    last = said[-1].message
    if last.get("role") == "assistant":
        sure = [each for each in found if each.sure]
        for each in sure:
            if not any(path[-1].message.get("content") == last.get("content") for path in each.paths):
                raise UnreadableConversationError("an answer beside messages that end with one", each.key)
        return said, frozenset()
    beside = one_answer(found)
    whole = list(said)
    written = tuple(line[each.key] for each in found if isinstance(line[each.key], str))
    for number, path in enumerate(beside.paths):
        parent = len(said) - 1
        for at, one in enumerate(path):
            key = f"{beside.key}:{number}" + (f".{at}" if at else "")
            whole.append(replace(one, parent=parent, key=key, source_texts=written))
            parent = len(whole) - 1
    return whole, frozenset(each.key for each in found)


def unanswered(said: list[ImportedMessage], rest: dict[str, Any]) -> tuple[RefusedConversation, ...]:
    """The members of a line that may be the answer to a history without one: words that no reader took."""
    if not said or said[-1].answered:
        return ()
    return tuple(
        RefusedConversation(key, "words beside a history without an answer", key)
        for key, value in rest.items()
        if holds_words(value)
    )


def one_answer(found: list[AnswerBeside]) -> AnswerBeside:
    """The answer that several members of a line agree on.

    Raises UnreadableConversationError when they do not.
    """
    sure = [each for each in found if each.sure] or found
    first, said = sure[0], _said(sure[0])
    for each in found:
        if _said(each) != said:
            raise UnreadableConversationError("two different answers beside the messages", f"{first.key}, {each.key}")
    return first


def _said(beside: AnswerBeside) -> list[list[Any]]:
    return [[(each.message.get("content"), each.message.get("tool_calls")) for each in path] for path in beside.paths]
