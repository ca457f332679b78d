"""Recorded and hostile traffic through the gateway: not a byte is changed, and every byte is captured."""

from __future__ import annotations

import gzip
import http.client
import json
import logging
import re
import socket
from collections import Counter
from urllib.parse import quote
from uuid import UUID

import pytest
import zstandard

from regraft.domain.capture.dialects import CHAT, COMPLETIONS, EMBEDDINGS, MESSAGES, RESPONSES, dialect_of
from regraft.domain.capture.exchange import Identity
from regraft.domain.ids import plain as unfrozen
from regraft.infra.http.coding import decode
from support.gateways import gateway_to, spooled, streamed
from support.recorded_traffic import (
    JSON,
    SSE,
    blocks_of,
    calls_of,
    in_the_words_of_the_corpus,
    kind,
    last_response,
    lines,
    text_parts,
    wire,
    without_nulls,
)
from support.scripted_upstream import chunked, plain

CAPTURED = {CHAT, COMPLETIONS, RESPONSES, EMBEDDINGS, MESSAGES}
COUNTED_APART = ("other", "count_tokens", "batches")  # endpoints whose calls pass through and are not captured
# Headers of the recordings that say something of the call; the rest are the framing's and the clock's.
KEPT = (
    "openai-processing-ms",
    "openai-version",
    "x-request-id",
    "retry-after",
    "x-ratelimit-limit-requests",
    "x-ratelimit-limit-tokens",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-remaining-tokens",
    "x-ratelimit-reset-requests",
    "x-ratelimit-reset-tokens",
)

# What each source of recordings holds.
RESPONSES_PATHS = {
    "golden": {RESPONSES: 6, "/v1/responses/input_tokens": 1},
    "recorded": {RESPONSES: 134, "/v1/responses/compact": 3, "/v1/responses/input_tokens": 3},
}
RESPONSES_ENDED = {"golden": {JSON: 3, SSE: 2, "error": 1}, "recorded": {JSON: 108, SSE: 23, "error": 3}}
MESSAGES_CALLS = {"golden": (6, 6), "recorded": (140, 138)}
MESSAGES_ENDED = {"golden": {JSON: 3, SSE: 2, "error": 1}, "recorded": {JSON: 113, SSE: 23, "error": 2}}


def passed_through(metrics):
    """How many calls were answered and not captured."""
    counted = (
        f'regraft_gateway_calls_total{{endpoint="{name}",status="2xx",upstream="main"}}' for name in COUNTED_APART
    )
    return sum(metrics.get(each, 0) for each in counted)


@pytest.fixture(autouse=True)
def silence(caplog):
    """A gateway that complains of anything fails its test."""
    caplog.set_level(logging.INFO, "regraft")
    yield
    loud = [each for each in caplog.records if each.exc_info or each.levelno >= logging.ERROR]
    assert [each.getMessage() for each in loud] == []
    assert "Traceback" not in caplog.text


def pieces_of(body: bytes, number: int) -> list[bytes]:
    """A stream as a server may cut it: after each event, or at places that mean nothing."""
    if number % 2:
        return [event for event in re.split(rb"(?<=\n\n)", body) if event]
    size = 1 + len(body) // 7
    return [body[start : start + size] for start in range(0, len(body), size)]


def script_of(number, row, body, content_type):
    """The recorded answer as wire bytes: status, type and the headers that say something, its framing and its coding.

    Returns the script, the body as the client must get it, and its coding.
    """
    recorded = row["response_headers"]
    headers = [(name, value) for name in KEPT for value in recorded.get(name, ())]
    coding = "gzip" if "content-encoding" in recorded else ""
    if coding:
        body = gzip.compress(body, mtime=0)
        headers.append(("Content-Encoding", coding))
    status = row["status"] or 200
    if content_type.startswith(SSE) or ("transfer-encoding" in recorded and number % 3 == 0):
        return chunked(status, pieces_of(body, number), content_type, tuple(headers)), body, coding
    return plain(status, body, content_type, tuple(headers)), body, coding


def replay(tmp_path, nats_server, calls):
    """Send recorded calls through a gateway; compare what the client got with the recording, give back what was kept.

    ``calls`` are (endpoint, row, body, content type). The captured exchanges come in the order of those calls.
    """
    scripts = [script_of(number, row, body, kind) for number, (_, row, body, kind) in enumerate(calls)]
    turns = {}

    def answer(seen):
        return scripts[int(seen.header("x-row"))][0]

    with gateway_to(tmp_path, answer, nats_server.url) as (gateway, upstream):
        connection = http.client.HTTPConnection("127.0.0.1", gateway.settings.port, timeout=20)
        for number, (endpoint, row, _, content_type) in enumerate(calls):
            _, body, coding = scripts[number]
            request = json.dumps(row["request"], ensure_ascii=False).encode()
            headers = {"Content-Type": JSON, "X-Row": str(number), "X-Regraft-Session": f"s{number}"}
            connection.request("POST", endpoint, request, {**headers, "Accept-Encoding": "gzip"})
            response = connection.getresponse()
            assert response.read() == body, row["id"]
            assert (response.status, response.headers["content-type"]) == (row["status"] or 200, content_type)
            assert (response.headers["content-encoding"] or "") == coding
            for name in KEPT:
                assert response.headers.get_all(name, []) == row["response_headers"].get(name, [])
            assert upstream.seen[-1].body == request
            if endpoint in CAPTURED:
                turns[UUID(response.headers["x-regraft-turn"])] = number
            else:
                assert "x-regraft-turn" not in response.headers
        connection.close()
        assert passed_through(gateway.metrics()) == len(calls) - len(turns)
    found = streamed(nats_server.url, len(turns))
    assert len(found) == len(turns)
    kept = {turns.pop(exchange.event_id): exchange for exchange in found}
    assert turns == {}
    for number, exchange in kept.items():
        endpoint, row, _, content_type = calls[number]
        assert exchange.endpoint == endpoint
        assert exchange.request_body == json.dumps(row["request"], ensure_ascii=False).encode()
        assert (exchange.response_body, exchange.response_encoding) == scripts[number][1:]
        assert (exchange.status, exchange.response_type) == (row["status"] or 200, content_type)
        assert (exchange.cut, exchange.error, exchange.identity) == ("", "", Identity(session=f"s{number}"))
    return [kept[number] for number in sorted(kept)]


def answer_of(exchange):
    """What ingest reads of a captured call."""
    body = decode(exchange.response_body, exchange.response_encoding)
    return dialect_of(exchange.endpoint).read_answer(bytes(body), exchange.response_type)


def test_recorded_chat_completions_pass_unchanged_and_are_captured_byte_for_byte(tmp_path, nats_server, corpus):
    folder = corpus / "wire-chat-completions"
    rows = list(lines(folder / "exchanges.jsonl.zst"))
    expected = {row["id"]: row for row in lines(folder / "expected.jsonl.zst")}
    calls = [(CHAT, row, *wire(row)) for row in rows]
    for row, exchange in zip(rows, replay(tmp_path, nats_server, calls), strict=True):
        found, wanted = answer_of(exchange), expected[row["id"]]
        got = (in_the_words_of_the_corpus(found), without_nulls(unfrozen(found.usage)))
        assert got == (wanted["choices"], without_nulls(wanted["usage"])), row["id"]


def recorded_calls(corpus, folder, endpoint):
    """The recorded calls of an API, under the path that the gateway has for it or under their own."""
    for row in lines(corpus / folder / "exchanges.jsonl.zst"):
        ours = row["path"].endswith(endpoint.removeprefix("/v1")) and "threads" not in row["path"]
        path = endpoint if ours else row["path"]
        body = row["response_text"].encode("utf-8", "surrogatepass")
        yield path, row, body, row["response_headers"]["content-type"][0]


def test_recorded_responses_pass_unchanged_and_say_what_the_official_client_reads(
    tmp_path, nats_server, corpus, source
):
    calls = list(recorded_calls(corpus, "wire-openai-responses", RESPONSES))
    assert Counter(path for path, *_ in calls) == RESPONSES_PATHS[source]
    ours = [row for path, row, *_ in calls if path == RESPONSES]
    outcomes = Counter()
    for row, exchange in zip(ours, replay(tmp_path, nats_server, calls), strict=True):
        found = answer_of(exchange)
        if row["status"] != 200:
            assert (bool(found.error), len(found.choices)) == (True, 0)
            outcomes["error"] += 1
            continue
        expected, (choice,) = last_response(row), found.choices
        made = [item for item in expected.output if item.type == "function_call"]
        got = [
            (call["id"], call["function"]["name"], call["function"]["arguments"]) for call in calls_of(choice.message)
        ]
        assert got == [(call.call_id, call.name, call.arguments) for call in made], row["id"]
        assert "".join(text_parts(choice.message)) == expected.output_text, row["id"]
        outcomes[kind(row)] += 1
    assert outcomes == RESPONSES_ENDED[source]


def test_recorded_messages_pass_unchanged_and_say_what_an_independent_reader_reads(
    tmp_path, nats_server, corpus, source
):
    calls = list(recorded_calls(corpus, "wire-anthropic-messages", MESSAGES))
    ours = [row for path, row, *_ in calls if path == MESSAGES]
    assert (len(calls), len(ours)) == MESSAGES_CALLS[source]
    outcomes = Counter()
    for row, exchange in zip(ours, replay(tmp_path, nats_server, calls), strict=True):
        found = answer_of(exchange)
        if row["status"] != 200:
            assert (bool(found.error), len(found.choices)) == (True, 0)
            outcomes["error"] += 1
            continue
        blocks, usage, _ = blocks_of(row)
        (choice,) = found.choices
        texts = [block["text"] for block in blocks if block["type"] == "text"]
        assert "".join(text_parts(choice.message)) == "".join(texts), row["id"]
        got = [(call["id"], json.loads(call["function"]["arguments"])) for call in calls_of(choice.message)]
        assert got == [(block["id"], block["input"]) for block in blocks if block["type"] == "tool_use"]
        assert unfrozen(found.usage) == usage
        outcomes[kind(row)] += 1
    assert outcomes == MESSAGES_ENDED[source]


# Hostile input


def hostile(corpus):
    """Strings and broken JSON that were collected to break programs."""
    folder = corpus / "hostile-input"
    strings = json.loads((folder / "blns.json").read_text(encoding="utf-8", errors="surrogatepass"))
    strings += [case["input"] for case in lines(folder / "json_test_suite.jsonl.zst")]
    strings += ["a\0b", "\ud800", "\udfff\ud800", "\ufeff", "\r\n\r\n", '{"model":"m","store":false', "[" * 100_000]
    return [text.encode("utf-8", "surrogatepass") for text in strings]


def is_plain_refusal(status, headers, body):
    """A 4xx in the shape of the API."""
    error = json.loads(body)["error"]
    return 400 <= status < 500 and set(error) == {"message", "type", "param", "code"} and "json" in headers


@pytest.mark.corpus
def test_hostile_bodies_and_answers_pass_untouched_and_are_captured(tmp_path, recorded_corpus):
    raw = hostile(recorded_corpus)
    sent = [body for text in raw for body in (text, json.dumps({"model": "m", "x": text.decode("latin-1")}).encode())]
    sent += [b'{"model":' + text + b',"messages":[' + text + b"]}" for text in raw]

    def answer(seen):
        number = int(seen.header("x-row"))
        if number % 3 == 0:
            return plain(200, seen.body)
        if number % 3 == 1:
            return chunked(200, [b"data: ", seen.body or b"-", b"\n\n", b"data: [DONE]\n\n"])
        return plain(400, seen.body, "text/plain; charset=utf-8")

    # An alias makes the gateway look into every body.
    with gateway_to(tmp_path, answer, alias={"fast": "slow"}) as (gateway, upstream):
        got = []
        connection = http.client.HTTPConnection("127.0.0.1", gateway.settings.port, timeout=20)
        endpoints = sorted(CAPTURED)
        for number, body in enumerate(sent):
            connection.request("POST", endpoints[number % 5], body, {"X-Row": str(number)})
            response = connection.getresponse()
            got.append((response.status, response.headers["x-regraft-turn"], response.read()))
            assert upstream.seen[-1].body == body
        connection.close()
        captured = gateway.metrics()["regraft_gateway_captured_total"]
        assert gateway.call("GET", "/healthz", None)[0] == 200
    found = {str(each.event_id): each for each in spooled(tmp_path / "spool")}
    # OpenAI's `"store": false` is the one thing that keeps a call out of the record.
    kept = [(body, said) for body, said in zip(sent, got, strict=True) if said[1] is not None]
    assert len(kept) == len(sent) == len(found) == captured
    for number, (body, (status, turn, answered)) in enumerate(kept):
        exchange = found[turn]
        assert (exchange.request_body, exchange.response_body, exchange.status) == (body, answered, status)
        assert body in answered or not body
        assert exchange.endpoint == endpoints[number % 5]


@pytest.mark.corpus
def test_hostile_heads_are_refused_in_the_apis_shape_or_pass_and_the_gateway_lives(tmp_path, recorded_corpus):
    outcomes = Counter()
    body = b'{"model":"m"}'
    with gateway_to(tmp_path, lambda seen: plain(200, b'{"n":1}')) as (gateway, upstream):

        def ask(head: bytes, sending: bytes = body):
            before = len(upstream.seen)
            with socket.create_connection(("127.0.0.1", gateway.settings.port), 10) as sock:
                sock.sendall(head + b"content-length: %d\r\nconnection: close\r\n\r\n" % len(sending) + sending)
                answer = b""
                while data := sock.recv(65536):
                    answer += data
            first, _, rest = answer.partition(b"\r\n\r\n")
            status = int(first.split()[1])
            if len(upstream.seen) > before:
                assert (status, rest) == (200, b'{"n":1}')
                outcomes["passed"] += 1
                return
            assert is_plain_refusal(status, first.decode("latin-1"), rest), answer
            outcomes["refused"] += 1

        line = b"POST /v1/chat/completions"
        for text in hostile(recorded_corpus):
            short, spelled = text[:2000], quote(text[:2000]).encode()
            ask(line + b"?" + spelled + b" HTTP/1.1\r\nhost: localhost\r\nx-regraft-variant: " + spelled + b"\r\n")
            if b"\n" in short or b"\r" in short:
                continue  # that would be another request, not a hostile one
            ask(line + b" HTTP/1.1\r\nhost: localhost\r\nx-regraft-task: " + short + b"\r\n")
            ask(line + b" HTTP/1.1\r\nhost: localhost\r\ntraceparent: " + short + b"\r\n")
            ask(b"POST /v1/" + short + b" HTTP/1.1\r\nhost: localhost\r\n")
            ask(short + b" /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n")
        assert gateway.call("GET", "/healthz", None)[0] == 200
        captured = gateway.metrics()["regraft_gateway_captured_total"]
        asked = sum(seen.method == "POST" and seen.path.split("?")[0] == CHAT for seen in upstream.seen)
    found = spooled(tmp_path / "spool")
    assert len(found) == captured == asked
    assert outcomes["passed"] > 1000
    assert outcomes["refused"] > 100
    said = {each.identity.variant for each in found}
    assert "Ω≈ç√∫˜µ≤≥÷" in said


# The documentation of the API


def concrete(path):
    """A documented path as someone would ask for it."""
    return "/v1" + re.sub(r"\{\w+\}", "id-1", path)


@pytest.mark.corpus
def test_the_documented_examples_pass_unchanged(tmp_path, recorded_corpus):
    examples = list(lines(recorded_corpus / "openai-openapi" / "examples.jsonl.zst"))
    answers = [row["example"].get("response", "").encode() for row in examples]

    def answer(seen):
        body = answers[int(seen.header("x-row"))]
        return chunked(200, pieces_of(body, 1)) if body.startswith(b"event:") else plain(200, body)

    asked = []
    with gateway_to(tmp_path, answer) as (gateway, upstream):
        for number, row in enumerate(examples):
            curl = row["example"].get("request", {}).get("curl", "")
            found = re.search(r"-d '(.*?)'\s*$", curl, re.DOTALL)
            body = found[1].encode() if found else None
            method, path = row["method"].upper(), concrete(row["path"])
            status, headers, said = gateway.call(method, path, body, {"X-Row": str(number)})
            assert (status, said) == (200, answers[number])
            assert (upstream.seen[-1].method, upstream.seen[-1].path) == (method, path)
            assert upstream.seen[-1].body == (body or b"")
            captured = method == "POST" and path.split("?")[0] in CAPTURED and b'"store": false' not in (body or b"")
            assert ("x-regraft-turn" in headers) is captured
            if captured:
                asked.append((body or b"", answers[number]))
    assert [(each.request_body, each.response_body) for each in spooled(tmp_path / "spool")] == asked
    assert len(asked) >= 20


@pytest.mark.corpus
def test_every_documented_endpoint_passes_and_only_calls_to_a_model_are_captured(tmp_path, recorded_corpus):
    with (recorded_corpus / "openai-openapi" / "openapi.json.zst").open("rb") as file:
        spec = json.load(zstandard.ZstdDecompressor().stream_reader(file))
    operations = [
        (method.upper(), concrete(path))
        for path, methods in spec["paths"].items()
        for method in methods
        if method in ("get", "post", "put", "patch", "delete", "head")
    ]
    assert len(operations) > 200
    body = b'{"model":"m","input":"x"}'
    with gateway_to(tmp_path, lambda seen: plain(200, f"{seen.method} {seen.path}".encode())) as (gateway, upstream):
        for method, path in operations:
            sending = None if method in ("GET", "HEAD", "DELETE") else body
            status, _, said = gateway.call(method, path, sending)
            assert (status, said) == (200, f"{method} {path}".encode())
        counted = gateway.metrics()
        assert len(upstream.seen) == len(operations)
    captured = [path.split("?")[0] for method, path in operations if method == "POST"]
    captured = [path for path in captured if path in CAPTURED]
    assert sorted(each.endpoint for each in spooled(tmp_path / "spool")) == sorted(captured)
    assert set(captured) == CAPTURED - {MESSAGES}
    listed = operations.count(("GET", "/v1/models"))
    assert passed_through(counted) == len(operations) - len(captured) - listed
