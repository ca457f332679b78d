"""Recorded traffic of many servers is read as two independent readers read it, and all of it is stored."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard

from regraft.domain.answer import Answer, read_answer
from regraft.domain.ids import plain
from regraft.flows.ingest import Stored, ingest
from regraft.infra.nats.codec import encode_exchange
from regraft.infra.postgres.pool import connect

pytestmark = pytest.mark.corpus


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


@pytest.fixture(scope="module")
def recorded(corpus):
    folder = corpus / "wire-chat-completions"
    expected = {row["id"]: row for row in lines(folder / "expected.jsonl.zst")}
    return [(row, expected[row["id"]]) for row in lines(folder / "exchanges.jsonl.zst")]


def test_every_recorded_answer_is_read_as_the_corpus_expects(recorded):
    assert len(recorded) > 1000
    wrong = {}
    for row, expected in recorded:
        answer = read_answer(*wire(row))
        got = (in_the_words_of_the_corpus(answer), without_nulls(plain(answer.usage)))
        if got != (expected["choices"], without_nulls(expected["usage"])):
            wrong[row["id"]] = (got, expected)
    assert wrong == {}


def test_an_error_is_found_exactly_where_the_corpus_expects_one(recorded):
    found = {row["id"]: read_answer(*wire(row)).error for row, _ in recorded}
    for row, expected in recorded:
        if expected["error"] is None:
            assert found[row["id"]] is None or not expected["choices"], row["id"]
        else:
            assert found[row["id"]] is not None, row["id"]


def test_every_recorded_exchange_is_stored_or_set_aside_for_a_reason_in_its_request(recorded, truth, calls):
    exchanges, refused = [], Counter()
    for number, (row, _) in enumerate(recorded):
        body, kind = wire(row)
        request = row["request"]
        if not (isinstance(request, dict) and isinstance(request.get("messages"), list) and request["messages"]):
            refused["the request has no list of messages"] += 1
        sent = json.dumps(request).encode()
        circumstances = {"status": row["status"] or 200, "response_type": kind, "upstream": row["host"] or ""}
        exchanges.append(calls(request=sent, response=body, circumstances=circumstances))
        assert len(exchanges) == number + 1
    stored, turns = Stored(), 0
    with connect(truth, autocommit=True) as connection:
        for start in range(0, len(exchanges), 200):
            records = [encode_exchange(exchange) for exchange in exchanges[start : start + 200]]
            turns += ingest(connection, records, stored).new_turns
        reasons = connection.execute("SELECT reason FROM quarantine").fetchall()
        figures = connection.execute(
            "SELECT count(*) AS calls, (SELECT count(*) FROM session_turn) AS turns FROM pipeline_event_inbox"
        ).fetchone()
    assert Counter(row["reason"] for row in reasons) == refused
    expected = sum(max(len(e["choices"]), 1) for _, e in recorded) - sum(refused.values())
    assert figures == {"calls": len(recorded) - sum(refused.values()), "turns": expected}
    assert turns == expected
