"""One call from a log: its request, in the form of any API or tracing tool, and its answer.

Requests are read as captured ones are, by the dialect that they are in; anything else as ``recorded`` reads it. Answers
are read whole, streamed (as text, or as a list of chunks), or as a trace has them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from regraft.domain.capture.dialects import CHAT, COMPLETIONS, MESSAGES, RESPONSES, dialect_of
from regraft.domain.capture.importers import recorded
from regraft.domain.capture.importers.answer_beside import answers_beside
from regraft.domain.capture.importers.anthropic_content import is_native
from regraft.domain.capture.importers.conversation import ImportedMessage, Judgement, UnreadableConversationError
from regraft.domain.capture.importers.langchain import plain_messages
from regraft.domain.capture.importers.messages import tool_list
from regraft.domain.capture.importers.values import mapping, mappings, text
from regraft.domain.errors import CorruptEventError
from regraft.domain.ids import canonical_json

_RESPONSE = "response"
_CHUNKS = ("streamed_data", "chunks", "events")
_STREAMED = ("data:", "event:")


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """A request: its messages, and its other components."""

    messages: list[Any]
    dialect: str = ""
    model: str = ""
    tools: dict[str, Any] = field(default_factory=dict)
    sampling: dict[str, Any] = field(default_factory=dict)
    other: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallMetadata:
    """What a log records about a call besides its messages."""

    key: str = ""
    started_ns: int | None = None
    ended_ns: int | None = None
    first_byte_ns: int | None = None
    model: str | None = None
    usage: dict[str, Any] | None = None
    failed: bool = False
    judgements: tuple[Judgement, ...] = ()


def read_call_request(request: Any, response: Any = None) -> LoggedRequest:
    """Read a request. Raises UnreadableConversationError for one without messages."""
    value = recorded.decoded(request)
    dialect = _dialect(value, recorded.decoded(response))
    if dialect:
        try:
            found = dialect_of(dialect).read_request(canonical_json(value).encode())
        except CorruptEventError as error:
            raise UnreadableConversationError(str(error)) from error
        messages, parts = list(found.messages), (found.tools, found.sampling, found.other)
        return LoggedRequest([_without_native(each) for each in messages], dialect, found.model, *parts)
    messages, tools = recorded.history(plain_messages(value))
    if not messages:
        raise UnreadableConversationError("a request without messages")
    return LoggedRequest(messages, "", text(mapping(value).get("model")), tool_list(tools))


def answers(response: Any, dialect: str) -> list[list[ImportedMessage]]:
    """The alternative answers, each as a list of messages; empty if there is no answer."""
    value = response if isinstance(response, str) and response.lstrip().startswith(_STREAMED) else None
    if value is None:
        response = recorded.decoded(response)
        chunks = next((mapping(response)[key] for key in _CHUNKS if mappings(mapping(response).get(key))), None)
        if chunks is not None:
            value = "".join(f"data: {canonical_json(each)}\n\n" for each in chunks)
    if value is not None:
        answer = dialect_of(dialect or CHAT).read_answer(value.encode("utf-8", "surrogatepass"), "text/event-stream")
        return [
            [
                ImportedMessage(
                    message=choice.message,
                    parent=None,
                    answered=True,
                    model=answer.model,
                    usage=answer.usage,
                    finish_reason=choice.finish_reason,
                    status="interrupted" if answer.done is False and not choice.finish_reason else "ok",
                )
            ]
            for choice in answer.choices
            if choice.message is not None
        ]
    if response is None or response in ("", [], {}):
        return []
    known = mapping(response)
    if known.get("error") and not {"choices", "content", "output", "candidates", "generations"} & known.keys():
        return []
    beside = [each for each in answers_beside({_RESPONSE: plain_messages(response)}, frozenset()) if each.sure]
    if beside:
        return beside[0].paths
    message = recorded.answer(plain_messages(response))
    return [[ImportedMessage(message=message, parent=None, answered=True)]]


def call_messages(
    request: LoggedRequest, paths: Iterable[list[ImportedMessage]], measured: CallMetadata
) -> list[ImportedMessage]:
    """The call as a tree: its history, and its answers behind it."""
    whole = [
        ImportedMessage(message=message, parent=at - 1 if at else None) for at, message in enumerate(request.messages)
    ]
    stem = len(whole) - 1 if whole else None
    for number, path in enumerate(paths):
        parent = stem
        for at, each in enumerate(path):
            last = at == len(path) - 1
            started, ended = measured.started_ns, measured.ended_ns
            first = measured.first_byte_ns
            made = replace(
                each,
                parent=parent,
                key=":".join(filter(None, [measured.key, str(number) if number else "", str(at) if at else ""])),
            )
            if each.answered:
                made = replace(
                    made,
                    model=each.model or measured.model,
                    started_ns=started,
                    duration_ns=max(ended - started, 0) if started is not None and ended is not None else 0,
                    first_byte_ns=max(first, 0) if first is not None else None,
                    usage=each.usage or measured.usage,
                    status="error" if measured.failed and each.status == "ok" else each.status,
                    judgements=measured.judgements if last and not number else (),
                )
            whole.append(made)
            parent = len(whole) - 1
    return whole


def _dialect(value: Any, response: Any) -> str:
    """The endpoint that a request was made for; empty where it is in the form of no API."""
    request = mapping(value)
    messages = request.get("messages")
    if isinstance(messages, list):
        if not messages or not all(isinstance(mapping(each).get("role"), str) for each in messages):
            return ""
        if any("kwargs" in each or "lc" in each for each in messages):
            return ""
        native = isinstance(request.get("system"), str | list) or any(is_native(each) for each in messages)
        return MESSAGES if native or mapping(response).get("type") == "message" else CHAT
    given = request.get("input")
    if isinstance(given, str) or (isinstance(given, list) and all(isinstance(each, dict) for each in given)):
        return RESPONSES if "contents" not in request and "prompt" not in request else ""
    if isinstance(request.get("prompt"), str) and mapping(response).get("object") == "text_completion":
        return COMPLETIONS
    return ""


def _without_native(message: Any) -> Any:
    """The message without what only writing the request again needs."""
    if not isinstance(message, dict):
        raise UnreadableConversationError("a message that is not an object")
    return {key: value for key, value in message.items() if key != "item" or value not in ({}, {"text": True})}
