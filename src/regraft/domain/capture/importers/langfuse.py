"""Langfuse exports: ``{trace, observations}``, a trace with its observations, or observations one per line.

Every observation of type GENERATION is one call: its input is the history, its output the answer. One that only wraps
another generation repeats the same call, and is left out and named. Scores are judgements, with the source that
Langfuse gives them; a score of the whole trace goes to its last call."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from regraft.domain.capture.importers.conversation import (
    Conversation,
    Found,
    ImportedMessage,
    Judgement,
    RefusedConversation,
    UnreadableConversationError,
)
from regraft.domain.capture.importers.messages import tool_list
from regraft.domain.capture.importers.moment import nanoseconds
from regraft.domain.capture.importers.recorded import ASIDE, answer, decoded, history
from regraft.domain.capture.importers.records import JsonRecord
from regraft.domain.capture.importers.unread import with_unread
from regraft.domain.capture.importers.values import figure, mapping, mappings, text
from regraft.domain.capture.judges import MODEL, PERSON

FORM = "langfuse"
_GIVEN_BY = {"EVAL": MODEL, "ANNOTATION": PERSON}
_SAMPLING = frozenset(
    {"temperature", "top_p", "top_k", "max_tokens", "max_completion_tokens", "seed", "stop", "frequency_penalty"}
    | {"presence_penalty", "reasoning_effort", "n"}
)
_KEPT = ("statusMessage", "version", "environment", "promptName", "promptVersion", "promptId")
_USAGE = {"input": "prompt_tokens", "output": "completion_tokens", "total": "total_tokens"}


def recognises(record: JsonRecord) -> bool:
    """Whether the record is a trace, or an observation of one."""
    value = mapping(record.value)
    return bool(mappings(value.get("observations"))) or (
        "traceId" in value and "type" in value and "startTime" in value
    )


def read(record: JsonRecord) -> Iterator[Found]:
    """The calls of a trace, each with its own history."""
    value = mapping(record.value)
    trace = mapping(value.get("trace")) or (value if "observations" in value else {})
    observations = mappings(value.get("observations")) or mappings(trace.get("observations")) or [value]
    known = {text(each.get("id")): each for each in observations}
    calls: list[tuple[Any, str, Conversation]] = []
    refused: dict[str, str] = {}
    for each in observations:
        if each.get("type") != "GENERATION":
            continue
        key = text(each.get("id"))
        try:
            (call,) = with_unread(_source_texts(each), [_call(each, trace)], ASIDE)
            if isinstance(call, Conversation):
                calls.append((nanoseconds(each.get("startTime")) or 0, key, call))
        except UnreadableConversationError as error:
            refused[key] = str(error)
    wrapping = {above for _, key, _ in calls for above in _above(known, key)}
    inner = [call for call in calls if call[1] not in wrapping]
    refused.update(
        {key: "a generation that wraps another one, which is kept" for _, key, _ in calls if key in wrapping}
    )
    inner.sort(key=lambda call: call[:2])
    scores = mappings(trace.get("scores")) + mappings(value.get("scores"))
    for at, (_, key, conversation) in enumerate(inner):
        own = [score for score in scores if text(score.get("observationId")) == key]
        if at == len(inner) - 1:
            own += [score for score in scores if not text(score.get("observationId"))]
        yield _judged(conversation, own)
    for key, reason in refused.items():
        yield RefusedConversation(f"{text(trace.get('id'))}/{key}", reason)
    inside = {key for _, key, _ in inner}
    for score in scores:
        about = text(score.get("observationId"))
        if (about and about not in inside) or not inner:
            yield RefusedConversation(
                f"score {text(score.get('id'))}", "a score of something that is not a call that could be read"
            )


def _source_texts(each: dict[str, Any]) -> dict[str, Any]:
    """The texts of an observation about its call, for the check of unread texts."""
    return {name: decoded(each.get(name)) for name in ("input", "output")}


def _above(known: dict[str, dict[str, Any]], key: str) -> Iterator[str]:
    seen = {key}
    above = text(mapping(known.get(key)).get("parentObservationId"))
    while above and above not in seen:
        seen.add(above)
        yield above
        above = text(mapping(known.get(above)).get("parentObservationId"))


def _call(each: dict[str, Any], trace: dict[str, Any]) -> Conversation:
    key = text(each.get("id"))
    if each.get("input") is None:
        raise UnreadableConversationError(
            "an answer without its history" if each.get("output") is not None else "neither a history nor an answer"
        )
    messages, tools = history(each["input"])
    if not messages:
        raise UnreadableConversationError("an input without messages")
    said = [ImportedMessage(message=message, parent=at - 1 if at else None) for at, message in enumerate(messages)]
    started, ended = nanoseconds(each.get("startTime")), nanoseconds(each.get("endTime"))
    first = nanoseconds(each.get("completionStartTime"))
    usage = mapping(each.get("usageDetails"))
    if each.get("output") is not None:
        level = text(each.get("level"))
        said.append(
            ImportedMessage(
                message=answer(each["output"]),
                parent=len(said) - 1,
                key=key,
                answered=True,
                model=text(each.get("model")) or None,
                started_ns=started,
                duration_ns=max(ended - started, 0) if started is not None and ended is not None else 0,
                first_byte_ns=max(first - started, 0) if started is not None and first is not None else None,
                usage={_USAGE.get(name, name): value for name, value in usage.items()} or None,
                status="error" if level == "ERROR" else "ok",
            )
        )
    session = text(trace.get("sessionId"))
    return Conversation(
        key=key,
        said=said,
        source=text(trace.get("id")) or text(each.get("traceId")),
        model=text(each.get("model")) or None,
        started_ns=started,
        tools=tool_list(tools or _definitions(each.get("toolDefinitions"))),
        sampling=_sampling(mapping(each.get("modelParameters"))),
        rest={
            **{key: each[key] for key in _KEPT if each.get(key) not in (None, "")},
            "name": each.get("name"),
            "trace": trace.get("name"),
            **({"session": session} if session else {}),
        },
    )


def _definitions(given: Any) -> list[Any]:
    found = decoded(given)
    if isinstance(found, dict):
        return [decoded(each) for each in found.values()]
    return found if isinstance(found, list) else []


def _sampling(given: dict[str, Any]) -> dict[str, Any]:
    return {key: given[key] for key in given if key in _SAMPLING and given[key] not in (None, "null", "")}


def _judged(conversation: Conversation, scores: list[dict[str, Any]]) -> Conversation:
    found = []
    for score in scores:
        value = figure(score.get("value"))
        if value is not None:
            source = f"langfuse {text(score.get('source'))}".strip()
            comment = text(score.get("comment")) or None
            found.append(
                Judgement(
                    name=f"score:{text(score.get('name'))}",
                    value=value,
                    source=source,
                    comment=comment,
                    given_by=_GIVEN_BY.get(text(score.get("source")), ""),
                )
            )
    if not found:
        return conversation
    said = conversation.said
    return replace(conversation, said=[*said[:-1], replace(said[-1], judgements=tuple(found))])
