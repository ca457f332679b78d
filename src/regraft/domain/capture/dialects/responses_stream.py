"""Answers of the OpenAI Responses API, whole or streamed: an answer's items are one assistant message.

A stream is read from its deltas; an item that is sent whole replaces what was assembled from pieces, and the last
response, if the stream got that far, replaces all. A stream that was cut gives what came.
Source: OpenAI API reference, Responses and its streaming events.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from regraft.domain.capture.answer import Answer, Choice, events, is_stream, read_object, unreadable
from regraft.domain.capture.dialects.responses import keep_items

# Tuples, since what is looked up in them may not be hashable.
_ENDS = ("response.completed", "response.incomplete", "response.failed")
_UNFINISHED = ("queued", "in_progress", "cancelled")
_INCOMPLETE = {"max_output_tokens": "length", "content_filter": "content_filter"}
_CALLS = ("function_call", "custom_tool_call")
_ECHOED = frozenset({"tools", "instructions"})  # what the request said already, at length
_OWN_KEYS = frozenset({"output", "model", "usage", "error"}) | _ECHOED
# Deltas of parts: the item's type, its list of parts, the part's type, the text's key, the key of the part's number.
_PART_DELTAS = {
    "response.output_text": ("message", "content", "output_text", "text", "content_index"),
    "response.refusal": ("message", "content", "refusal", "refusal", "content_index"),
    "response.reasoning_text": ("reasoning", "content", "reasoning_text", "text", "content_index"),
    "response.reasoning_summary_text": ("reasoning", "summary", "summary_text", "text", "summary_index"),
}
# Deltas of an item's own text: the item's type and the text's key.
_ITEM_DELTAS = {
    "response.function_call_arguments": ("function_call", "arguments"),
    "response.custom_tool_call_input": ("custom_tool_call", "input"),
    "response.mcp_call_arguments": ("mcp_call", "arguments"),
    "response.code_interpreter_call_code": ("code_interpreter_call", "code"),
}


def read_answer(body: bytes, content_type: str) -> Answer:
    """Assemble an answer from a decoded body, whole or streamed. Usage stays in this API's words."""
    text = body.decode("utf-8", "replace")
    if is_stream(text, content_type):
        return _read_stream(text)
    document = read_object(text)
    return unreadable(text) if document is None else _answer(document)


def _answer(document: dict[str, Any], *, error: Any = None, done: bool | None = None) -> Answer:
    status, usage, model = document.get("status"), document.get("usage"), document.get("model")
    output = document.get("output")
    items = [item for item in output if isinstance(item, dict)] if isinstance(output, list) else []
    error = document.get("error") or error
    choices = []
    if items or (isinstance(output, list) and status != "failed"):
        message = keep_items(items) if items else {"role": "assistant", "content": None}
        finish = None if done is False else _finish_reason(document, items)
        choices = [Choice(index=0, message=message, finish_reason=finish)]
    return Answer(
        choices=choices,
        model=model if isinstance(model, str) else None,
        usage=usage if isinstance(usage, dict) else None,
        error=error,
        rest={key: value for key, value in document.items() if key not in _OWN_KEYS},
        done=False if status in _UNFINISHED else done,
    )


def _finish_reason(document: dict[str, Any], items: list[dict[str, Any]]) -> str | None:
    status = document.get("status")
    if status == "incomplete":
        details = document.get("incomplete_details")
        reason = details.get("reason") if isinstance(details, Mapping) else None
        return _INCOMPLETE.get(reason, reason) if isinstance(reason, str) else "incomplete"
    if status == "failed" or status in _UNFINISHED:
        return None
    return "tool_calls" if any(item.get("type") in _CALLS for item in items) else "stop"


def _read_stream(text: str) -> Answer:
    response: dict[str, Any] = {}
    items: dict[int, dict[str, Any]] = {}
    error: Any = None
    done = False
    unread = 0
    for data in events(text):
        if data.strip() == "[DONE]":
            done = True
            continue
        event = read_object(data)
        if event is None:
            unread += 1
            continue
        kind = event.get("type")
        if isinstance(event.get("response"), dict):
            response = event["response"]
            done = done or kind in _ENDS
        elif kind == "error":
            told = {key: value for key, value in event.items() if key not in ("type", "sequence_number")}
            error = event["error"] if event.get("error") else told
        elif event.get("error"):
            error = event["error"]
        elif isinstance(kind, str):
            _add(items, kind, event)
    whole = dict(response)
    if not whole.get("output"):
        whole["output"] = [items[place] for place in sorted(items)]
    if not whole["output"] and not response:
        del whole["output"]
    if unread:
        whole["unread_events"] = unread
    return _answer(whole, error=error, done=done)


def _add(items: dict[int, dict[str, Any]], kind: str, event: dict[str, Any]) -> None:
    place = event.get("output_index")
    if not isinstance(place, int):
        same = [at for at, item in items.items() if item.get("id") and item.get("id") == event.get("item_id")]
        place = same[0] if same else max(len(items) - 1, 0)
    if kind in ("response.output_item.added", "response.output_item.done"):
        if isinstance(event.get("item"), dict):
            items[place] = dict(event["item"])
        return
    stem, _, step = kind.rpartition(".")
    if stem in _PART_DELTAS:
        of, field, part_kind, key, number = _PART_DELTAS[stem]
        item = items.setdefault(place, _new(of, event))
        _set_text(_part(item, field, event.get(number), {"type": part_kind}), key, step, event)
    elif stem in _ITEM_DELTAS:
        made, text = _ITEM_DELTAS[stem]
        _set_text(items.setdefault(place, _new(made, event)), text, step, event)
    elif stem in ("response.content_part", "response.reasoning_summary_part") and isinstance(event.get("part"), dict):
        summary = stem.endswith("summary_part")
        item = items.setdefault(place, _new("reasoning" if summary else "message", event))
        at = event.get("summary_index" if summary else "content_index")
        _part(item, "summary" if summary else "content", at, {}).update(event["part"])
    elif stem == "response.output_text.annotation" and place in items:
        part = _part(items[place], "content", event.get("content_index"), {"type": "output_text"})
        part["annotations"] = [*(part.get("annotations") or []), event.get("annotation")]


def _new(kind: str, event: dict[str, Any]) -> dict[str, Any]:
    item = {"type": kind, **({"id": event["item_id"]} if event.get("item_id") else {})}
    return {**item, "role": "assistant"} if kind == "message" else item


def _part(item: dict[str, Any], field: str, number: Any, empty: dict[str, Any]) -> dict[str, Any]:
    """The part of an item that an event is about; parts that no earlier event announced are empty."""
    parts = [part for part in item.get(field) or [] if isinstance(part, dict)]
    at = number if isinstance(number, int) and 0 <= number <= len(parts) else max(len(parts) - 1, 0)
    if at == len(parts):
        parts.append(dict(empty))
    parts[at] = dict(parts[at])
    item[field] = parts
    return parts[at]


def _set_text(place: dict[str, Any], key: str, step: str, event: dict[str, Any]) -> None:
    if step == "delta" and isinstance(event.get("delta"), str):
        known = place.get(key)
        place[key] = (known if isinstance(known, str) else "") + event["delta"]
    elif step == "done" and isinstance(event.get(key), str):
        place[key] = event[key]
