"""Spans in OpenInference's form, as Phoenix exports them: a span each line, or a row of its table of spans.

Every span of the kind LLM is one call: ``llm.input_messages`` is its history, ``llm.output_messages`` its answer, as
nested attributes, as flat ones with dots, or as columns ``attributes.llm...``. Annotations judge the answer, with their
kind.
Source: Semantic conventions of OpenInference, github.com/Arize-ai/openinference.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from regraft.domain.capture.importers.conversation import Found, Judgement, RefusedConversation
from regraft.domain.capture.importers.judged import number
from regraft.domain.capture.importers.logged_call import Asked, Measured
from regraft.domain.capture.importers.messages import content_of, text_part, tool_call, tool_list
from regraft.domain.capture.importers.moment import nanoseconds
from regraft.domain.capture.importers.recorded import decoded, history
from regraft.domain.capture.importers.records import JsonRecord
from regraft.domain.capture.importers.traced_calls import TracedCall, conversations
from regraft.domain.capture.importers.values import mapping, mappings, name, text

FORM = "openinference"
_NOT_CALLED = "a span that is no call of a model"
_DEEPEST = 16  # levels of a flat name
_MOST = 10_000  # elements that flat names number
_COUNTS = {"prompt": "prompt_tokens", "completion": "completion_tokens", "total": "total_tokens"}
_ROLES = {"human": "user", "ai": "assistant", "model": "assistant"}


def recognises(record: JsonRecord) -> bool:
    """Whether the record is such a span."""
    span = mapping(record.value)
    return bool(_kind(span)) and ("context" in span or any(key.startswith(("context.", "attributes")) for key in span))


def read(record: JsonRecord) -> Iterator[Found]:
    """The call of a span."""
    span = mapping(record.value)
    context = mapping(_nested(span).get("context"))
    trace, key = name(context.get("trace_id")), name(context.get("span_id")) or f"record {record.position + 1}"
    if _kind(span) != "LLM":
        yield RefusedConversation(f"{trace}/{key}", _NOT_CALLED)
        return
    attributes = _attributes(span)
    llm = mapping(attributes.get("llm"))
    messages = [_message(each) for each in _elements(llm.get("input_messages"))]
    tools: list[Any] = [
        decoded(mapping(mapping(each).get("tool")).get("json_schema")) for each in _elements(llm.get("tools"))
    ]
    given = mapping(attributes.get("input")).get("value")
    if not messages and given is not None:
        messages, more = history(given)
        tools = tools or more
    said = [_message(each) for each in _elements(llm.get("output_messages"))]
    produced: Any = mapping(attributes.get("output")).get("value")
    response = said if any(each.get("content") or each.get("tool_calls") for each in said) else decoded(produced)
    settings = mapping(decoded(llm.get("invocation_parameters")))
    counts = mapping(llm.get("token_count"))
    usage = {_COUNTS[each]: value for each in _COUNTS if (value := counts.get(each)) is not None}
    model = text(llm.get("model_name"))
    call = TracedCall(
        key=key,
        parent=name(span.get("parent_id")),
        request=Asked(messages, "", model, tool_list([each for each in tools if each])),
        response=response,
        measured=Measured(
            key=key,
            started_ns=nanoseconds(span.get("start_time")),
            ended_ns=nanoseconds(span.get("end_time")),
            model=model or None,
            usage=usage or None,
            failed=span.get("status_code") == "ERROR",
            judgements=tuple(_annotated(span)),
        ),
        sampling={each: value for each, value in settings.items() if each not in ("model", "tools", "messages")},
        rest={
            each: value
            for each, value in (
                ("name", span.get("name")),
                ("session", attributes.get("session")),
                ("user", attributes.get("user")),
                ("metadata", attributes.get("metadata")),
                ("prompt_template", llm.get("prompt_template")),
                ("status_message", span.get("status_message")),
            )
            if value not in (None, "", {}, [])
        },
    )
    yield from conversations(trace, [call], {key: call.parent})


def _kind(span: dict[str, Any]) -> str:
    found = text(span.get("span_kind"))
    return found or text(mapping(mapping(_attributes(span).get("openinference")).get("span")).get("kind"))


def _attributes(span: dict[str, Any]) -> dict[str, Any]:
    given = mapping(decoded(span.get("attributes")))
    return _nested(given) if given else mapping(_nested(span).get("attributes"))


def _nested(flat: dict[str, Any]) -> dict[str, Any]:
    """Members with dots in their names as members of one another; numbers stand for places in a list."""
    made: dict[str, Any] = {}
    for key, value in flat.items():
        steps = key.split(".", _DEEPEST)
        at = made
        for step in steps[:-1]:
            inner = at.get(step)
            if not isinstance(inner, dict):
                inner = at[step] = {}
            at = inner
        if not (isinstance(at.get(steps[-1]), dict) and not isinstance(value, dict)):
            at[steps[-1]] = _nested(value) if isinstance(value, dict) else value
    return made


def _elements(value: Any) -> list[Any]:
    """The elements of a list, which flat names number."""
    found = decoded(value)
    if isinstance(found, dict):
        places = sorted((int(key), key) for key in found if key.isdecimal() and len(key) < len(str(_MOST)))
        return [found[key] for _, key in places]
    return [_nested(each) for each in mappings(found)]


def _message(each: Any) -> dict[str, Any]:
    said = mapping(mapping(each).get("message")) or mapping(each)
    given = text(said.get("role"))
    made: dict[str, Any] = {"role": _ROLES.get(given, given), "content": said.get("content")}
    parts = [_part(mapping(part).get("message_content", part)) for part in _elements(said.get("contents"))]
    if parts and made["content"] is None:
        made["content"] = content_of(parts)
    calls = []
    for one in _elements(said.get("tool_calls")):
        found = mapping(mapping(one).get("tool_call")) or mapping(one)
        function = mapping(found.get("function"))
        calls.append(tool_call(found.get("id"), function.get("name"), function.get("arguments")))
    if calls:
        made["tool_calls"] = calls
    made.update((key, said[key]) for key in ("tool_call_id", "name") if said.get(key))
    return made


def _part(part: Any) -> Any:
    found = mapping(part)
    if isinstance(found.get("text"), str):
        return text_part(found["text"])
    url = mapping(mapping(found.get("image")).get("image")).get("url")
    return {"type": "image_url", "image_url": {"url": url}} if url else part


def _annotated(span: dict[str, Any]) -> Iterator[Judgement]:
    for each in mappings(decoded(span.get("annotations"))) or mappings(decoded(span.get("span_annotations"))):
        result = mapping(each.get("result")) or each
        value = number(result.get("score"))
        if value is not None:
            kind = text(each.get("annotator_kind"))
            comment = text(result.get("explanation")) or text(result.get("label")) or None
            named = f"score:{text(each.get('name'))}"
            yield Judgement(name=named, value=value, source=f"phoenix {kind}".strip(), comment=comment)
