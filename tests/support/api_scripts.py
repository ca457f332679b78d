"""Answers of model servers on the wire, for clients of each API: a text, a tool call, an error, and an endless stream.

The last user message chooses: ``text``, ``tool``, ``busy``, ``wrong`` or ``endless``; the body's ``stream`` how.
"""

from __future__ import annotations

import json
from typing import Any

from support.scripted_upstream import Pause, Script, Seen, chunked, plain

WORDS = ("Hel", "lo, ", "wörld \N{SNOWMAN}")
TEXT = "".join(WORDS)
ARGUMENTS = ('{"city":', '"Os', 'lo"}')
TOOL = {"name": "weather", "arguments": "".join(ARGUMENTS)}
CHAT_USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
USAGE = {"input_tokens": 11, "output_tokens": 7}


def answer(seen: Seen) -> Script:
    """The answer that a request asks for."""
    asked = json.loads(seen.body)
    what, streamed = _last_words(asked), bool(asked.get("stream"))
    if what in ("busy", "wrong"):
        return _error(seen.path, busy=what == "busy")
    if seen.path.endswith("/chat/completions"):
        return _chat(what, streamed)
    if seen.path.endswith("/responses"):
        return _responses(what, streamed, asked)
    return _messages(what, streamed)


def _last_words(asked: dict[str, Any]) -> str:
    said = asked.get("messages", asked.get("input"))
    content = said if isinstance(said, str) else said[-1]["content"]
    return str(content if isinstance(content, str) else content[0]["text"])


def _error(path: str, busy: bool) -> Script:
    message, kind = ("Slow down", "rate_limit_error") if busy else ("Bad model", "invalid_request_error")
    body: dict[str, Any] = {"error": {"message": message, "type": kind, "param": None, "code": "no"}}
    if path.endswith("/messages"):
        body = {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}
    headers = (("Retry-After", "7"), ("X-Request-Id", "req_1"))
    return plain(429 if busy else 400, json.dumps(body).encode(), headers=headers)


def _stream(events: list[dict[str, Any]], named: bool, last: bytes = b"", endless: bool = False) -> Script:
    pieces = []
    for event in events:
        name = f"event: {event['type']}\n" if named else ""
        pieces.append(f"{name}data: {json.dumps(event, ensure_ascii=False)}\n\n".encode())
    if endless:
        more = pieces[-1]
        steps = [step for _ in range(500) for step in (Pause(0.02), b"%x\r\n%b\r\n" % (len(more), more))]
        return Script((*chunked(200, pieces, end=False).steps, *steps))
    return chunked(200, [*pieces, last] if last else pieces)


def _document(document: dict[str, Any]) -> Script:
    return plain(200, json.dumps(document).encode(), headers=(("X-Request-Id", "req_1"),))


def _chat(what: str, streamed: bool) -> Script:
    about = {"id": "chatcmpl-1", "created": 1_700_000_000, "model": "m-1"}
    if not streamed:
        message: dict[str, Any] = {"role": "assistant", "content": TEXT}
        if what == "tool":
            message = {"role": "assistant", "content": None}
            message["tool_calls"] = [{"id": "call_1", "type": "function", "function": TOOL}]
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if what == "tool" else "stop"}
        return _document({**about, "object": "chat.completion", "choices": [choice], "usage": CHAT_USAGE})

    def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return {**about, "object": "chat.completion.chunk", "choices": [choice]}

    if what == "tool":
        first = {"index": 0, "id": "call_1", "type": "function", "function": {**TOOL, "arguments": ""}}
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": None, "tool_calls": [first]}]
        deltas += [{"tool_calls": [{"index": 0, "function": {"arguments": piece}}]} for piece in ARGUMENTS]
    else:
        deltas = [{"role": "assistant", "content": ""}, *({"content": word} for word in WORDS)]
    events = [chunk(delta) for delta in deltas]
    if what != "endless":
        events.append(chunk({}, "tool_calls" if what == "tool" else "stop"))
        events.append({**about, "object": "chat.completion.chunk", "choices": [], "usage": CHAT_USAGE})
    return _stream(events, False, b"data: [DONE]\n\n", what == "endless")


def _responses(what: str, streamed: bool, asked: dict[str, Any]) -> Script:
    if what == "tool":
        item = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "status": "completed", **TOOL}
    else:
        part = {"type": "output_text", "text": TEXT, "annotations": [], "logprobs": []}
        item = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part]}
    identity = "resp_2" if asked.get("previous_response_id") else "resp_1"
    response = {
        "id": identity,
        "object": "response",
        "created_at": 1_700_000_000,
        "status": "completed",
        "model": "m-1",
        "output": [item],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "metadata": asked.get("metadata") or {},
        "previous_response_id": asked.get("previous_response_id"),
        "usage": {
            **USAGE,
            "total_tokens": 18,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens_details": {"reasoning_tokens": 0},
        },
    }
    if not streamed:
        return _document(response)
    begun = {**response, "status": "in_progress", "output": [], "usage": None}
    place = {"output_index": 0, "item_id": item["id"]}
    events: list[dict[str, Any]] = [{"type": "response.created", "response": begun}]
    if what == "tool":
        started = {**item, "status": "in_progress", "arguments": ""}
        events.append({"type": "response.output_item.added", "output_index": 0, "item": started})
        for piece in ARGUMENTS:
            events.append({"type": "response.function_call_arguments.delta", **place, "delta": piece})
        done = {"arguments": TOOL["arguments"], "name": TOOL["name"]}
        events.append({"type": "response.function_call_arguments.done", **place, **done})
    else:
        started = {**item, "status": "in_progress", "content": []}
        empty = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        events.append({"type": "response.output_item.added", "output_index": 0, "item": started})
        events.append({"type": "response.content_part.added", **place, "content_index": 0, "part": empty})
        for word in WORDS:
            delta = {"content_index": 0, "delta": word, "logprobs": []}
            events.append({"type": "response.output_text.delta", **place, **delta})
        if what != "endless":
            done = {"content_index": 0, "text": TEXT, "logprobs": []}
            events.append({"type": "response.output_text.done", **place, **done})
            events.append({"type": "response.content_part.done", **place, "content_index": 0, "part": part})
    if what != "endless":
        events.append({"type": "response.output_item.done", "output_index": 0, "item": item})
        events.append({"type": "response.completed", "response": response})
    numbered = [{**event, "sequence_number": number} for number, event in enumerate(events)]
    return _stream(numbered, True, endless=what == "endless")


def _messages(what: str, streamed: bool) -> Script:
    block: dict[str, Any] = {"type": "text", "text": TEXT}
    if what == "tool":
        block = {"type": "tool_use", "id": "toolu_1", "name": TOOL["name"], "input": json.loads(TOOL["arguments"])}
    stop = "tool_use" if what == "tool" else "end_turn"
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m-1",
        "content": [block],
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": USAGE,
    }
    if not streamed:
        return _document(message)
    begun = {**message, "content": [], "stop_reason": None, "usage": {**USAGE, "output_tokens": 1}}
    events: list[dict[str, Any]] = [{"type": "message_start", "message": begun}]
    if what == "tool":
        events.append({"type": "content_block_start", "index": 0, "content_block": {**block, "input": {}}})
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in ARGUMENTS]
    else:
        events.append({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
        deltas = [{"type": "text_delta", "text": word} for word in WORDS]
    events += [{"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas]
    if what != "endless":
        events.append({"type": "content_block_stop", "index": 0})
        ended = {"stop_reason": stop, "stop_sequence": None}
        events.append({"type": "message_delta", "delta": ended, "usage": {"output_tokens": 7}})
        events.append({"type": "message_stop"})
    return _stream(events, True, endless=what == "endless")
