"""Nodes are found by the words of their answers and questions."""

from __future__ import annotations

import json
from uuid import UUID

import pytest

from regraft.domain.capture.exchange import Exchange
from regraft.flows.capture.ingest import SeenIds, ingest
from regraft.flows.lineage import build as lineage
from regraft.infra.nats.codec import encode_exchange
from regraft.infra.postgres.lineage.search import find
from regraft.infra.postgres.pool import connect


def call(number: int, question: str, answer: str) -> bytes:
    asked = {"model": "m", "messages": [{"role": "user", "content": question}]}
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": answer}}
    return encode_exchange(
        Exchange(
            event_id=UUID(int=(7 << 76) | (2 << 62) | number),
            scope="default",
            endpoint="/v1/chat/completions",
            upstream="u",
            upstream_pin="",
            started_ns=1_700_000_000_000_000_000 + number,
            first_byte_ns=1,
            duration_ns=2,
            request_body=json.dumps(asked).encode(),
            status=200,
            response_type="application/json",
            response_encoding="",
            response_body=json.dumps({"model": "m", "choices": [choice]}).encode(),
        )
    )


@pytest.fixture
def told(truth: str) -> str:
    records = [
        call(1, "Why is the sky blue?", "Because of Rayleigh scattering."),
        call(2, "What is a fjord?", "A drowned valley; its water looks blue."),
        call(3, "Say nothing", "\x00 \ud800 scattering"),
        call(4, "Long", "word " * 400_000),
    ]
    with connect(truth, autocommit=True) as connection:
        ingest(connection, records, SeenIds())
    assert lineage.build(truth).turns == 4
    return truth


def found(dsn: str, text: str) -> set[tuple[str, str]]:
    with connect(dsn) as connection:
        return {(row["place"], row["excerpt"].split()[0]) for row in find(connection, text, 10)}


def test_words_are_found_in_answers_and_in_questions(told: str) -> None:
    assert found(told, "blue") == {("question", "Why"), ("answer", "drowned")}


def test_a_phrase_is_found_as_it_stands_and_a_minus_leaves_out(told: str) -> None:
    assert found(told, '"rayleigh scattering"') == {("answer", "Because")}
    assert found(told, "blue -sky") == {("answer", "drowned")}


def test_words_that_nobody_said_and_words_of_any_characters_find_nothing(told: str) -> None:
    assert found(told, "quasar") == set()
    assert found(told, "\x00\ud800") == set()
    assert found(told, "") == set()
