"""Recorded traffic of many servers is read as two independent readers read it, and all of it is stored."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from regraft.domain.capture.answer import read_answer
from regraft.domain.ids import plain
from regraft.flows.capture.ingest import SeenIds, ingest
from regraft.infra.nats.codec import encode_exchange
from regraft.infra.postgres.pool import connect
from support.recorded_traffic import in_the_words_of_the_corpus, lines, wire, without_nulls


@pytest.fixture(scope="module")
def recorded(corpus):
    folder = corpus / "wire-chat-completions"
    expected = {row["id"]: row for row in lines(folder / "expected.jsonl.zst")}
    return [(row, expected[row["id"]]) for row in lines(folder / "exchanges.jsonl.zst")]


def test_every_recorded_answer_is_read_as_the_corpus_expects(recorded):
    assert recorded
    wrong = {}
    for row, expected in recorded:
        answer = read_answer(*wire(row))
        got = (in_the_words_of_the_corpus(answer), without_nulls(plain(answer.usage)))
        if got != (expected["choices"], without_nulls(expected["usage"])):
            wrong[row["id"]] = (got, expected)
    assert wrong == {}


def test_an_error_is_found_exactly_where_the_corpus_expects_one(recorded):
    found = {row["id"] for row, _ in recorded if read_answer(*wire(row)).error is not None}
    expected = {row["id"] for row, wanted in recorded if wanted["error"] is not None}
    assert expected
    assert found == expected


def test_every_recorded_exchange_is_stored_or_set_aside_for_a_reason_in_its_request(recorded, truth, calls):
    exchanges, refused = [], Counter()
    for row, _ in recorded:
        body, kind = wire(row)
        request = row["request"]
        if not (isinstance(request, dict) and isinstance(request.get("messages"), list) and request["messages"]):
            refused["the request has no list of messages"] += 1
        sent = json.dumps(request).encode()
        circumstances = {"status": row["status"] or 200, "response_type": kind, "upstream": row["host"] or ""}
        exchanges.append(calls(request=sent, response=body, circumstances=circumstances))
    stored, turns = SeenIds(), 0
    with connect(truth, autocommit=True) as connection:
        for start in range(0, len(exchanges), 200):
            records = [encode_exchange(exchange) for exchange in exchanges[start : start + 200]]
            turns += ingest(connection, records, stored).new_turns
        reasons = connection.execute("SELECT reason FROM quarantine").fetchall()
        figures = connection.execute(
            "SELECT count(*) AS calls, (SELECT count(*) FROM session_turn) AS turns FROM pipeline_event_inbox"
        ).fetchone()
    assert Counter(row["reason"].rpartition("; ")[2] for row in reasons) == refused
    expected = sum(max(len(e["choices"]), 1) for _, e in recorded) - sum(refused.values())
    assert figures == {"calls": len(recorded) - sum(refused.values()), "turns": expected}
    assert turns == expected
