"""Answers of the OpenAI Responses API, whole or streamed: an answer's items are one assistant message.

A stream is read from its deltas; an item that is sent whole replaces what was assembled from pieces, and the last
response, if the stream got that far, replaces all. A stream that was cut gives what came.
Source: OpenAI API reference, Responses and its streaming events.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from regraft.domain.capture.answer import Answer, Choice, is_stream, read_object, unreadable
from regraft.domain.capture.dialects.responses import keep_items
from regraft.domain.capture.dialects.responses_items import StreamedItems
from regraft.domain.capture.endings import ending_of
from regraft.domain.capture.server_events import EventReader

# Tuples, since what is looked up in them may not be hashable.
_ENDS = ("response.completed", "response.incomplete", "response.failed")
_UNFINISHED = ("queued", "in_progress", "cancelled")
_INCOMPLETE = {"max_output_tokens": "length", "content_filter": "content_filter"}
_CALLS = ("function_call", "custom_tool_call")
_ECHOED = frozenset({"tools", "instructions"})  # what the request said already, at length
_OWN_KEYS = frozenset({"output", "model", "usage", "error"}) | _ECHOED


def read_answer(body: bytes, content_type: str) -> Answer:
    """Assemble an answer from a decoded body, whole or streamed. Usage stays in this API's words."""
    text = body.decode("utf-8", "replace")
    if is_stream(text, content_type):
        return _read_stream(text)
    document = read_object(text)
    return unreadable(text) if document is None else _answer(document)


def _answer(
    document: dict[str, Any], *, error: Any = None, done: bool | None = None, unattributed: list[Any] | None = None
) -> Answer:
    status, usage, model = document.get("status"), document.get("usage"), document.get("model")
    output = document.get("output")
    items = [item for item in output if isinstance(item, dict)] if isinstance(output, list) else []
    error = document.get("error") or error or ({"status": status} if status == "failed" else None)
    choices = []
    if items or (isinstance(output, list) and status != "failed"):
        message = keep_items(items) if items else {"role": "assistant", "content": None}
        finish = None if done is False else _finish_reason(document, items)
        choices = [Choice(index=0, message=message, finish_reason=finish, unattributed=unattributed or [])]
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
    if isinstance(status, str) and ending_of(status) not in (None, "finished"):
        return status
    return "tool_calls" if any(item.get("type") in _CALLS for item in items) else "stop"


def _read_stream(text: str) -> Answer:
    response: dict[str, Any] = {}
    items = StreamedItems()
    reader = EventReader()
    error: Any = None
    done = False
    spliced: list[Any] = []
    for event in reader.chunks(text):
        kind = event.get("type")
        if isinstance(event.get("response"), dict):
            if items and kind == "response.created" and event["response"].get("id") != response.get("id"):
                spliced.append(event)  # another response in the same stream
            response = event["response"]
            done = done or kind in _ENDS
        elif kind == "error":
            fields = {key: value for key, value in event.items() if key not in ("type", "sequence_number")}
            error = event["error"] if event.get("error") else fields
        elif event.get("error"):
            error = event["error"]
        elif isinstance(kind, str):
            items.add(kind, event)
    whole = dict(response)
    pieced = not whole.get("output")
    if pieced:
        whole["output"] = items.whole()
    if not whole["output"] and not response:
        del whole["output"]
    unsure = [*spliced, *(items.unattributed if pieced else _differing(items.whole(), whole["output"]))]
    answer = _answer(
        {**whole, **reader.rest()},
        error=error or reader.error,
        done=done or reader.done,
        unattributed=unsure,
    )
    return replace(answer, unread=reader.broken) if pieced else answer


def _differing(said: list[dict[str, Any]], whole: Any) -> list[Any]:
    """What was said in pieces, where the response at the end says something else: neither is sure to be the answer."""
    pieces, end = _words(said), _words(whole)
    same = not pieces or not end or end.startswith(pieces) or pieces.startswith(end)
    return [] if same else [{"pieces": pieces}]


def _words(items: Any) -> str:
    """The words of all messages among items, without white space."""
    found = []
    for item in items if isinstance(items, list) else ():
        content = item.get("content") if isinstance(item, dict) and item.get("type") == "message" else None
        for part in content if isinstance(content, list) else ():
            if isinstance(part, dict) and isinstance(part.get("text"), str):
                found += part["text"].split()
    return "".join(found)
