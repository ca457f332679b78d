"""MLflow traces: ``info`` and ``data`` with spans, as ``Trace.to_json`` and the artifact store write them.

Every span of type CHAT_MODEL or LLM is one call, with its inputs as the request. Assessments judge the last answer,
with their source; an assessment of one span judges that one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from regraft.domain.capture.importers.conversation import (
    Found,
    Judgement,
    RefusedConversation,
    UnreadableConversationError,
)
from regraft.domain.capture.importers.judged import number
from regraft.domain.capture.importers.logged_call import CallMetadata, read_call_request
from regraft.domain.capture.importers.messages import tool_list
from regraft.domain.capture.importers.moment import nanoseconds
from regraft.domain.capture.importers.recorded import decoded
from regraft.domain.capture.importers.records import JsonRecord
from regraft.domain.capture.importers.traced_calls import TracedCall, conversations, spans_above
from regraft.domain.capture.importers.values import mapping, mappings, name, text

FORM = "mlflow"
_ASKING = frozenset({"CHAT_MODEL", "LLM"})
_NOT_CALLED = "a trace without a call of a model"
_USAGE = {"input_tokens": "prompt_tokens", "output_tokens": "completion_tokens", "total_tokens": "total_tokens"}


def recognises(record: JsonRecord) -> bool:
    """Whether the record is a trace."""
    return any(_attribute(span, "mlflow.spanType") is not None for span in _spans(mapping(record.value)))


def read(record: JsonRecord) -> Iterator[Found]:
    """The calls of a trace."""
    trace = mapping(record.value)
    info = mapping(trace.get("info"))
    named = text(info.get("trace_id")) or text(info.get("request_id")) or f"record {record.position + 1}"
    spans = _spans(trace)
    parents = {_id(span): text(span.get("parent_span_id")) or text(span.get("parent_id")) for span in spans}
    asking = [span for span in spans if text(_attribute(span, "mlflow.spanType")) in _ASKING]
    if not asking:
        yield RefusedConversation(named, _NOT_CALLED)
        return
    judged: dict[str, list[Judgement]] = {}
    above = spans_above([_id(span) for span in asking], parents)
    inner = [span for span in asking if _id(span) not in above] or asking
    last = _id(max(inner, key=lambda span: nanoseconds(_begun(span)) or 0))
    own = {_id(span) for span in inner}
    for each in mappings(info.get("assessments")) or mappings(trace.get("assessments")):
        about = text(each.get("span_id"))
        judged.setdefault(about if about in own else last, []).extend(_assessed(each))
    calls = []
    for span in asking:
        try:
            calls.append(_call(span, info, parents, tuple(judged.get(_id(span), ()))))
        except UnreadableConversationError as error:
            yield RefusedConversation(f"{named}/{_id(span)}", str(error), error.place)
    yield from conversations(named, calls, parents)


def _spans(trace: dict[str, Any]) -> list[dict[str, Any]]:
    return mappings(mapping(decoded(trace.get("data"))).get("spans")) or mappings(decoded(trace.get("spans")))


def _id(span: dict[str, Any]) -> str:
    return name(span.get("span_id")) or name(mapping(span.get("context")).get("span_id"))


def _begun(span: dict[str, Any]) -> Any:
    return span.get("start_time_unix_nano", span.get("start_time_ns", span.get("start_time")))


def _attribute(span: dict[str, Any], key: str) -> Any:
    return decoded(mapping(span.get("attributes")).get(key))


def _call(
    span: dict[str, Any], info: dict[str, Any], parents: dict[str, str], judged: tuple[Judgement, ...]
) -> TracedCall:
    inputs = _attribute(span, "mlflow.spanInputs")
    outputs = _attribute(span, "mlflow.spanOutputs")
    usage = mapping(_attribute(span, "mlflow.chat.tokenUsage"))
    status = span.get("status") or span.get("status_code")
    code = text(mapping(status).get("code")) or text(mapping(status).get("status_code")) or text(status)
    metadata = mapping(info.get("trace_metadata")) or mapping(info.get("request_metadata"))
    request = read_call_request(inputs if inputs is not None else span.get("inputs"), outputs)
    return TracedCall(
        key=_id(span),
        parent=parents.get(_id(span), ""),
        request=request,
        response=outputs if outputs is not None else span.get("outputs"),
        measured=CallMetadata(
            key=_id(span),
            started_ns=nanoseconds(_begun(span)),
            ended_ns=nanoseconds(span.get("end_time_unix_nano", span.get("end_time_ns", span.get("end_time")))),
            model=text(_attribute(span, "mlflow.llm.model")) or text(mapping(inputs).get("model")) or None,
            usage={_USAGE.get(key, key): value for key, value in usage.items()} or None,
            failed="ERROR" in code,
            judgements=judged,
        ),
        tools=tool_list(_attribute(span, "mlflow.chat.tools")),
        rest={"name": span.get("name"), **({"trace": metadata} if metadata else {}), **_tags(info)},
    )


def _tags(info: dict[str, Any]) -> dict[str, Any]:
    tags = info.get("tags")
    return {"tags": tags} if tags else {}


def _assessed(each: dict[str, Any]) -> Iterator[Judgement]:
    given = mapping(each.get("feedback")) or mapping(each.get("expectation"))
    value = number(given.get("value"))
    if value is None and text(given.get("value")).lower() in ("yes", "no", "pass", "fail"):
        value = float(text(given.get("value")).lower() in ("yes", "pass"))
    if value is None or "feedback" not in each:
        return
    source = mapping(each.get("source"))
    who = " ".join(filter(None, ["mlflow", text(source.get("source_type")), text(source.get("source_id"))]))
    kind = text(each.get("assessment_name")) or text(each.get("name"))
    yield Judgement(name=f"score:{kind}", value=value, source=who, comment=text(each.get("rationale")) or None)
