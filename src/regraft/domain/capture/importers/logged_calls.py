"""Logs with a line for each call: a request beside its response, under any of the usual names.

Helicone's exports (``request_body``, ``response_body``, scores, ratings), lines of ``request`` and ``response`` in the
form of any API (Chat Completions, Responses, Anthropic's Messages, Gemini), batch files, stored completions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from regraft.domain.capture.importers import batch_files
from regraft.domain.capture.importers.conversation import (
    Conversation,
    Found,
    Judgement,
    RefusedConversation,
    UnreadableConversationError,
)
from regraft.domain.capture.importers.judged import number
from regraft.domain.capture.importers.logged_call import (
    CallMetadata,
    LoggedRequest,
    answers,
    call_messages,
    read_call_request,
)
from regraft.domain.capture.importers.messages import checked
from regraft.domain.capture.importers.moment import nanoseconds
from regraft.domain.capture.importers.recorded import decoded
from regraft.domain.capture.importers.records import JsonRecord
from regraft.domain.capture.importers.values import mapping, mappings, name, rest, text
from regraft.domain.ids import digest_json

FORM = "calls"
_PAIRS = (
    *(("request_body", "response_body"), ("requestBody", "responseBody"), ("request", "response"), ("req", "res")),
    *(("providerRequest", "providerResponse"), ("body", "response"), ("params", "result"), ("request", "result")),
    *(("request", "output"), ("request", "completion"), ("input", "output"), ("inputs", "outputs")),
)
_HISTORIES = ("messages", "input", "contents", "prompt")
_NAMES = ("request_id", "id", "custom_id", "call_id", "trace_id", "uuid")
_BEGUN = ("request_created_at", "startTime", "start_time", "created_at", "timestamp", "created")
_ENDED = ("response_created_at", "endTime", "end_time")
_ITEMS = frozenset({"message", "reasoning", "function_call", "custom_tool_call"})
_ASKED = frozenset(
    {"model", "input", "instructions", "tools", "tool_choice", "parallel_tool_calls", "temperature", "top_p"}
    | {"max_output_tokens", "reasoning", "text", "previous_response_id", "store", "metadata"}
)
_WITHOUT = "an answer whose request is not in its line"
_MILLISECOND = 1_000_000


def recognises(record: JsonRecord) -> bool:
    """Whether the record is such a line."""
    line = mapping(record.value)
    return _pair(line) is not None or _is_answer(line) or _is_whole(line)


def read(record: JsonRecord) -> Iterator[Found]:
    """The call of a line."""
    line = mapping(record.value)
    if batch_files.is_no_conversation(line):
        raise UnreadableConversationError(batch_files.NO_CONVERSATION)
    pair = _pair(line)
    key = next((name(line[each]) for each in _NAMES if name(line.get(each))), "")
    if pair is None and _is_whole(line):
        pair = ("input", "output")
    if pair is None:
        if record.head.get(batch_files.SEVERAL):
            raise UnreadableConversationError(batch_files.SEVERAL_REQUESTS)
        if batch_files.answer_id(line):
            raise UnreadableConversationError(batch_files.WITHOUT_REQUEST)
        if _is_answer(line):
            raise UnreadableConversationError(_WITHOUT)
        raise UnreadableConversationError("no request with messages")
    request, response = _body(line.get(pair[0])), _body(line.get(pair[1]))
    whole_line = _is_whole(line)
    if whole_line:
        request = {key: line[key] for key in line if key in _ASKED}
        response = {"object": "response", **{key: line[key] for key in line if key not in _ASKED or key == "model"}}
    ask = read_call_request(request, response)
    begun = next((at for each in _BEGUN if (at := nanoseconds(line.get(each))) is not None), None)
    ended = next((at for each in _ENDED if (at := nanoseconds(line.get(each))) is not None), None)
    waited = number(line.get("time_to_first_token"))
    status = number(line.get("response_status"))
    measured = CallMetadata(
        key=key,
        started_ns=begun,
        ended_ns=ended,
        first_byte_ns=None if waited is None else int(waited * _MILLISECOND),
        model=text(line.get("model")) or text(line.get("response_model")) or ask.model or None,
        failed=status is not None and status >= 400,
        judgements=tuple(_judgements(line)),
    )
    whole = call_messages(ask, answers(response, ask.dialect), measured)
    left = {} if any(each.answered for each in whole[len(ask.messages) :]) else {"response": line.get(pair[1])}
    yield checked(
        Conversation(
            key=key or f"{record.position}:{digest_json(line).hex()[:32]}",
            said=whole,
            source=text(line.get("source")),
            model=ask.model or measured.model,
            started_ns=begun,
            tools=ask.tools,
            sampling=ask.sampling,
            rest={
                **({} if whole_line else rest(line, frozenset({*pair, "id"}))),
                **_others(ask),
                **{key: left[key] for key in left if left[key]},
            },
            left_out=tuple(_without_answer(record, line)),
        )
    )


def _without_answer(record: JsonRecord, line: dict[str, Any]) -> Iterator[RefusedConversation]:
    """What a batch says of a request that has no answer, or that its answers do not name it."""
    reason = batch_files.UNANSWERED if record.head.get(batch_files.MISSING) else batch_files.failed_with(line)
    if reason:
        yield RefusedConversation("answer", reason)


def _others(ask: LoggedRequest) -> dict[str, Any]:
    other = {key: value for key, value in ask.other.items() if key not in ("native", "stream")}
    return {"request": other} if other else {}


def _pair(line: dict[str, Any]) -> tuple[str, str] | None:
    """The members that hold the request and the response."""
    if isinstance(line.get("messages"), list):
        return None  # the history is in the line itself
    for asked_in, answered_in in _PAIRS:
        request = _body(line.get(asked_in))
        unanswered = asked_in in ("body", "params") and "custom_id" in line  # the input of a batch
        if isinstance(request, dict) and any(request.get(each) for each in _HISTORIES):
            if answered_in not in line and not unanswered:
                continue
            return asked_in, answered_in
    return None


def _is_whole(line: dict[str, Any]) -> bool:
    """Whether a line is a request of the Responses API with the response to it in the same object."""
    items = mappings(line.get("output"))
    if not items or "messages" in line or not all(each.get("type") in _ITEMS for each in items):
        return False
    given = line.get("input")
    return isinstance(given, str) or (isinstance(given, list) and all(isinstance(each, dict) for each in given))


def _body(value: Any) -> Any:
    """A request or response without what it is wrapped in: a status, headers, the kind of a result."""
    found = decoded(value)
    for key in ("json", "body", "message"):
        inner = mapping(found).get(key)
        wrapped = {"status", "status_code", "headers", "url", "request_id", "meta", "method"} & mapping(found).keys()
        if isinstance(inner, dict) and (wrapped or mapping(found).get("type") == "succeeded"):
            return inner
        if isinstance(inner, str) and wrapped and isinstance(decoded(inner), dict):
            return decoded(inner)
    return found


def _is_answer(line: dict[str, Any]) -> bool:
    """Whether a line is an answer alone: a stored completion, or a line of a batch's output."""
    if line.get("object") in ("chat.completion", "response") and (mappings(line.get("choices")) or line.get("output")):
        return "messages" not in line and "input" not in line
    return batch_files.answer_id(line) is not None


def _judgements(line: dict[str, Any]) -> Iterator[Judgement]:
    source = "helicone" if "request_body" in line else FORM
    rating = line.get("feedback_rating", line.get("helicone_feedback_rating"))
    if (value := number(rating)) is not None:
        yield Judgement(name="vote", value=1.0 if value > 0 else -1.0, source=source)
    scores = decoded(line.get("scores"))
    for key, given in mapping(scores).items():
        value = number(mapping(given).get("value", given) if isinstance(given, dict) else given)
        if value is not None:
            yield Judgement(name=f"score:{key.removeprefix('helicone-')}", value=value, source=source)
