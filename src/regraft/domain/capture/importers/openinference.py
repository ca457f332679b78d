"""Spans in OpenInference's form, as Phoenix exports them: a span each line, or a row of its table of spans.

Every span of the kind LLM is one call: ``llm.input_messages`` is its history, ``llm.output_messages`` its answer, as
nested attributes, as flat ones with dots, or as columns ``attributes.llm...``. Annotations judge the answer, with their
kind.
Source: Semantic conventions of OpenInference, github.com/Arize-ai/openinference.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from regraft.domain.capture.importers.conversation import (
    Found,
    Judgement,
    RefusedConversation,
    UnreadableConversationError,
)
from regraft.domain.capture.importers.judged import number
from regraft.domain.capture.importers.logged_call import CallMetadata, LoggedRequest
from regraft.domain.capture.importers.messages import content_of, text_part, tool_call, tool_list
from regraft.domain.capture.importers.moment import nanoseconds
from regraft.domain.capture.importers.recorded import decoded, history
from regraft.domain.capture.importers.records import JsonRecord
from regraft.domain.capture.importers.traced_calls import TracedCall, conversations
from regraft.domain.capture.importers.values import mapping, mappings, name, text

FORM = "openinference"
ASKING = "LLM"  # the kind of a span that asked a model
NOT_CALLED = "a span that is not a call of a model"
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
    if _kind(span) != ASKING:
        yield RefusedConversation(f"{trace}/{key}", NOT_CALLED)
        return
    try:
        call = traced_call(
            _attributes(span),
            Span(
                key=key,
                parent=name(span.get("parent_id")),
                title=span.get("name"),
                started_ns=nanoseconds(span.get("start_time")),
                ended_ns=nanoseconds(span.get("end_time")),
                failed=span.get("status_code") == "ERROR",
                status_message=span.get("status_message"),
                judgements=tuple(_annotated(span)),
            ),
        )
    except UnreadableConversationError as error:
        yield RefusedConversation(f"{trace}/{key}", str(error), error.place)
        return
    yield from conversations(trace, [call], {key: call.parent})


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """What a span says of a call besides its attributes."""

    key: str
    parent: str
    title: Any = None
    started_ns: int | None = None
    ended_ns: int | None = None
    failed: bool = False
    status_message: Any = None
    judgements: tuple[Judgement, ...] = ()


def kind_of(flat: dict[str, Any]) -> str:
    """The kind of a span by its flat attributes; empty for one of another convention."""
    return text(flat.get("openinference.span.kind")).upper()


def traced_call(given: dict[str, Any], span: Span) -> TracedCall:
    """The call that attributes, flat or nested, tell of. Raises UnreadableConversationError."""
    attributes = _nested(given)
    llm = mapping(attributes.get("llm"))
    messages = [_message(each, "user") for each in _elements(llm.get("input_messages"))]
    prompts = _texts(llm.get("prompts"), "prompt")
    if not messages and len(prompts) > 1:
        raise UnreadableConversationError("a span that asked with several prompts at once")
    messages = messages or [{"role": "user", "content": each} for each in prompts]
    tools: list[Any] = [
        decoded(mapping(mapping(each).get("tool")).get("json_schema")) for each in _elements(llm.get("tools"))
    ]
    asked = mapping(attributes.get("input")).get("value")
    if not messages and asked is not None:
        messages, more = history(asked)
        tools = tools or more
    counts = mapping(llm.get("token_count"))
    usage = {_COUNTS[each]: value for each in _COUNTS if (value := counts.get(each)) is not None}
    whole = text(llm.get("model_name"))
    model = text(mapping(llm.get("request")).get("model_name")) or whole
    settings = mapping(decoded(llm.get("invocation_parameters")))
    return TracedCall(
        key=span.key,
        parent=span.parent,
        request=LoggedRequest(messages, "", model, tool_list([each for each in tools if each])),
        response=_response(llm, mapping(attributes.get("output")).get("value")),
        measured=CallMetadata(
            key=span.key,
            started_ns=span.started_ns,
            ended_ns=span.ended_ns,
            model=text(mapping(llm.get("response")).get("model_name")) or whole or model or None,
            usage=usage or None,
            failed=span.failed,
            judgements=(*span.judgements, *_flat_annotations(attributes)),
        ),
        sampling={each: value for each, value in settings.items() if each not in ("model", "tools", "messages")},
        rest={
            each: value
            for each, value in (
                ("name", span.title),
                ("session", attributes.get("session")),
                ("user", attributes.get("user")),
                ("metadata", attributes.get("metadata")),
                ("prompt_template", llm.get("prompt_template")),
                ("status_message", span.status_message),
            )
            if value not in (None, "", {}, [])
        },
    )


def _response(llm: dict[str, Any], produced: Any) -> Any:
    """The answer, or several, with the endings that the raw response names; or the raw response."""
    said = [_message(each, "assistant") for each in _elements(llm.get("output_messages"))]
    completions = [{"role": "assistant", "content": each} for each in _texts(llm.get("choices"), "completion")]
    raw = decoded(produced)
    if not any(each.get("content") or each.get("tool_calls") or each.get("function_call") for each in said):
        if not completions:
            return raw
        said = completions
    choices = mappings(mapping(raw).get("choices"))
    endings = [each.get("finish_reason") for each in choices]
    endings = endings or [mapping(raw).get("stop_reason") or llm.get("finish_reason")]
    if len(said) == len(endings) or said is completions:
        endings += [None] * (len(said) - len(endings))
        return {
            "choices": [
                {"index": at, "message": each, **({"finish_reason": ending} if isinstance(ending, str) else {})}
                for at, (each, ending) in enumerate(zip(said, endings, strict=False))
            ]
        }
    return said  # one answer in several messages


def _texts(listed: Any, member: str) -> list[str]:
    """Texts of the completions API: ``prompts.0.prompt.text``, or a list of texts."""
    found = decoded(listed)
    if isinstance(found, str):
        return [found]
    if isinstance(found, list):
        return [each for each in found if isinstance(each, str)] or [
            text(mapping(_nested(each).get(member)).get("text")) for each in mappings(found)
        ]
    return [said for each in _elements(found) if (said := text(mapping(mapping(each).get(member)).get("text")))]


def _flat_annotations(attributes: dict[str, Any]) -> Iterator[Judgement]:
    """Judgements among the attributes: ``annotations.0.annotation.score``, ``evaluations.0.evaluation.score``."""
    for listed, member in (("annotations", "annotation"), ("evaluations", "evaluation")):
        for each in _elements(attributes.get(listed)):
            found = mapping(mapping(each).get(member))
            if found:
                yield from _judged(found, found)


def _kind(span: dict[str, Any]) -> str:
    found = text(span.get("span_kind"))
    return found or text(mapping(mapping(_attributes(span).get("openinference")).get("span")).get("kind"))


def _attributes(span: dict[str, Any]) -> dict[str, Any]:
    given = mapping(decoded(span.get("attributes")))
    return _nested(given) if given else mapping(_nested(span).get("attributes"))


def _nested(flat: dict[str, Any]) -> dict[str, Any]:
    """Members with dots in their names as members of one another; numbers represent places in a list."""
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


def _message(each: Any, default: str) -> dict[str, Any]:
    said = mapping(mapping(each).get("message")) or mapping(each)
    given = text(said.get("role")) or default
    made: dict[str, Any] = {"role": _ROLES.get(given, given), "content": said.get("content")}
    parts: list[Any] = []
    thoughts: list[str] = []
    calls = [_call(one) for one in _elements(said.get("tool_calls"))]
    for one in _elements(said.get("contents")):
        part = mapping(one).get("message_content", one)
        if mapping(part).get("type") == "reasoning":
            thoughts.append(text(mapping(part).get("text")))
        elif "tool_call" in mapping(one):
            call = _call(one)
            calls += [] if call in calls else [call]
        else:
            parts.append(_part(part))
    if parts and made["content"] is None:
        made["content"] = content_of(parts)
    if any(thoughts):
        made["reasoning_content"] = "\n\n".join(filter(None, thoughts))
    if calls:
        made["tool_calls"] = calls
    elif said.get("function_call_name"):
        arguments = said.get("function_call_arguments_json") or ""
        made["function_call"] = {"name": said["function_call_name"], "arguments": arguments}
    made.update((key, said[key]) for key in ("tool_call_id", "name") if said.get(key))
    return made


def _call(each: Any) -> dict[str, Any]:
    found = mapping(mapping(each).get("tool_call")) or mapping(each)
    function = mapping(found.get("function"))
    return tool_call(found.get("id"), function.get("name"), function.get("arguments"))


def _part(part: Any) -> Any:
    found = mapping(part)
    if isinstance(found.get("text"), str):
        return text_part(found["text"])
    url = mapping(mapping(found.get("image")).get("image")).get("url")
    return {"type": "image_url", "image_url": {"url": url}} if url else part


def _annotated(span: dict[str, Any]) -> Iterator[Judgement]:
    for each in mappings(decoded(span.get("annotations"))) or mappings(decoded(span.get("span_annotations"))):
        yield from _judged(each, mapping(each.get("result")) or each)


def _judged(each: dict[str, Any], result: dict[str, Any]) -> Iterator[Judgement]:
    value = number(result.get("score"))
    if value is not None:
        kind = text(each.get("annotator_kind"))
        comment = text(result.get("explanation")) or text(result.get("label")) or None
        named = f"score:{text(each.get('name'))}"
        yield Judgement(name=named, value=value, source=f"phoenix {kind}".strip(), comment=comment)
