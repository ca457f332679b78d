"""Inspect AI logs: ``samples`` of a ``.json`` log, or ``samples/*.json`` of an ``.eval`` zip.

Samples of one task and one dataset id are a task group (its epochs). Scores are judgements of the scorer: C is 1, P is
0.5, I and N are 0. Texts that the log keeps apart (``attachment://``) are put back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from regraft.domain.capture.importers.conversation import (
    Conversation,
    Found,
    ImportedMessage,
    Judgement,
    UnreadableConversationError,
)
from regraft.domain.capture.importers.messages import checked, content_of, role_of, tool_call
from regraft.domain.capture.importers.moment import nanoseconds
from regraft.domain.capture.importers.records import JsonRecord
from regraft.domain.capture.importers.values import figure, mapping, mappings, name, rest, text

FORM = "inspect_ai"
_ATTACHMENT = "attachment://"
_GRADES = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0}
ASIDE = frozenset({"events", "attachments", "store", "scores"})  # other work of the solver; texts that are put back
_KNOWN = frozenset({"id", "epoch", "messages", "output", "events", "attachments", "input", "store", "uuid"})
_KNOWN_OF_MESSAGE = frozenset({"id", "content", "role", "tool_calls", "tool_call_id", "function", "model", "error"})
_SECOND = 1e9
_SAMPLING = frozenset({"temperature", "top_p", "top_k", "max_tokens", "seed", "frequency_penalty", "presence_penalty"})


def recognises(record: JsonRecord) -> bool:
    """Whether the record is a sample of a log, or a log without any."""
    value = mapping(record.value)
    sample = isinstance(value.get("messages"), list) and "epoch" in value
    return sample or ("eval" in value and "plan" in value)


def read(record: JsonRecord) -> Iterator[Found]:
    """The conversation of a sample."""
    sample, run = mapping(record.value), mapping(record.head.get("eval"))
    if "eval" in sample and "messages" not in sample:
        return
    attachments = mapping(sample.get("attachments"))
    given = sample.get("messages")
    if not isinstance(given, list):
        raise UnreadableConversationError("no list of messages")
    messages = [_restored(each, attachments) for each in given]
    calls = _model_calls(sample, attachments)
    said = [_said(message, at - 1 if at else None, calls) for at, message in enumerate(messages)]
    if said:  # texts that are put back stand in the file as their addresses
        said[0] = replace(said[0], source_texts=tuple(f"{_ATTACHMENT}{key}" for key in attachments))
    answers = [at for at, each in enumerate(said) if each.answered]
    if answers:
        said[answers[-1]] = _scored(said[answers[-1]], sample)
    task, sample_id = text(run.get("task")), name(sample.get("id"))
    run_id = text(run.get("eval_id")) or text(run.get("run_id"))
    yield checked(
        Conversation(
            key=text(sample.get("uuid")) or f"{run_id}/{sample_id}/{name(sample.get('epoch'))}",
            said=said,
            source=task,
            task=f"inspect:{task}/{sample_id}",
            model=text(run.get("model")) or None,
            started_ns=nanoseconds(run.get("created")),
            rest={**rest(sample, _KNOWN), "sample": sample.get("id"), "epoch": sample.get("epoch"), "run": run_id},
        )
    )


def _restored(value: Any, attachments: dict[str, Any]) -> Any:
    if isinstance(value, str):
        return attachments.get(value.removeprefix(_ATTACHMENT), value) if value.startswith(_ATTACHMENT) else value
    if isinstance(value, dict):
        return {key: _restored(each, attachments) for key, each in value.items()}
    return [_restored(each, attachments) for each in value] if isinstance(value, list) else value


def _model_calls(sample: dict[str, Any], attachments: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What the log says of each call of a model, by the id of the message that it gave."""
    found: dict[str, dict[str, Any]] = {}
    for event in mappings(sample.get("events")):
        for choice in mappings(mapping(event.get("output")).get("choices")) if event.get("event") == "model" else []:
            key = text(mapping(choice.get("message")).get("id"))
            if key:
                found[key] = {**event, "tools": _restored(event.get("tools"), attachments), "choice": choice}
    return found


def _said(message: Any, parent: int | None, calls: dict[str, dict[str, Any]]) -> ImportedMessage:
    role = role_of(message)
    made: dict[str, Any] = {"role": role, "content": _content(message.get("content"))}
    if role == "tool":
        made["tool_call_id"] = message.get("tool_call_id")
        if text(message.get("function")):
            made["name"] = message["function"]
        if message.get("error") is not None:
            made["error"] = message["error"]
    if mappings(message.get("tool_calls")):
        made["tool_calls"] = [_call(call) for call in mappings(message["tool_calls"])]
    key = text(message.get("id"))
    event = calls.get(key, {})
    output, config = mapping(event.get("output")), mapping(event.get("config"))
    seconds = figure(output.get("time")) or 0.0
    tools = [_tool(each) for each in mappings(event.get("tools"))]
    return ImportedMessage(
        message=made,
        parent=parent,
        key=key,
        answered=role == "assistant",
        model=text(message.get("model")) or text(output.get("model")) or None,
        started_ns=nanoseconds(event.get("timestamp")),
        duration_ns=int(seconds * _SECOND),
        usage=mapping(output.get("usage")) or None,
        finish_reason=text(mapping(event.get("choice")).get("stop_reason")) or None,
        tools={"tools": tools} if tools else None,
        sampling={each: config[each] for each in config if each in _SAMPLING and config[each] is not None} or None,
        rest=rest(message, _KNOWN_OF_MESSAGE),
    )


def _content(content: Any) -> Any:
    if not isinstance(content, list):
        return content
    return content_of([_part(part) for part in content])


def _part(part: Any) -> Any:
    kind = mapping(part).get("type")
    if kind == "text" and isinstance(part.get("text"), str):
        return {"type": "text", "text": part["text"]}
    if kind == "image" and isinstance(part.get("image"), str):
        return {"type": "image_url", "image_url": {"url": part["image"], "detail": part.get("detail") or "auto"}}
    return part


def _call(call: dict[str, Any]) -> dict[str, Any]:
    made = tool_call(call.get("id"), call.get("function"), call.get("arguments"))
    return {**made, "parse_error": call["parse_error"]} if call.get("parse_error") else made


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "function",
        "function": {key: tool[key] for key in ("name", "description", "parameters") if key in tool},
    }


def _scored(said: ImportedMessage, sample: dict[str, Any]) -> ImportedMessage:
    judgements = []
    for scorer, score in mapping(sample.get("scores")).items():
        value = mapping(score).get("value")
        values = value.items() if isinstance(value, dict) else [("", value)]
        for part, each in values:
            number = _GRADES.get(each) if isinstance(each, str) else figure(each)
            if number is not None:
                full = f"score:{scorer}.{part}" if part else f"score:{scorer}"
                comment = text(mapping(score).get("explanation")) or None
                judgements.append(Judgement(name=full, value=number, source=f"inspect {scorer}", comment=comment))
    return replace(said, judgements=said.judgements + tuple(judgements))
