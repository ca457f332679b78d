"""The gateway's HTTP/1.1 server: what it reads, what it refuses, and in which order it answers."""

from __future__ import annotations

import json
import socket
import threading
import time

import pytest

from support.gateways import BODY, CHAT, gateway_to, spooled
from support.scripted_upstream import Pause, Script, chunked, plain

OK = plain(200, b"{}")


@pytest.fixture
def gateway(tmp_path):
    with gateway_to(tmp_path, lambda seen: plain(200, seen.method.encode() + b" " + seen.body)) as (gateway, upstream):
        gateway.upstream = upstream
        yield gateway


def said(gateway, *pieces, pause=0.0, until=None):
    """Everything that comes back until the gateway closes, or until ``until`` was seen."""
    got = b""
    with socket.create_connection(("127.0.0.1", gateway.settings.port), 10) as sock:
        for piece in pieces:
            sock.sendall(piece)
            time.sleep(pause)
        while until is None or until not in got:
            try:
                data = sock.recv(65536)
            except ConnectionResetError:
                break
            if not data:
                break
            got += data
    return got


def post(body=BODY, *lines, path=CHAT, version="1.1", length=True):
    head = [f"POST {path} HTTP/{version}", *lines]
    head += [f"Content-Length: {len(body)}"] if length else []
    return "\r\n".join([*head, "", ""]).encode() + body


def error_of(answer):
    head, _, body = answer.partition(b"\r\n\r\n")
    error = json.loads(body)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert b"connection: close" in head
    return int(head.split()[1]), error["code"]


@pytest.mark.parametrize(
    "request_bytes",
    [
        post(BODY, "Host: localhost", "Transfer-Encoding: chunked"),
        post(b"0\r\n\r\n", "Host: localhost", "Transfer-Encoding: chunked", "Content-Length: 5", length=False),
        post(BODY, "Host: localhost", "Content-Length: 3"),
        post(BODY, "Host: localhost", f"Content-Length: {len(BODY)}"),
        post(b"", "Host: localhost", "Content-Length: -1", length=False),
        post(b"", "Host: localhost", "Content-Length: 1e3", length=False),
        post(b"", "Host: localhost", "Content-Length: +5", length=False),
        post(b"0\r\n\r\n", "Host: localhost", "Transfer-Encoding: gzip, chunked", length=False),
        post(b"0\r\n\r\n", "Host: localhost", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked", length=False),
        post(b"0\r\n\r\n", "Host: localhost", "Transfer-Encoding: xchunked", length=False),
        post(b"zz\r\n\r\n", "Host: localhost", "Transfer-Encoding: chunked", length=False),
        post(b"5\r\nabc\r\n0\r\n\r\n", "Host: localhost", "Transfer-Encoding: chunked", length=False),
        post(BODY),
        post(BODY, "Host: localhost", "Host: y"),
        post(BODY, "Host : x"),
        post(BODY, "Host: localhost", " folded: y"),
        post(BODY, "Host: localhost", "X-A: a\0b"),
        post(BODY, "Host: localhost", "X A: b"),
        b"POST " + CHAT.encode() + b" HTTP/1.1\nHost: localhost\nContent-Length: 0\n\n",
        b"POST " + CHAT.encode() + b" HTTP/1.1\r\nHost: localhost\rX-B: y\r\nContent-Length: 0\r\n\r\n",
        b"POST " + CHAT.encode() + b" HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"nonsense\r\n\r\n",
    ],
)
def test_what_two_servers_could_read_differently_is_refused_and_the_connection_closed(gateway, request_bytes):
    assert error_of(said(gateway, request_bytes)) == (400, "bad_request")
    assert gateway.upstream.seen == []
    assert gateway.metrics()['regraft_gateway_refusals_total{reason="http_400"}'] == 1


def test_headers_have_limits(gateway):
    many = [f"X-{number}: y" for number in range(200)]
    assert error_of(said(gateway, post(BODY, "Host: localhost", *many))) == (431, "headers_too_large")
    assert error_of(said(gateway, post(BODY, "Host: localhost", "X-A: " + "a" * 70_000))) == (431, "headers_too_large")
    assert error_of(said(gateway, post(BODY, "Host: localhost", path="/v1/" + "a" * 70_000))) == (
        431,
        "headers_too_large",
    )
    endless = [b"POST / HTTP/1.1\r\n", *[b"X-A: " + b"a" * 9_000 + b"\r\n"] * 10]
    assert error_of(said(gateway, *endless, pause=0.01)) == (431, "headers_too_large")
    assert said(gateway, post(BODY, "Host: localhost", "X-A: " + "a" * 60_000), until=BODY).startswith(b"HTTP/1.1 200 ")


def test_slow_headers_and_slow_bodies_time_out(gateway):
    gateway.server.config.header_seconds = gateway.server.config.body_seconds = 0.1
    assert error_of(said(gateway, b"POST /v1/chat/completions HTTP/1.1\r\nHos")) == (408, "request_timeout")
    assert error_of(said(gateway, post(BODY, "Host: localhost")[:-5])) == (408, "request_timeout")
    gateway.server.config.idle_seconds = 0.1
    assert said(gateway) == b""


def test_a_body_that_is_too_large_is_refused_before_or_while_it_comes(gateway):
    gateway.server.config.body_bytes = 1000
    assert error_of(said(gateway, post(b"a" * 1001, "Host: localhost"))) == (413, "request_too_large")
    waiting = post(b"", "Host: localhost", "Expect: 100-continue", "Content-Length: 2000", length=False)
    assert error_of(said(gateway, waiting)) == (413, "request_too_large")
    pieces = [b"%x\r\n%b\r\n" % (400, b"a" * 400)] * 4
    head = post(b"", "Host: localhost", "Transfer-Encoding: chunked", length=False)
    assert error_of(said(gateway, head, *pieces, pause=0.01)) == (413, "request_too_large")
    assert gateway.upstream.seen == []


def test_a_client_that_is_still_sending_can_read_why_it_was_refused(gateway):
    gateway.server.config.body_bytes = 1000
    with socket.create_connection(("127.0.0.1", gateway.settings.port), 10) as sock:
        sock.sendall(post(b"", "Host: localhost", f"Content-Length: {8 << 20}", length=False))
        sender = threading.Thread(target=lambda: sock.sendall(bytes(8 << 20)))
        sender.start()
        assert sock.recv(65536).startswith(b"HTTP/1.1 413 ")
        sender.join()


def test_a_chunked_request_is_read_whole_and_sent_with_its_length(gateway):
    chunks = b"5;ext=1\r\nhello\r\n6\r\n world\r\n0\r\nX-Trailer: 1\r\n\r\n"
    answer = said(
        gateway,
        post(b"", "Host: localhost", "Transfer-Encoding: chunked", length=False),
        chunks,
        until=b"world",
        pause=0.02,
    )
    assert answer.endswith(b"\r\n\r\nPOST hello world")
    (seen,) = gateway.upstream.seen
    assert (seen.body, seen.header("content-length"), seen.header("transfer-encoding")) == (b"hello world", "11", None)
    assert seen.header("x-trailer") is None


def test_expect_continue_is_answered_and_not_forwarded(gateway):
    with socket.create_connection(("127.0.0.1", gateway.settings.port), 10) as sock:
        sock.sendall(post(b"", "Host: localhost", "Expect: 100-continue", "Content-Length: 2", length=False))
        assert sock.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"{}")
        assert sock.recv(65536).startswith(b"HTTP/1.1 200 ")
    assert gateway.upstream.seen[0].header("expect") is None


def test_pipelined_requests_are_answered_in_order(tmp_path):
    def answer(seen):
        number = int(seen.body)
        script = chunked(200, [b"<%d>" % number], pause=0.05) if number % 2 else plain(200, b"<%d>" % number)
        return Script((Pause(0.05), *script.steps)) if number == 0 else script

    with gateway_to(tmp_path, answer) as (gateway, upstream):
        requests = [post(b"%d" % number, "Host: localhost") for number in range(20)]
        health = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
        got = said(gateway, b"".join(requests) + health * 50 + post(b"20", "Host: localhost", "Connection: close"))
        numbers = [b"<%d>" % number for number in range(20)]
        positions = [got.index(number) for number in numbers]
        assert positions == sorted(positions)
        assert got.count(b'{"status":"ok"}') == 50
        assert got.index(b"<19>") < got.index(b'"ok"') < got.rindex(b'"ok"') < got.index(b"<20>")
        assert [seen.body for seen in upstream.seen] == [b"%d" % number for number in range(21)]
    assert len(spooled(tmp_path / "spool")) == 21


def test_a_bad_request_behind_a_good_one_does_not_cost_the_good_one_its_answer(gateway):
    got = said(gateway, post(b"one", "Host: localhost") + b"nonsense\r\n\r\n")
    first, _, second = got.partition(b"POST one")
    assert first.startswith(b"HTTP/1.1 200 ")
    assert error_of(second) == (400, "bad_request")


def test_head_has_no_body_and_the_connection_lives_on(gateway):
    head = b"HEAD /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n"
    got = said(
        gateway,
        head,
        b"HEAD /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
        post(BODY, "Host: localhost"),
        until=BODY,
        pause=0.2,
    )
    assert got.count(b"HTTP/1.1 200 ") == 3
    assert b'"ok"' not in got


@pytest.mark.parametrize("script", [OK, chunked(200, [b"{", b"}"], pause=0.02)])
def test_an_old_client_gets_a_body_that_it_can_read(tmp_path, script):
    with gateway_to(tmp_path, lambda seen: script) as (gateway, _):
        got = said(gateway, post(BODY, version="1.0"))
        assert got.endswith(b"\r\n\r\n{}")
        assert b"chunked" not in got.lower()
        twice = said(gateway, post(BODY, "Connection: keep-alive", version="1.0") + post(BODY, version="1.0"))
        assert twice.count(b"\r\n\r\n{}") == (2 if script is OK else 1)


def test_an_upgrade_is_not_taken_up_and_the_request_is_answered(gateway):
    got = said(gateway, b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close" in got
    assert gateway.upstream.seen[0].header("upgrade") is None
    assert said(gateway, b"CONNECT x:80 HTTP/1.1\r\nHost: localhost\r\n\r\n").startswith(b"HTTP/1.1 405 ")


def test_names_and_reason_reach_the_client_as_the_model_server_wrote_them(tmp_path):
    answer = b"HTTP/1.1 299 Quite Fine\r\nX-MiXed: 1\r\nX-Mixed: 2\r\nContent-Length: 2\r\n\r\n{}"
    with gateway_to(tmp_path, lambda seen: Script((answer,))) as (gateway, upstream):
        got = said(gateway, post(BODY, "Host: localhost", "X-ClienT: 1"), until=b"{}")
        assert got.startswith(b"HTTP/1.1 299 Quite Fine\r\nX-MiXed: 1\r\nX-Mixed: 2\r\nContent-Length: 2\r\n")
        assert ("X-ClienT", "1") in upstream.seen[0].headers


def test_a_client_that_does_not_read_stops_the_model_server(tmp_path):
    piece = bytes(1 << 20)

    def answer(seen):
        return Script((b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (64 << 20), *[piece] * 64))

    with gateway_to(tmp_path, answer) as (gateway, upstream):
        sock = gateway.raw()
        time.sleep(0.5)
        assert 0 < upstream.server.written < 32
        got = 0
        while got < 64 << 20:
            got += len(sock.recv(1 << 20))
        sock.close()
    (exchange,) = spooled(tmp_path / "spool")
    assert len(exchange.response_body) == 64 << 20


def test_a_client_that_never_reads_is_cut_off(tmp_path):
    def answer(seen):
        return Script((b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (64 << 20), bytes(64 << 20)))

    with gateway_to(tmp_path, answer) as (gateway, upstream):
        gateway.server.config.write_seconds = 0.2
        sock = gateway.raw()
        for _ in range(100):
            if upstream.server.dropped:
                break
            time.sleep(0.05)
        sock.close()
        assert upstream.server.dropped == 1
    (exchange,) = spooled(tmp_path / "spool")
    assert (exchange.status, exchange.cut) == (200, "client")
    assert len(exchange.response_body) < 32 << 20


def test_a_stop_lets_calls_finish_and_says_so_when_it_cannot(tmp_path):
    pieces = [b"data: %d\n\n" % number for number in range(10)]

    def answer(seen):
        return chunked(200, pieces, pause=0.05 if b"short" in seen.body else 5)

    with gateway_to(tmp_path, answer) as (gateway, upstream):
        gateway.server.config.drain_seconds = 1.0
        short, long = gateway.raw(b"short"), gateway.raw(b"long")
        while len(upstream.seen) < 2:
            time.sleep(0.01)
        time.sleep(0.1)
        gateway.server.should_exit = True
        got = b""
        while data := short.recv(65536):
            got += data
        assert got.endswith(b"0\r\n\r\n")
        gateway.thread.join(10)
        short.close()
        long.close()
    found = {each.request_body: each for each in spooled(tmp_path / "spool")}
    assert found[b"short"].cut == ""
    assert (found[b"long"].cut, found[b"long"].error[:23]) == ("client", "The gateway was stopped")


def test_a_large_request_and_answer_pass_and_are_captured(tmp_path):
    body = b'{"model":"m","x":"' + b"0123456789abcdef" * (2 << 20) + b'"}'
    with gateway_to(tmp_path, lambda seen: plain(200, seen.body)) as (gateway, upstream):
        assert gateway.call(body=body)[2] == body
        assert upstream.seen[0].body == body
    (exchange,) = spooled(tmp_path / "spool")
    assert exchange.request_body == exchange.response_body == body
