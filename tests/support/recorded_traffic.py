"""Recorded traffic, and independent readers of it: what the tests of the dialects and of the gateway compare with."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import zstandard
from openai.types.responses import Response

from regraft.domain.capture.answer import Answer, events
from regraft.domain.ids import plain

SSE, JSON = "text/event-stream", "application/json"


def lines(path: Path) -> Iterator[Any]:
    with path.open("rb") as file:
        text = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), encoding="utf-8", newline="\n")
        yield from map(json.loads, text)


def without_nulls(value):
    if isinstance(value, dict):
        return {key: without_nulls(each) for key, each in value.items() if each is not None}
    return [without_nulls(each) for each in value] if isinstance(value, list) else value


def wire(row) -> tuple[bytes, str]:
    """The recorded answer as a body and its content type. Streams kept as parsed chunks are written out again."""
    if "response_chunks" in row:
        chunks = [json.dumps(without_nulls(chunk)) for chunk in row["response_chunks"]]
        return "".join(f"data: {chunk}\n\n" for chunk in [*chunks, "[DONE]"]).encode(), "text/event-stream"
    body = row["response_text"] or ""
    streamed = row["stream"] and body.lstrip().startswith(("data:", ":", "event:"))
    return body.encode("utf-8", "surrogatepass"), "text/event-stream" if streamed else "application/json"


def in_the_words_of_the_corpus(answer: Answer):
    found = []
    for choice in answer.choices:
        message = plain(choice.message or {})
        functions = [(call.get("id"), call.get("function") or {}) for call in message.get("tool_calls") or []]
        found.append(
            {
                "index": choice.index,
                "content": message.get("content"),
                "refusal": message.get("refusal"),
                "reasoning": message.get("reasoning_content") or message.get("reasoning"),
                "tool_calls": [
                    {"id": identity, "name": function.get("name"), "arguments": function.get("arguments")}
                    for identity, function in functions
                ],
                "function_call": message.get("function_call"),
                "finish_reason": choice.finish_reason,
            }
        )
    return found


def kind(row) -> str:
    return SSE if row["stream"] and row["status"] == 200 else JSON


def last_response(row) -> Response:
    """What the official client makes of the answer."""
    document = json.loads(row["response_text"]) if kind(row) == JSON else None
    for data in events(row["response_text"]) if document is None else ():
        document = json.loads(data).get("response", document)
    return Response.construct(**document)


def calls_of(message):
    return message.get("tool_calls") or []


def text_parts(message):
    content = message["content"]
    if isinstance(content, str):
        return [content]
    return [part["text"] for part in content or [] if isinstance(part, dict) and part.get("type") == "text"]


def blocks_of(row) -> tuple[list[dict[str, Any]], dict[str, Any], str | None]:
    """An independent reading of an answer of Anthropic's: its blocks, its usage, why it stopped."""
    if kind(row) == JSON:
        document = json.loads(row["response_text"])
        return document["content"], document["usage"], document["stop_reason"]
    blocks, texts, usage, stop = {}, {}, {}, None
    for line in row["response_text"].split("\n"):
        event = json.loads(line.removeprefix("data:")) if line.startswith("data:") else {}
        if event.get("type") == "message_start":
            usage = event["message"]["usage"]
        elif event.get("type") == "content_block_start":
            blocks[event["index"]] = event["content_block"]
        elif event.get("type") == "content_block_delta":
            name = event["delta"]["type"].removesuffix("_delta")
            value = event["delta"].get("partial_json", event["delta"].get(name))
            texts[event["index"], name] = texts.get((event["index"], name), "") + value
        elif event.get("type") == "message_delta":
            usage, stop = usage | event["usage"], event["delta"]["stop_reason"]
    for (index, name), text in texts.items():
        blocks[index] |= {"input": json.loads(text or "{}")} if name == "input_json" else {name: text}
    return [blocks[index] for index in sorted(blocks)], usage, stop
