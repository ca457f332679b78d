"""Spans of recorded conversations and of odd calls: they can be sent, and no one's words are in them."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

from regraft.domain.capture.exchange import Identity
from regraft.domain.lineage.turn import capture
from regraft.flows.capture.call_spans import call_spans
from regraft.flows.capture.session_resolver import ParsedCall, parse_record
from regraft.flows.lineage.history_cache import HistoryCache
from regraft.infra.nats.codec import encode_exchange
from regraft.infra.telemetry.otlp import OtlpClient
from support.recorded_conversations import conversations, each_folder

LONG = 24  # characters of a text from which on it cannot be in a span by chance
MOST = 150  # conversations of a folder


def spans_of(exchange):
    call = parse_record(encode_exchange(exchange), HistoryCache())
    assert isinstance(call, ParsedCall), call
    placed = capture(call.exchange, call.request, call.answer, lambda _: None, None, call.end.read(), call.answers)
    return call_spans(call, placed, 1.0)


def sent(spans) -> bytes:
    """The bytes that a receiver would get."""
    client = OtlpClient("http://127.0.0.1:1/v1/traces", {}, "test", 1.0)
    return encode_spans([client._readable(each) for each in spans]).SerializeToString()


def texts(value):
    """All texts in a JSON value, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for each in value:
            yield from texts(each)
    elif isinstance(value, dict):
        for key, each in value.items():
            yield key
            yield from texts(each)


@each_folder()
def test_no_words_of_a_recorded_conversation_are_in_its_span(corpus, name, calls):
    found = 0
    for messages in conversations(corpus / name)[:MOST]:
        ends = [at for at, each in enumerate(messages) if each.get("role") == "assistant" and at]
        if not ends:
            continue
        end = ends[-1]
        exchange = calls(messages[:end], messages[end], user="someone@example.com", metadata={"note": "x" * LONG})
        spans = spans_of(exchange)
        raw = sent(spans)
        found += 1
        said = {text[at : at + LONG] for text in texts(messages[: end + 1]) for at in range(0, len(text) - LONG, LONG)}
        assert not [each for each in said if each.encode("utf-8", "replace") in raw]
        assert b"someone@" not in raw
    assert found


ODD = {
    "a model with lone surrogates and line ends": {"model": "m\ud800\n" + "x" * 500},
    "a seed of 400 digits": {"seed": 10**400},
    "a temperature that no float has": {"temperature": 10**400},
    "a limit that is not a number": {"max_tokens": "many", "top_p": None, "n": True},
    "sampling of other types": {"temperature": {"a": 1}, "top_k": [1], "presence_penalty": "0.5"},
}


@pytest.mark.parametrize("settings", ODD.values(), ids=ODD.keys())
def test_odd_requests_can_be_traced(calls, settings):
    (span,) = spans_of(calls(**settings))
    assert sent([span])
    assert len(span.name) <= 105
    assert all(value is not None for value in span.attributes.values())


MESSAGE = {"role": "assistant", "content": "a"}
WHOLE = {"choices": [{"index": 0, "message": MESSAGE, "finish_reason": "stop"}]}
USAGE = {"prompt_tokens": 10**30, "completion_tokens": -1, "prompt_tokens_details": {"cached_tokens": "8"}}


@pytest.mark.parametrize(
    "reply",
    [
        {"id": ["x"], "model": 7, "usage": USAGE},
        {"id": "\ud800" * 300, "model": "m" * 5000, "usage": []},
        {"id": None, "choices": []},
        {
            "choices": [
                {"index": 0, "message": {"role": "assistant", "content": "a"}, "finish_reason": {"type": "Said it"}}
            ]
        },
        {"error": {"message": "no"}, "regraft": {"taskification_id": "x", "steps": 7}},
    ],
)
@pytest.mark.parametrize("upstream", ["main", "orchestrator"])
def test_odd_answers_can_be_traced(calls, reply, upstream):
    exchange = calls(response=json.dumps({**WHOLE, **reply}).encode(), circumstances={"upstream": upstream})
    (span,) = spans_of(exchange)
    assert sent([span])
    assert "gen_ai.usage.input_tokens" not in span.attributes
    for name in ("gen_ai.response.finish_reasons", "gen_ai.response.id"):
        assert len(str(span.attributes.get(name, ""))) <= 110


@pytest.mark.parametrize("step", [{}, {"id": 7}, {"id": "s1", "began_seconds": "soon", "seconds": 1}, "s1", None])
def test_a_report_of_steps_that_is_not_as_expected_gives_no_steps(calls, step):
    report = {"taskification_id": "00000000-0000-4000-8000-000000000001", "steps": [step], "plan": step, "synthesis": 1}
    exchange = calls(
        response=json.dumps({**WHOLE, "regraft": report}).encode(), circumstances={"upstream": "orchestrator"}
    )
    assert len(spans_of(exchange)) == 1


def test_what_a_client_calls_its_purpose_is_a_word_or_other(calls):
    def purpose(said):
        return spans_of(replace(calls(), identity=Identity(purpose=said)))[0].attributes["regraft.purpose"]

    assert [purpose(each) for each in ("judge", "side:title", "Tell me all", "x" * 41)] == [
        *("judge", "side:title"),
        *("other", "other"),
    ]
