"""OpenTelemetry traces and logs as OTLP JSON (a document, or one per line as the file exporter writes), GenAI of them.

Each span that asked a model is one call. Messages are read from ``gen_ai.input.messages``, ``gen_ai.output.messages``
and ``gen_ai.system_instructions`` (attributes of the span or of its events), from the older ``gen_ai.*.message`` and
``gen_ai.choice`` events, and from the numbered attributes ``gen_ai.prompt.N.*`` and ``gen_ai.completion.N.*``. Events
that went to the log (``resourceLogs``) are assembled by the span that they name. Spans in OpenInference's form are
read as ``openinference`` reads them.
Source: Semantic conventions for generative client AI spans and events, opentelemetry.io.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from regraft.domain.capture.importers import openinference
from regraft.domain.capture.importers.conversation import (
    Conversation,
    Found,
    ImportedMessage,
    RefusedConversation,
    UnreadableConversationError,
)
from regraft.domain.capture.importers.messages import tool_list
from regraft.domain.capture.importers.moment import nanoseconds
from regraft.domain.capture.importers.recorded import ASIDE, answer, decoded, history
from regraft.domain.capture.importers.records import JsonRecord
from regraft.domain.capture.importers.traced_calls import WRAPS, TracedCall, conversations, spans_above
from regraft.domain.capture.importers.unread import with_unread
from regraft.domain.capture.importers.values import figure, mapping, mappings, text

FORM = "otel_genai"
_ASKING = frozenset({"chat", "text_completion", "generate_content", "completion"})
_ROLES = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
}
_SAMPLING = (
    "temperature",
    "top_p",
    "top_k",
    "max_tokens",
    "seed",
    "stop_sequences",
    "frequency_penalty",
    "presence_penalty",
)
_EXPORTS = frozenset({"resourceSpans", "resourceLogs"})
_CONTENT = {"content", "parts", "tool_calls"}
_ERROR = 2


def recognises(record: JsonRecord) -> bool:
    """Whether the record is spans, or log records of model calls, of a resource, or an export without any."""
    value = mapping(record.value)
    if bool(value) and all(name in _EXPORTS and value[name] == [] for name in value):
        return True
    return bool(mappings(value.get("scopeSpans"))) or any(
        _event_name(each).startswith("gen_ai.") for each in _log_records(value)
    )


def read(record: JsonRecord) -> Iterator[Found]:
    """The calls of a resource's spans, or of its log records."""
    yield from _logged(mapping(record.value))
    foreign: list[tuple[dict[str, Any], dict[str, Any]]] = []
    own: set[str] = set()
    parents: dict[str, str] = {}
    for scope in mappings(mapping(record.value).get("scopeSpans")):
        for span in mappings(scope.get("spans")):
            attributes = _attributes(span.get("attributes"))
            parents[text(span.get("spanId"))] = text(span.get("parentSpanId"))
            if openinference.kind_of(attributes) and not _has_messages(span, attributes):
                foreign.append((span, attributes))
                continue
            if not _asked(attributes):
                continue
            own.add(text(span.get("spanId")))
            try:
                yield from with_unread(_source_texts(span, attributes), [_call(span, attributes)], ASIDE)
            except UnreadableConversationError as error:
                yield RefusedConversation(f"{text(span.get('traceId'))}/{text(span.get('spanId'))}", str(error))
    yield from _of_openinference(foreign, own, parents)


def _of_openinference(
    spans: list[tuple[dict[str, Any], dict[str, Any]]], own: set[str], parents: dict[str, str]
) -> Iterator[Found]:
    """The calls of spans in OpenInference's form, trace by trace. ``own`` are calls in the form of the conventions: a
    span above one of them repeats the same call."""
    by_trace: dict[str, list[TracedCall]] = {}
    told: dict[str, dict[str, Any]] = {}
    wrapping = spans_above(own, parents)
    for span, attributes in spans:
        trace, key = text(span.get("traceId")), text(span.get("spanId"))
        if openinference.kind_of(attributes) != openinference.ASKING:
            yield RefusedConversation(f"{trace}/{key}", openinference.NOT_CALLED)
            continue
        if key in wrapping:
            yield RefusedConversation(f"{trace}/{key}", WRAPS)
            continue
        started, ended = nanoseconds(span.get("startTimeUnixNano")), nanoseconds(span.get("endTimeUnixNano"))
        status = mapping(span.get("status"))
        facts = openinference.Span(
            key=key,
            parent=parents[key],
            title=span.get("name"),
            started_ns=started,
            ended_ns=ended,
            failed=status.get("code") in (_ERROR, "STATUS_CODE_ERROR"),
            status_message=status.get("message"),
        )
        try:
            by_trace.setdefault(trace, []).append(openinference.traced_call(attributes, facts))
        except UnreadableConversationError as error:
            yield RefusedConversation(f"{trace}/{key}", str(error), error.place)
            continue
        told[key] = {name: decoded(value) for name, value in attributes.items() if name.startswith("llm.")}
    for trace, calls in by_trace.items():
        for each in conversations(trace, calls, parents):
            if isinstance(each, RefusedConversation):
                yield each
                continue
            try:
                yield from with_unread(told[each.key], [each], ASIDE)
            except UnreadableConversationError as error:
                yield RefusedConversation(f"{trace}/{each.key}", str(error), error.place)


def _has_messages(span: dict[str, Any], attributes: dict[str, Any]) -> bool:
    """Whether a span has its messages in the form of these conventions."""
    stems = ("gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.prompt", "gen_ai.completion")
    return any(key.startswith(stems) for key in attributes) or any(
        text(event.get("name")).startswith("gen_ai.") for event in mappings(span.get("events"))
    )


def _log_records(resource: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for scope in mappings(resource.get("scopeLogs")):
        yield from mappings(scope.get("logRecords"))


def _event_name(log: dict[str, Any]) -> str:
    return text(log.get("eventName")) or text(_attributes(log.get("attributes")).get("event.name"))


def _logged(resource: dict[str, Any]) -> Iterator[Found]:
    """Events that were logged instead of being added to their span, assembled by the span that they name: messages
    and choices one by one, or all of a call in one event (``gen_ai.client.inference.operation.details``)."""
    by_span: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for at, log in enumerate(_log_records(resource)):
        if _event_name(log).startswith("gen_ai."):
            span = text(log.get("spanId"))
            by_span.setdefault((text(log.get("traceId")), span or f"log record {at + 1}"), []).append(log)
    for (trace, span), logs in by_span.items():
        times = [text(log.get("timeUnixNano")) or text(log.get("observedTimeUnixNano")) for log in logs]
        events = [{**log, "name": _event_name(log)} for log in logs]
        asked: dict[str, Any] = {"traceId": trace, "spanId": span, "events": events}
        if any(times):
            asked["startTimeUnixNano"] = min(filter(None, times), key=lambda time: time.zfill(20))
        try:
            yield from with_unread(_source_texts(asked, {}), [_call(asked, {})], ASIDE)
        except UnreadableConversationError as error:
            yield RefusedConversation(f"{trace}/{span}", str(error))


def _source_texts(span: dict[str, Any], attributes: dict[str, Any]) -> dict[str, Any]:
    """The texts of a span about its call: its attributes and those of its events, including bodies."""
    told = {key: decoded(value) for key, value in attributes.items() if key.startswith("gen_ai.")}
    for at, event in enumerate(mappings(span.get("events"))):
        if text(event.get("name")).startswith("gen_ai."):
            told[f"event {at}"] = _body(_attributes(event.get("attributes")), event)
    return told


def _asked(attributes: dict[str, Any]) -> bool:
    operation = attributes.get("gen_ai.operation.name")
    if operation is not None:
        return text(operation) in _ASKING
    return any(key in attributes for key in ("gen_ai.request.model", "gen_ai.prompt.0.role", "gen_ai.prompt.0.content"))


def _value(value: Any) -> Any:
    """An AnyValue of the protocol as a JSON value."""
    found = mapping(value)
    if "arrayValue" in found:
        return [_value(each) for each in mappings(mapping(found["arrayValue"]).get("values"))]
    if "kvlistValue" in found:
        return _attributes(mapping(found["kvlistValue"]).get("values"))
    if "intValue" in found:
        given = found["intValue"]
        return int(given) if isinstance(given, str) and given.lstrip("-").isdecimal() else given
    return next((found[key] for key in ("stringValue", "doubleValue", "boolValue", "bytesValue") if key in found), None)


def _attributes(given: Any) -> dict[str, Any]:
    return {text(each.get("key")): _value(each.get("value")) for each in mappings(given)}


def _call(span: dict[str, Any], attributes: dict[str, Any]) -> Conversation:
    events = [
        (text(event.get("name")), _attributes(event.get("attributes")), event) for event in mappings(span.get("events"))
    ]
    every = dict(attributes)
    for _, more, _ in events:
        every.update((key, value) for key, value in more.items() if key.startswith("gen_ai.") and key not in every)
    messages, tools = _messages(every, events)
    if not messages:
        raise UnreadableConversationError("a span without messages (its content was not recorded)")
    said = [ImportedMessage(message=message, parent=at - 1 if at else None) for at, message in enumerate(messages)]
    started, ended = nanoseconds(span.get("startTimeUnixNano")), nanoseconds(span.get("endTimeUnixNano"))
    model = text(every.get("gen_ai.response.model")) or text(every.get("gen_ai.request.model")) or None
    given = _answer(every, events)
    if given is not None:
        reasons = every.get("gen_ai.response.finish_reasons")
        reason = text(reasons[0]) if isinstance(reasons, list) and reasons else ""
        usage = {
            name: every[key]
            for name, key in (
                ("prompt_tokens", "gen_ai.usage.input_tokens"),
                ("completion_tokens", "gen_ai.usage.output_tokens"),
            )
            if figure(every.get(key)) is not None
        }
        said.append(
            ImportedMessage(
                message=given,
                parent=len(said) - 1,
                key=text(span.get("spanId")),
                answered=True,
                model=model,
                started_ns=started,
                duration_ns=max(ended - started, 0) if started is not None and ended is not None else 0,
                usage=usage or None,
                finish_reason=reason or None,
                status="error" if mapping(span.get("status")).get("code") in (_ERROR, "STATUS_CODE_ERROR") else "ok",
            )
        )
    definitions = decoded(every.get("gen_ai.tool.definitions"))
    sampling = {
        key: every[f"gen_ai.request.{key}"] for key in _SAMPLING if every.get(f"gen_ai.request.{key}") is not None
    }
    return Conversation(
        key=text(span.get("spanId")),
        said=said,
        source=text(span.get("traceId")),
        model=text(every.get("gen_ai.request.model")) or model,
        started_ns=started,
        tools=tool_list(definitions if isinstance(definitions, list) else tools),
        sampling=sampling,
        rest={"span": span.get("name"), **_kept(every)},
    )


_Events = list[tuple[str, dict[str, Any], dict[str, Any]]]


def _messages(every: dict[str, Any], events: _Events) -> tuple[list[dict[str, Any]], list[Any]]:
    system = every.get("gen_ai.system_instructions")
    given = every.get("gen_ai.input.messages") or every.get("gen_ai.prompt")
    if given:
        value = decoded(given)
        if system and isinstance(value, list) and not any(mapping(each).get("role") == "system" for each in value):
            return history({"system": system, "messages": value})
        return history(value)
    bodies = ((_ROLES[name], _body(more, event)) for name, more, event in events if name in _ROLES)
    listed = [{"role": role, **body} for role, body in bodies if _CONTENT & body.keys()]  # else it was not recorded
    return history(listed or _numbered(every, "gen_ai.prompt"))


def _answer(every: dict[str, Any], events: _Events) -> dict[str, Any] | None:
    given = every.get("gen_ai.output.messages") or every.get("gen_ai.completion")
    if given:
        return answer(given)
    for name, more, event in events:
        if name == "gen_ai.choice":
            body = _body(more, event)
            return answer(decoded(body.get("message")) or body)
    numbered = _numbered(every, "gen_ai.completion")
    return answer(numbered[0]) if numbered else None


def _body(more: dict[str, Any], event: dict[str, Any]) -> dict[str, Any]:
    """What an event says: its attributes, or a separate body."""
    body = decoded(more.get("event_body")) or _value(event.get("body"))
    found = {**more, **mapping(body)}
    message = {
        key.removeprefix("gen_ai.event."): decoded(value) if key == "tool_calls" else value
        for key, value in found.items()
    }
    if "id" in message and "tool_call_id" not in message:
        message["tool_call_id"] = message.pop("id")
    return message


def _numbered(every: dict[str, Any], stem: str) -> list[dict[str, Any]]:
    """``gen_ai.prompt.0.role``, ``gen_ai.prompt.0.tool_calls.0.name`` ... as messages."""
    found: dict[int, dict[str, Any]] = {}
    for key, value in every.items():
        place, _, rest = key.removeprefix(f"{stem}.").partition(".")
        if not key.startswith(f"{stem}.") or not place.isdecimal() or not rest:
            continue
        message = found.setdefault(int(place), {})
        if rest.startswith("tool_calls."):
            at, _, part = rest.removeprefix("tool_calls.").partition(".")
            message.setdefault("tool_calls", {}).setdefault(at, {})[part] = value
        else:
            message[rest] = decoded(value) if rest == "content" and text(value).startswith("[{") else value
    made = []
    for at_place in sorted(found):
        calls = found[at_place].get("tool_calls")
        listed = [calls[at] for at in sorted(calls)] if isinstance(calls, dict) else []
        made.append(
            {
                "role": "assistant" if "completion" in stem else "user",
                **found[at_place],
                **({"tool_calls": listed} if listed else {}),
            }
        )
    return made


def _kept(every: dict[str, Any]) -> dict[str, Any]:
    names = (
        "gen_ai.conversation.id",
        "gen_ai.agent.name",
        "gen_ai.system",
        "gen_ai.provider.name",
        "gen_ai.response.id",
    )
    return {name: every[name] for name in names if every.get(name)}
