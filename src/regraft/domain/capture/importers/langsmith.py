"""LangSmith runs: a run with its ``child_runs``, or a run each line (bulk export, ``list_runs``).

Every run of type ``llm`` is one call. Feedback (``feedback_stats``, or a list of ``feedback``) judges its answer.
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
from regraft.domain.capture.importers.traced_calls import TracedCall, conversations
from regraft.domain.capture.importers.values import mapping, mappings, name, text

FORM = "langsmith"
_NOT_CALLED = "a run that is not a call of a model"
_SAMPLING = frozenset(
    {"temperature", "top_p", "top_k", "max_tokens", "max_completion_tokens", "seed", "stop", "frequency_penalty"}
    | {"presence_penalty", "reasoning_effort", "n"}
)


def recognises(record: JsonRecord) -> bool:
    """Whether the record is a run."""
    run = mapping(record.value)
    return "run_type" in run and "inputs" in run


def read(record: JsonRecord) -> Iterator[Found]:
    """The calls of a run and of the runs in it."""
    calls: list[TracedCall] = []
    parents: dict[str, str] = {}
    waiting = [(mapping(record.value), "")]
    trace = text(mapping(record.value).get("trace_id")) or name(mapping(record.value).get("id"))
    while waiting:
        run, above = waiting.pop()
        key = name(run.get("id")) or f"{record.position}:{len(parents)}"
        parents[key] = above or name(run.get("parent_run_id"))
        waiting.extend((each, key) for each in reversed(mappings(decoded(run.get("child_runs")))))
        if run.get("run_type") != "llm":
            if not mappings(run.get("child_runs")):
                yield RefusedConversation(f"{trace}/{key}", _NOT_CALLED)
            continue
        try:
            calls.append(_call(run, key, parents[key]))
        except UnreadableConversationError as error:
            yield RefusedConversation(f"{trace}/{key}", str(error), error.place)
    yield from conversations(trace, calls, parents)


def _call(run: dict[str, Any], key: str, parent: str) -> TracedCall:
    extra = mapping(decoded(run.get("extra")))
    about, metadata = mapping(extra.get("invocation_params")), mapping(extra.get("metadata"))
    outputs = decoded(run.get("outputs"))
    usage = mapping(mapping(outputs).get("usage_metadata")) or mapping(mapping(outputs).get("usage"))
    counted = {each: run[each] for each in ("prompt_tokens", "completion_tokens", "total_tokens") if run.get(each)}
    model = text(about.get("model")) or text(about.get("model_name")) or text(metadata.get("ls_model_name"))
    return TracedCall(
        key=key,
        parent=parent,
        request=read_call_request(run.get("inputs"), outputs),
        response=outputs,
        measured=CallMetadata(
            key=key,
            started_ns=nanoseconds(run.get("start_time")),
            ended_ns=nanoseconds(run.get("end_time")),
            model=model or None,
            usage=usage or counted or None,
            failed=bool(run.get("error")) or run.get("status") == "error",
            judgements=tuple(_feedback(run)),
        ),
        tools=tool_list(about.get("tools") or about.get("functions")),
        sampling={each: about[each] for each in about if each in _SAMPLING and about[each] is not None},
        rest={
            each: run[each]
            for each in ("name", "session_id", "session_name", "tags", "error", "trace_id", "extra", "events")
            if run.get(each)
        },
    )


def _feedback(run: dict[str, Any]) -> Iterator[Judgement]:
    for key, stats in mapping(decoded(run.get("feedback_stats"))).items():
        value = number(mapping(stats).get("avg", mapping(stats).get("mean")))
        if value is not None:
            yield Judgement(name=f"score:{key}", value=value, source="langsmith")
    for each in mappings(decoded(run.get("feedback"))):
        value = number(each.get("score"))
        if value is not None:
            source = text(mapping(each.get("feedback_source")).get("type"))
            comment = text(each.get("comment")) or None
            named = f"score:{text(each.get('key'))}"
            yield Judgement(name=named, value=value, source=f"langsmith {source}".strip(), comment=comment)
