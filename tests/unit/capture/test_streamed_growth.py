"""Reading a stream takes time in proportion to its length, whatever its pieces are."""

from __future__ import annotations

import json
import time

import pytest

from regraft.domain.capture.dialects import CHAT, MESSAGES, RESPONSES, dialect_of

MANY = 30_000  # pieces; quadratic work on them takes minutes
LIMIT = 8  # seconds of processor time


def deltas(*forms):
    return [(CHAT, {"choices": [{"delta": form(at)}]}) for form in forms for at in range(MANY // len(forms))]


def calls(**more):
    return lambda at: {"tool_calls": [{key: value(at) for key, value in more.items()}]}


def named(name, arguments):
    return lambda at: {"function": {"name": name(at), "arguments": arguments(at)}}


STREAMS = {
    "text": deltas(lambda at: {"content": f"w{at} "}),
    "one character again and again": deltas(lambda _: {"content": "a"}),
    "parts": deltas(lambda at: {"content": [{"type": ("text", "thinking")[at % 2], "text": "x"}]}),
    "whole things": deltas(lambda at: {"content": [{"type": "image_url", "n": at}]}),
    "details": deltas(lambda at: {"reasoning_details": [{"type": "reasoning.text", "index": at % 99, "text": "x"}]}),
    "annotations": deltas(lambda at: {"annotations": [{"at": at}]}),
    "unknown texts": deltas(lambda at: {"note": f"n{at}", "thing": {"inner": f"n{at}"}}),
    "signatures": deltas(lambda at: {"thinking_blocks": [{"type": "thinking", "signature": f"s{at}"}]}),
    "names again and again": deltas(
        calls(index=lambda _: 0, function=lambda at: named(lambda _: "f", str)(at)["function"])
    ),
    "closed objects": deltas(calls(index=lambda _: 0, function=lambda _: {"name": "f", "arguments": "{}"})),
    "backslashes": deltas(calls(index=lambda _: 0, function=lambda _: {"name": "f", "arguments": '\\"{'})),
    "one id": deltas(calls(id=lambda _: "a", index=lambda at: at, function=lambda _: {"name": "f", "arguments": "{}"})),
    "new ids": deltas(calls(id=str, index=lambda _: 0, function=lambda _: {"arguments": "{"})),
    "pieces for nobody": deltas(calls(index=lambda at: at, function=lambda _: {"arguments": "x"})),
    "log probabilities": [(CHAT, {"choices": [{"delta": {}, "logprobs": {"content": [{"token": "a", "logprob": 0}]}}]})]
    * MANY,
    "choices": [(CHAT, {"choices": [{"index": at, "delta": {"content": "x"}}]}) for at in range(MANY)],
    "blocks": [(MESSAGES, {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})]
    * MANY,
    "pieces of a block": [
        (MESSAGES, {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": f"w{at}"}})
        for at in range(MANY)
    ],
    "citations": [
        (MESSAGES, {"type": "content_block_delta", "delta": {"type": "citations_delta", "citation": at}})
        for at in range(MANY)
    ],
    "items": [(RESPONSES, {"type": "response.output_item.added", "item": {"type": "message"}})] * MANY,
    "parts of an item": [
        (RESPONSES, {"type": "response.output_text.delta", "content_index": at, "delta": "x"}) for at in range(MANY)
    ],
    "annotations of an item": [
        (RESPONSES, {"type": "response.output_text.annotation.added", "content_index": 0, "annotation": at})
        for at in range(MANY)
    ],
}


@pytest.mark.parametrize("events", STREAMS.values(), ids=STREAMS.keys())
def test_a_stream_of_many_pieces_is_read_in_time(events):
    dialect = dialect_of(events[0][0])
    body = "".join(f"data: {json.dumps(event)}\n\n" for _, event in events).encode()
    started = time.process_time()
    dialect.read_answer(body, "text/event-stream")
    assert time.process_time() - started < LIMIT
