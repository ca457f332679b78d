"""Requests as clients send them: packed bodies, paths in every spelling, odd methods, web pages, foreign names."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import os
import socket
import zlib

import brotli
import pytest
import zstandard

from regraft.domain.errors import CorruptEventError
from regraft.flows.capture.session_resolver import ParsedCall, ParseFailure, parse_record
from regraft.flows.lineage.history_cache import HistoryCache
from regraft.infra.files.keys import KeyStore
from regraft.infra.nats.codec import encode_exchange
from regraft.presentation.gateway.settings import GatewaySettings, UpstreamSettings
from support.gateways import BODY, CHAT, Gateway, Upstream, free_port, spooled, stored_turns
from support.scripted_upstream import plain

ANSWER = json.dumps(
    {
        "id": "c",
        "object": "chat.completion",
        "model": "m",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "packed answer"}, "finish_reason": "stop"}
        ],
    }
).encode()
ASKED = json.dumps({"model": "m", "messages": [{"role": "user", "content": "packed question"}]}).encode()
ZSTD = zstandard.ZstdCompressor()
ALLOWED = "https://app.example.com"


def answered(_seen):
    return plain(200, ANSWER)


def behind(tmp_path, upstream, **more):
    given = {"base_url": upstream.base_url, **more.pop("server", {})}
    return GatewaySettings(
        upstreams={"main": UpstreamSettings(**given)},
        spool=tmp_path / "spool",
        nats_url="nats://127.0.0.1:1",
        port=free_port(),
        **more,
    )


@contextlib.contextmanager
def serving(tmp_path, answer=answered, **more):
    with Upstream(answer) as upstream, Gateway(behind(tmp_path, upstream, **more)) as gateway:
        yield gateway, upstream


def refusal(answer):
    status, _, body = answer
    error = json.loads(body)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return status, error["code"]


def parsed(exchange):
    return parse_record(encode_exchange(exchange), HistoryCache())


# Packed bodies


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("zstd", ZSTD.compress(ASKED)),
        ("gzip", gzip.compress(ASKED)),
        ("deflate", zlib.compress(ASKED)),
        ("br", brotli.compress(ASKED)),
        ("gzip, zstd", ZSTD.compress(gzip.compress(ASKED))),
    ],
    ids=["zstd", "gzip", "deflate", "br", "stacked"],
)
def test_a_packed_request_is_passed_on_untouched_and_stored_as_if_it_had_been_plain(tmp_path, truth, encoding, body):
    with serving(tmp_path) as (gateway, upstream):
        assert gateway.call(body=body, headers={"Content-Encoding": encoding})[0] == 200
        assert (upstream.seen[0].body, upstream.seen[0].header("content-encoding")) == (body, encoding)
    (exchange,) = spooled(tmp_path / "spool")
    assert (exchange.request_body, exchange.request_encoding) == (body, encoding)
    (turn,) = stored_turns(truth, [exchange])
    assert turn["answer"]["content"] == "packed answer"
    assert [each["content"] for each in turn["history"]] == ["packed question"]


def test_a_large_packed_request_is_stored_too(tmp_path):
    asked = json.dumps({"model": "m", "messages": [{"role": "user", "content": os.urandom(2 << 20).hex()}]}).encode()
    body = gzip.compress(asked, 1)
    with serving(tmp_path) as (gateway, upstream):
        assert gateway.call(body=body, headers={"Content-Encoding": "gzip"})[0] == 200
        assert upstream.seen[0].body == body
    (exchange,) = spooled(tmp_path / "spool")
    call = parsed(exchange)
    assert isinstance(call, ParsedCall)
    assert len(call.request.messages[0]["content"]) == 4 << 20


@pytest.mark.parametrize(
    ("encoding", "body", "reason"),
    [
        ("compress", b"\x1f\x9dhi", "the request's content coding 'compress' cannot be undone"),
        ("gzip", gzip.compress(bytes(96 << 20)), "unpacks to more than"),
        ("zstd", b"damaged", "the request's zstd content is damaged"),
    ],
    ids=["unknown", "bomb", "damaged"],
)
def test_a_request_that_cannot_be_unpacked_is_served_kept_raw_and_named(tmp_path, encoding, body, reason):
    with serving(tmp_path) as (gateway, upstream):
        assert gateway.call(body=body, headers={"Content-Encoding": encoding})[0] == 200
        assert upstream.seen[0].body == body
    (exchange,) = spooled(tmp_path / "spool")
    assert (exchange.request_body, exchange.request_encoding) == (body, encoding)
    failure = parsed(exchange)
    assert isinstance(failure, ParseFailure)
    assert isinstance(failure.error, CorruptEventError)
    assert reason in str(failure.error)


def test_an_answer_that_bursts_is_passed_on_and_kept_packed(tmp_path):
    bomb = gzip.compress(bytes(96 << 20))
    with serving(tmp_path, lambda seen: plain(200, bomb, headers=(("Content-Encoding", "gzip"),))) as (gateway, _):
        assert gateway.call()[2] == bomb
    (exchange,) = spooled(tmp_path / "spool")
    failure = parsed(exchange)
    assert isinstance(failure, ParseFailure)
    assert "the answer's gzip content unpacks to more than" in str(failure.error)


def test_a_packed_request_is_routed_by_its_model_and_an_alias_is_put_into_it(tmp_path):
    with (
        serving(tmp_path, server={"alias": {"m": "real"}}) as (gateway, upstream),
    ):
        assert gateway.call(body=gzip.compress(ASKED), headers={"Content-Encoding": "gzip"})[0] == 200
        assert json.loads(upstream.seen[0].body)["model"] == "real"
        assert upstream.seen[0].header("content-encoding") is None
    (exchange,) = spooled(tmp_path / "spool")
    assert (exchange.request_encoding, exchange.asked_model) == ("", "m")


def test_a_packed_request_may_ask_not_to_be_kept(tmp_path):
    body = ZSTD.compress(json.dumps({**json.loads(ASKED), "store": False}).encode())
    with serving(tmp_path) as (gateway, _):
        assert gateway.call(body=body, headers={"Content-Encoding": "zstd"})[0] == 200
    assert spooled(tmp_path / "spool") == []


def test_a_key_cannot_hide_a_model_in_a_packed_body(tmp_path):
    secret = KeyStore(tmp_path / "keys.json").create("a", models=("small",))[1]
    with serving(tmp_path, keys=tmp_path / "keys.json") as (gateway, upstream):
        for encoding, body in (("gzip", gzip.compress(ASKED)), ("br", brotli.compress(ASKED)), ("compress", b"x")):
            said = gateway.call(body=body, headers={"Content-Encoding": encoding, "Authorization": f"Bearer {secret}"})
            assert refusal(said) == (403, "model_not_allowed")
        assert upstream.seen == []


# Paths


@pytest.mark.parametrize(
    "path",
    ["/v1/chat/completions/", "//v1//chat/completions", "/v1/v1/chat/completions", "/chat/completions",
     "/v1/%63hat/completions", "/v1/chat%2Fcompletions", "/api/v1/chat/completions", "/v1beta/openai/chat/completions",
     "/openai/deployments/m/chat/completions?api-version=2024-10-21"],
)  # fmt: skip
def test_a_call_is_captured_in_every_spelling_of_its_path(tmp_path, path):
    with serving(tmp_path) as (gateway, upstream):
        status, headers, _ = gateway.call(path=path)
        assert (status, "x-regraft-turn" in headers) == (200, True)
        assert upstream.seen[0].path.partition("?")[0] == CHAT
    (exchange,) = spooled(tmp_path / "spool")
    assert exchange.endpoint == CHAT


def test_a_server_with_the_same_layout_is_asked_in_that_layout(tmp_path):
    asked = json.dumps({"messages": [{"role": "user", "content": "hi"}]}).encode()
    path = "/openai/deployments/my-gpt/chat/completions?api-version=2024-10-21"
    with Upstream(answered) as upstream:
        root = upstream.base_url.removesuffix("/v1")
        for base_url in (root, f"{root}/openai"):
            settings = behind(tmp_path, upstream, server={"base_url": base_url, "api_key": "k", "auth": "api-key"})
            with Gateway(settings) as gateway:
                assert gateway.call(path=path, body=asked, headers={"api-key": "the client's"})[0] == 200
            assert upstream.seen[-1].path == path
            assert [value for name, value in upstream.seen[-1].headers if name == "api-key"] == ["k"]
    for exchange in spooled(tmp_path / "spool"):
        call = parsed(exchange)
        assert isinstance(call, ParsedCall)
        assert (call.request.model, call.exchange.endpoint) == ("my-gpt", CHAT)


@pytest.mark.parametrize("streamed", [False, True])
def test_ollamas_own_api_is_captured_beside_its_v1(tmp_path, truth, streamed):
    said = {"model": "m", "message": {"role": "assistant", "content": "So."}, "done": True, "done_reason": "stop"}
    kind = "application/x-ndjson" if streamed else "application/json"
    with serving(tmp_path, lambda seen: plain(200, json.dumps(said).encode() + b"\n", kind)) as (gateway, upstream):
        assert gateway.call(path="/api/chat")[0] == 200
        assert gateway.call(path="/api/generate", body=b'{"model":"m","prompt":"Why?"}')[0] == 200
        assert gateway.call("GET", "/api/tags", None)[0] == 200
        assert [seen.path for seen in upstream.seen] == ["/api/chat", "/api/generate", "/api/tags"]
    first, second = stored_turns(truth, spooled(tmp_path / "spool"))
    assert (first["answer"]["content"], first["history"][0]["content"]) == ("So.", "hi")
    assert second["history"][0]["content"] == "Why?"
    assert first["node_status"] == "ok"


def test_a_path_that_means_nothing_is_refused_with_a_hint_and_sent_nowhere(tmp_path):
    with serving(tmp_path) as (gateway, upstream):
        for method, path, hint in (
            ("POST", "/v2/chat/completions", "/v1/chat/completions"),
            ("POST", "/my/messages", "/v1/messages"),
            ("GET", "/v1/../secret", "/v1/"),
            ("GET", "/v1/%2e%2e/secret", "/v1/"),
            ("GET", "/v1/%252e%252e/secret", "/v1/"),
            ("DELETE", "/api/delete", "/v1/"),
        ):
            said = gateway.call(method, path, None)
            assert refusal(said) == (404, "unknown_url")
            assert hint in json.loads(said[2])["error"]["message"]
        assert upstream.seen == []
        assert gateway.metrics()['regraft_gateway_refusals_total{reason="unknown_url"}'] == 6


def test_counting_tokens_and_batches_are_passed_through_and_counted(tmp_path):
    with serving(tmp_path) as (gateway, upstream):
        for path in ("/v1/messages/count_tokens?beta=true", "/v1/batches", "/v1/messages/batches/b/results"):
            assert gateway.call(path=path)[0] == 200
        assert upstream.seen[0].path == "/v1/messages/count_tokens?beta=true"
        counted = gateway.metrics()
        name = 'regraft_gateway_calls_total{endpoint="%s",status="2xx",upstream="main"}'
        assert (counted[name % "count_tokens"], counted[name % "batches"]) == (1, 2)
    assert spooled(tmp_path / "spool") == []


# Methods, framing and depth


def said(gateway, request, more=()):
    with socket.create_connection(("127.0.0.1", gateway.settings.port), 10) as sock:
        sock.sendall(request)
        with contextlib.suppress(OSError):
            for piece in more:
                sock.sendall(piece)
        got = b""
        with contextlib.suppress(ConnectionResetError):
            while b"\r\n\r\n" not in got and (data := sock.recv(65536)):
                got += data
    return got


@pytest.mark.parametrize("line", [b"TRACE /v1/models", b"CONNECT 127.0.0.1:80", b"PROPFIND /v1/files", b"TRACE /"])
def test_methods_that_no_call_has_are_refused(tmp_path, line):
    with serving(tmp_path) as (gateway, upstream):
        got = said(gateway, line + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert got.startswith(b"HTTP/1.1 405 ")
        assert b"allow: GET" in got
        assert upstream.seen == []


def test_an_old_client_cannot_send_a_transfer_coding(tmp_path):
    with serving(tmp_path) as (gateway, upstream):
        head = b"POST /v1/chat/completions HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        assert said(gateway, head + b"2\r\n{}\r\n0\r\n\r\n").startswith(b"HTTP/1.1 400 ")
        assert upstream.seen == []


@pytest.mark.parametrize(
    "piece",
    [b"2;x=" + b"a" * 60_000 + b"\r\n{}\r\n", b"0\r\n" + b"x-trailer: a\r\n" * 5_000],
    ids=["extension", "trailer"],
)
def test_chunk_extensions_and_trailers_have_a_limit(tmp_path, piece):
    with serving(tmp_path) as (gateway, upstream):
        head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        more = [piece, *[piece.removeprefix(b"0\r\n")] * 40]
        assert said(gateway, head, more).startswith(b"HTTP/1.1 431 ")
        assert upstream.seen == []


def test_many_small_chunks_are_an_ordinary_body(tmp_path):
    with serving(tmp_path) as (gateway, upstream):
        head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        got = said(gateway, head, [b"1;name=value\r\n \r\n" * 1_000] * 50 + [b"0\r\nx-sum: 1\r\n\r\n"])
        assert got.startswith(b"HTTP/1.1 200 ")
        assert upstream.seen[0].body == b" " * 50_000


@pytest.mark.parametrize("depth", [2_000, 100_000])
def test_a_deep_body_is_served_and_captured_raw_where_its_model_is_read(tmp_path, depth):
    body = b'{"model":"m","messages":' + b"[" * depth + b"]" * depth + b"}"
    secret = KeyStore(tmp_path / "keys.json").create("a")[1]
    with serving(tmp_path, keys=tmp_path / "keys.json", server={"alias": {"m": "n"}}) as (gateway, upstream):
        assert gateway.call(body=body, headers={"Authorization": f"Bearer {secret}"})[0] == 200
        assert upstream.seen[0].body == body
    (exchange,) = spooled(tmp_path / "spool")
    assert exchange.request_body == body
    failure = parsed(exchange)
    assert isinstance(failure, ParseFailure)


# Web pages and names


def test_a_preflight_is_answered_without_a_key_and_never_sent_on(tmp_path):
    KeyStore(tmp_path / "keys.json").create("a")
    with serving(tmp_path, keys=tmp_path / "keys.json", origins=(ALLOWED, "http://localhost:*")) as (gateway, upstream):
        for origin in (ALLOWED, "http://localhost:3000"):
            asked = {
                "Origin": origin,
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "authorization,x-stainless-os",
            }
            status, headers, body = gateway.call("OPTIONS", CHAT, None, asked)
            assert (status, body) == (204, b"")
            assert headers["access-control-allow-origin"] == origin
            assert "POST" in headers["access-control-allow-methods"]
            assert headers["access-control-allow-headers"] == "authorization,x-stainless-os"
        asked["Origin"] = "https://elsewhere.example"
        assert refusal(gateway.call("OPTIONS", CHAT, None, asked)) == (403, "origin_not_allowed")
        status, headers, _ = gateway.call("OPTIONS", CHAT, None)
        assert (status, "POST" in headers["allow"]) == (204, True)
        assert upstream.seen == []


def test_a_page_that_is_allowed_can_read_answers_and_refusals(tmp_path):
    answer = plain(200, ANSWER, headers=(("Access-Control-Allow-Origin", "*"),))
    secret = KeyStore(tmp_path / "keys.json").create("a")[1]
    with serving(tmp_path, lambda _: answer, keys=tmp_path / "keys.json", origins=(ALLOWED,)) as (gateway, upstream):
        for _ in range(3):  # heads that come again take a shorter way
            said = gateway.call(headers={"Origin": ALLOWED, "Authorization": f"Bearer {secret}"})
            assert (said[0], said[1]["access-control-allow-origin"]) == (200, ALLOWED)
            assert "x-regraft-turn" in said[1]["access-control-expose-headers"]
        said = gateway.call(headers={"Origin": ALLOWED})
        assert (said[0], said[1]["access-control-allow-origin"]) == (401, ALLOWED)
        assert upstream.seen[0].header("origin") is None


def test_no_foreign_page_can_spend_the_key_or_post_feedback(tmp_path):
    with serving(tmp_path, server={"api_key": "k"}) as (gateway, upstream):
        page = {"Origin": "https://evil.example", "Content-Type": "text/plain"}
        for method, path in (("POST", CHAT), ("POST", "/v1/feedback"), ("GET", "/v1/files"), ("GET", "/metrics")):
            assert refusal(gateway.call(method, path, BODY if method == "POST" else None, page)) == (
                403,
                "origin_not_allowed",
            )
        assert gateway.call("GET", "/v1/files", None, {"Origin": "null"})[0] == 403
        assert gateway.call("GET", "/v1/files", None, {"Sec-Fetch-Site": "cross-site"})[0] == 403
        assert upstream.seen == []


def test_a_name_that_is_not_ours_is_refused(tmp_path):
    with serving(tmp_path, hosts=("llm.example.com", "*.internal")) as (gateway, upstream):
        for host in (
            "evil.example",
            "evil.example:4700",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.1",
        ):
            assert refusal(gateway.call("GET", "/v1/files", None, {"Host": host})) == (403, "host_not_allowed")
        assert upstream.seen == []
        for host in ("localhost", "LOCALHOST:4700", "127.0.0.1", "[::1]:4700", "llm.example.com", "a.internal:80"):
            assert gateway.call("GET", "/v1/files", None, {"Host": host})[0] == 200
        assert gateway.call("GET", "/healthz", None, {"Host": "10.0.0.1"})[0] == 200
        # Prometheus knows a container by its address. No page has one for its own name, so none reads it this way.
        assert gateway.call("GET", "/metrics", None, {"Host": "10.0.0.1:4700"})[0] == 200
        assert gateway.call("GET", "/metrics", None, {"Host": "[fd00::5]:4700"})[0] == 200
        for headers in ({"Host": "evil.example"}, {"Host": "10.0.0.1", "Origin": "http://evil.example"}):
            assert gateway.call("GET", "/metrics", None, headers)[0] == 403


def test_one_connection_is_judged_again_when_its_name_changes(tmp_path):
    async def ask(port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        got = []
        for host in (b"localhost", b"localhost", b"evil.example", b"localhost"):
            writer.write(b"POST %b HTTP/1.1\r\nHost: %b\r\nContent-Length: 2\r\n\r\n{}" % (CHAT.encode(), host))
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
            await reader.readexactly(int(length.partition(b":")[2]))
            got.append(int(head.split()[1]))
        writer.close()
        return got

    with serving(tmp_path) as (gateway, _):
        assert asyncio.run(ask(gateway.settings.port)) == [200, 200, 403, 200]


# Paths for keys


def test_a_key_reaches_only_the_paths_that_it_was_given(tmp_path):
    store = KeyStore(tmp_path / "keys.json")
    plain_key = {"Authorization": f"Bearer {store.create('a', models=('small',))[1]}"}
    wide_key = {"Authorization": f"Bearer {store.create('b', paths=('/v1/files*', '/v1/batches'))[1]}"}
    with serving(tmp_path, keys=store.path, server={"api_key": "k"}) as (gateway, upstream):
        for method, path in (
            ("GET", "/v1/files"),
            ("POST", "/v1/files"),
            ("POST", "/v1/batches"),
            ("GET", "/api/tags"),
        ):
            assert refusal(gateway.call(method, path, None, plain_key)) == (403, "path_not_allowed")
        assert upstream.seen == []
        assert gateway.call("GET", "/v1/models", None, plain_key)[0] == 200
        count = "/v1/messages/count_tokens"
        assert gateway.call("POST", count, b'{"model":"small"}', plain_key)[0] == 200
        assert refusal(gateway.call("POST", count, b'{"model":"large"}', plain_key)) == (403, "model_not_allowed")
        for method, path in (("GET", "/v1/files/f_1"), ("GET", "/files"), ("POST", "/v1/batches/")):
            assert gateway.call(method, path, None, wide_key)[0] == 200
        assert refusal(gateway.call("GET", "/v1/batches/b", None, wide_key)) == (403, "path_not_allowed")


def test_a_rate_counts_every_path(tmp_path):
    store = KeyStore(tmp_path / "keys.json")
    key = {"Authorization": f"Bearer {store.create('a', per_minute=3, paths=('*',))[1]}"}
    asked = (("GET", "/v1/models"), ("GET", "/v1/files"), ("POST", "/v1/batches"), ("POST", CHAT))
    with serving(tmp_path, keys=store.path) as (gateway, _):
        got = [gateway.call(method, path, None, key)[0] for method, path in asked]
    assert got == [200, 200, 200, 429]
