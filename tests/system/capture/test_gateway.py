"""The gateway over real sockets: byte for byte transparent, and every call captured, whichever process dies."""

from __future__ import annotations

import http.client
import json
import logging
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest

from regraft.domain.capture.exchange import Identity
from regraft.domain.errors import ConfigError, PortInUseError
from regraft.presentation.gateway.app import serve, server_of
from regraft.presentation.gateway.settings import GatewaySettings, UpstreamSettings
from support.gateways import BODY, CHAT, GATEWAY_PROCESS, Gateway, Upstream, free_port, gateway_to, spooled, streamed
from support.scripted_upstream import Pause, Script, chunked, plain
from support.waiting import until

# Transparency


@pytest.mark.parametrize(
    ("script", "status", "body"),
    [
        (plain(200, b"{}"), 200, b"{}"),
        (plain(400, b'{"error":{"message":"no"}}'), 400, b'{"error":{"message":"no"}}'),
        (plain(503, b"<html>\xff\xfe", "text/html"), 503, b"<html>\xff\xfe"),
        (
            plain(200, b"\x1f\x8b\x00not really gzip", headers=(("Content-Encoding", "gzip"),)),
            200,
            b"\x1f\x8b\x00not really gzip",
        ),
        (chunked(200, [b"a" * 100_000, b"b" * 300_000], "application/json"), 200, b"a" * 100_000 + b"b" * 300_000),
        (Script((b"HTTP/1.1 200 OK\r\n\r\nuntil ", Pause(0.05), b"close"), "close"), 200, b"until close"),
        (Script((b"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n",)), 204, b""),
        (Script((b"HTTP/1.1 304 Not Modified\r\ncontent-length: 42\r\n\r\n",)), 304, b""),
        (Script((b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nab", Pause(0.05), b"cd")), 200, b"abcd"),
    ],
)
def test_answers_pass_and_are_captured(tmp_path, script, status, body):
    with gateway_to(tmp_path, lambda seen: script) as (gateway, _):
        got = gateway.call()
        assert got[0] == status
        assert got[2] == body
    (exchange,) = spooled(tmp_path / "spool")
    assert (exchange.status, exchange.response_body, exchange.request_body) == (status, body, BODY)
    assert (exchange.endpoint, exchange.upstream, exchange.scope, exchange.cut) == (CHAT, "main", "default", "")
    assert exchange.event_id == UUID(got[1]["x-regraft-turn"])
    assert exchange.duration_ns > 0
    assert exchange.response_encoding == ("gzip" if "content-encoding" in got[1] else "")


@pytest.mark.parametrize(
    "body", [b"", b"not json", b"[1,2]", b'{"model":7}', b"\x00\xff", b'{"model":"m","x":"\\ud800"}']
)
def test_a_request_that_is_not_what_it_should_be_goes_through_untouched(tmp_path, body):
    with gateway_to(tmp_path, lambda seen: plain(400, b"no")) as (gateway, upstream):
        assert gateway.call(body=body)[::2] == (400, b"no")
        assert upstream.seen[0].body == body
    assert spooled(tmp_path / "spool")[0].request_body == body


def test_secrets_pass_and_are_never_kept(tmp_path):
    with gateway_to(tmp_path, lambda seen: plain(200, b"{}")) as (gateway, upstream):
        gateway.call(headers={"Authorization": "Bearer client-secret", "Cookie": "c=cookie-secret"})
        assert upstream.seen[0].header("authorization") == "Bearer client-secret"
    kept = b"".join(path.read_bytes() for path in (tmp_path / "spool").rglob("*") if path.is_file())
    assert b"secret" not in kept
    with gateway_to(tmp_path, lambda seen: plain(200, b"{}"), api_key="own") as (gateway, upstream):
        gateway.call(headers={"Authorization": "Bearer client-secret"})
        assert [value for name, value in upstream.seen[0].headers if name == "authorization"] == ["Bearer own"]


def test_what_the_client_says_of_the_call_is_kept_and_not_forwarded(tmp_path):
    said = {
        "X-Regraft-Session": "s-1",
        "X-Regraft-Parent-Node": "p",
        "X-Regraft-Replay-Node": "r",
        "X-Regraft-Theme": "Th%C3%A8me%20un",
        "X-Regraft-Task": "caf%E9",
        "X-Regraft-Purpose": "replay",
        "X-Regraft-Variant": '{"temperature":0}',
        "X-Regraft-Plan": "x" * 5000,
        "X-Regraft-Unknown": "u",
    }
    with gateway_to(tmp_path, lambda seen: plain(200, b"{}")) as (gateway, upstream):
        gateway.call(headers={**said, "Accept-Encoding": "br, gzip;q=0.5, *", "Connection": "x-hop", "X-Hop": "1"})
        gateway.call(headers={"Accept-Encoding": "br"})
        names = {name for name, _ in upstream.seen[0].headers}
        assert not any(name.startswith("x-regraft") for name in names)
        assert "x-hop" not in names
        assert "connection" not in names
        assert upstream.seen[0].header("accept-encoding") == "gzip;q=0.5"
        assert upstream.seen[1].header("accept-encoding") == "identity"
    first, second = spooled(tmp_path / "spool")
    assert first.identity == Identity(
        session="s-1",
        parent_node="p",
        replay_node="r",
        theme="Thème un",
        task="café",
        purpose="replay",
        variant='{"temperature":0}',
        plan="x" * 4096,
    )
    assert second.identity == Identity()


def test_stream_chunks_arrive_as_they_are_sent(tmp_path):
    pieces = [b'data: {"n":%d}\n\n' % number for number in range(5)]
    with gateway_to(tmp_path, lambda seen: chunked(200, pieces, pause=0.1)) as (gateway, _):
        sock = gateway.raw()
        got, times = b"", []
        while not got.endswith(b"0\r\n\r\n"):
            got += sock.recv(65536)
            times.append(time.monotonic())
        sock.close()
        assert times[-1] - times[0] > 0.3
        body = got.partition(b"\r\n\r\n")[2]
        assert body == b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    (exchange,) = spooled(tmp_path / "spool")
    assert exchange.response_body == b"".join(pieces)
    assert exchange.first_byte_ns < exchange.duration_ns - 300_000_000


def test_the_call_is_in_the_spool_before_the_client_sees_done(tmp_path):
    pieces = [b"data: {}\n\n", b"data: [DO", b"NE]\n", b"\n"]
    with gateway_to(tmp_path, lambda seen: chunked(200, pieces, pause=0.05)) as (gateway, _):
        sock = gateway.raw()
        got = b""
        while b"NE]" not in got:
            got += sock.recv(65536)
        kept = b"".join(path.read_bytes() for path in (tmp_path / "spool").rglob("*.seg"))
        assert b"[DONE]\n\n" in kept
        sock.close()


def test_a_server_that_never_ends_after_done_does_not_hold_the_client(tmp_path):
    def answer(seen):
        return Script((*chunked(200, [b"data: [DONE]\n\n"], end=False).steps, Pause(30)))

    with gateway_to(tmp_path, answer) as (gateway, _):
        sock = gateway.raw()
        got = b""
        while b"[DONE]" not in got:
            got += sock.recv(65536)
        sock.close()
    (exchange,) = spooled(tmp_path / "spool")
    assert (exchange.response_body, exchange.cut) == (b"data: [DONE]\n\n", "")


# Failures


def test_a_dead_upstream_is_a_clear_502_and_an_event(tmp_path):
    port = free_port()
    dead = UpstreamSettings(base_url=f"http://127.0.0.1:{port}/v1")
    settings = GatewaySettings(
        upstreams={"dead": dead}, spool=tmp_path, nats_url="nats://127.0.0.1:1", port=free_port()
    )
    with Gateway(settings) as gateway:
        status, headers, body = gateway.call()
        assert gateway.metrics()[f'regraft_gateway_calls_total{{endpoint="{CHAT}",status="5xx",upstream="dead"}}'] == 1
    error = json.loads(body)["error"]
    assert (status, error["type"], error["code"], error["param"]) == (
        502,
        "upstream_error",
        "upstream_unavailable",
        None,
    )
    assert error["message"].startswith(f"127.0.0.1:{port} cannot be reached")
    (exchange,) = spooled(tmp_path)
    assert (exchange.status, exchange.error, exchange.response_body) == (502, error["message"], body)
    assert exchange.event_id == UUID(headers["x-regraft-turn"])


@pytest.mark.parametrize("then", ["close", "reset"])
@pytest.mark.parametrize(
    "steps",
    [
        (*chunked(200, [b"data: 1\n\n", b"data: 2\n\n"], end=False).steps, Pause(0.1)),
        (*chunked(200, [b"data: 1\n\n", b"data: [DONE]\n\n"], end=False).steps, Pause(0.1)),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\npart", Pause(0.1)),
    ],
)
def test_an_upstream_cut_cuts_the_client_too(tmp_path, steps, then):
    with gateway_to(tmp_path, lambda seen: Script(steps, then)) as (gateway, _):
        connection = http.client.HTTPConnection("127.0.0.1", gateway.settings.port, timeout=20)
        connection.request("POST", CHAT, BODY)
        with pytest.raises(http.client.IncompleteRead) as caught:
            connection.getresponse().read()
        connection.close()
        assert gateway.metrics()['regraft_gateway_cuts_total{by="upstream"}'] == 1
    (exchange,) = spooled(tmp_path / "spool")
    assert exchange.cut == "upstream"
    assert "cut its answer" in exchange.error
    assert exchange.response_body
    assert exchange.response_body.startswith(caught.value.partial)


def test_a_client_that_leaves_frees_the_upstream_and_is_captured_as_far_as_it_got(tmp_path):
    pieces = [b"data: %d\n\n" % number for number in range(1000)]
    with gateway_to(tmp_path, lambda seen: chunked(200, pieces, pause=0.02)) as (gateway, upstream):
        sock = gateway.raw()
        got = b""
        while b"data: 5" not in got:
            got += sock.recv(65536)
        sock.close()
        until(lambda: upstream.server.dropped == 1)
    (exchange,) = spooled(tmp_path / "spool")
    assert (exchange.status, exchange.cut) == (200, "client")
    assert b"".join(pieces).startswith(exchange.response_body)
    assert b"data: 5" in exchange.response_body
    assert len(exchange.response_body) < 2000


def test_a_client_that_leaves_before_the_answer_frees_the_upstream(tmp_path):
    with gateway_to(tmp_path, lambda seen: Script((Pause(30),))) as (gateway, upstream):
        sock = gateway.raw()
        while not upstream.seen:
            time.sleep(0.01)
        sock.close()
        until(lambda: upstream.server.dropped == 1)
    (exchange,) = spooled(tmp_path / "spool")
    assert (exchange.status, exchange.cut, exchange.response_body) == (0, "client", b"")


def test_a_full_spool_is_loud_and_never_costs_an_answer(tmp_path, caplog):
    with Upstream(lambda seen: plain(200, b"{}")) as upstream:
        settings = GatewaySettings(
            upstreams={"main": UpstreamSettings(base_url=upstream.base_url)},
            spool=tmp_path,
            nats_url="nats://127.0.0.1:1",
            port=free_port(),
            spool_limit_bytes=600,
        )
        with Gateway(settings) as gateway, caplog.at_level(logging.ERROR, "regraft"):
            assert [gateway.call()[::2] for _ in range(10)] == [(200, b"{}")] * 10
            metrics = gateway.metrics()
            assert metrics["regraft_gateway_captured_total"] + metrics["regraft_gateway_capture_failures_total"] == 10
            assert metrics["regraft_gateway_capture_failures_total"] > 5
            assert gateway.call("GET", "/readyz", None)[0] == 503
    assert "could NOT be captured" in caplog.text


# Other endpoints


def test_own_endpoints_and_what_passes_uncaptured(tmp_path):
    with gateway_to(tmp_path, lambda seen: plain(200, seen.path.encode())) as (gateway, upstream):
        assert gateway.call("GET", "/healthz", None)[::2] == (200, b'{"status":"ok"}')
        state = json.loads(gateway.call("GET", "/readyz", None)[2])
        assert (state["ready"], state["stream"]) == (True, "away")
        assert gateway.call("GET", "/v1/models", None)[2] == b"/v1/models"
        status, headers, body = gateway.call("GET", "/v1/files/a%2Fb?limit=1", None)
        assert (status, body) == (200, b"/v1/files/a%2Fb?limit=1")
        assert "x-regraft-turn" not in headers
        assert gateway.call("POST", "/v1/audio/speech")[2] == b"/v1/audio/speech"
        status, _, body = gateway.call("GET", "/nothing", None)
        assert status == 404
        assert json.loads(body)["error"]["type"] == "invalid_request_error"
        counted = gateway.metrics()
        assert counted['regraft_gateway_calls_total{endpoint="other",status="2xx",upstream="main"}'] == 2
        assert counted["regraft_gateway_captured_total"] == 0
        assert len(upstream.seen) == 3
    assert spooled(tmp_path / "spool") == []


def test_routing_by_model_and_the_merged_list(tmp_path):
    def lists(*names):
        body = json.dumps({"object": "list", "data": [{"id": name, "object": "model"} for name in names]}).encode()
        return lambda seen: plain(200, body)

    with Upstream(lists("llama-1", "gpt-4o")) as one, Upstream(lists("gpt-4o", "gpt-5")) as two:
        settings = GatewaySettings(
            upstreams={
                "one": UpstreamSettings(base_url=one.base_url, models=("llama-*",)),
                "two": UpstreamSettings(base_url=two.base_url, models=("gpt-*", "o[13]*"), pin="build-7", api_key="k"),
                "gone": UpstreamSettings(base_url="http://127.0.0.1:9/v1", models=("x-*",)),
            },
            spool=tmp_path,
            nats_url="nats://127.0.0.1:1",
            port=free_port(),
        )
        with Gateway(settings) as gateway:
            merged = json.loads(gateway.call("GET", "/v1/models", None)[2])
            assert [each["id"] for each in merged["data"]] == ["llama-1", "gpt-4o", "gpt-5"]
            for body in (b'{"model":"gpt-4o"}', b'{"model":"o1-mini"}', b'{"x":"\\ud800","model":"gpt-4o"}'):
                gateway.call(body=body)
            for body in (b'{"model":"llama-1"}', b'{"model":"unknown"}', b"no json"):
                gateway.call(body=body)
        assert len(two.seen) == 4
        assert len(one.seen) == 4
    assert Counter((each.upstream, each.upstream_pin) for each in spooled(tmp_path)) == {
        ("two", "build-7"): 3,
        ("one", ""): 3,
    }


def test_a_gateway_without_an_upstream_is_a_configuration_error(tmp_path):
    with pytest.raises(ConfigError, match="no upstream"):
        server_of(GatewaySettings(upstreams={}, spool=tmp_path))


def test_a_taken_port_is_said_before_anything_starts(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        one = UpstreamSettings(base_url="http://127.0.0.1:9/v1")
        with pytest.raises(PortInUseError, match=f"Port {port} on 127"):
            serve(GatewaySettings(upstreams={"one": one}, spool=tmp_path / "spool", port=port))
    assert not (tmp_path / "spool").exists()


def test_many_clients_at_once_each_get_their_own_answer(tmp_path, nats_server):
    def answer(seen):
        number = json.loads(seen.body)["n"]
        if number % 2:
            return chunked(200, [f"data: {number}\n\n".encode(), b"data: [DONE]\n\n"], pause=0.001)
        return plain(200, str(number).encode())

    with gateway_to(tmp_path, answer, nats_server.url) as (gateway, _):

        def talk(number):
            return gateway.call(body=json.dumps({"model": "m", "n": number}).encode())

        with ThreadPoolExecutor(24) as threads:
            answers = list(threads.map(talk, range(600)))
    turns = {}
    for number, (status, headers, body) in enumerate(answers):
        assert (status, str(number).encode() in body) == (200, True)
        turns[UUID(headers["x-regraft-turn"])] = (number, body)
    for exchange in streamed(nats_server.url, 600):
        assert (json.loads(exchange.request_body)["n"], exchange.response_body) == turns.pop(exchange.event_id)
    assert turns == {}


# Losing nothing


def test_nats_may_be_down_at_the_start_and_go_away_later(tmp_path, nats_server):
    nats_server.stop()
    with gateway_to(tmp_path, lambda seen: plain(200, b"{}"), nats_server.url) as (gateway, _):
        turns = [gateway.call()[1]["x-regraft-turn"] for _ in range(20)]
        nats_server.start()
        turns += [gateway.call()[1]["x-regraft-turn"] for _ in range(20)]
        until(lambda: gateway.metrics()["regraft_gateway_published_total"] >= 40)
        nats_server.stop()
        turns += [gateway.call()[1]["x-regraft-turn"] for _ in range(20)]
        nats_server.start()
        until(lambda: gateway.metrics()["regraft_gateway_published_total"] >= 60)
        assert json.loads(gateway.call("GET", "/readyz", None)[2])["spool_bytes"] == 0
    assert [str(each.event_id) for each in streamed(nats_server.url, 60)] == turns
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_gateway_that_is_stopped_at_once_still_moves_what_an_earlier_one_left(tmp_path, nats_server):
    nats_server.stop()
    with gateway_to(tmp_path, lambda seen: plain(200, b"{}"), nats_server.url) as (gateway, _):
        turns = [gateway.call()[1]["x-regraft-turn"] for _ in range(100)]
    nats_server.start()
    with gateway_to(tmp_path, lambda seen: plain(200, b"{}"), nats_server.url):
        pass
    assert [str(each.event_id) for each in streamed(nats_server.url)] == turns
    assert list((tmp_path / "spool").iterdir()) == []


def test_kill_9_of_the_gateway_loses_no_answered_call(tmp_path, nats_server):
    pieces = [b"data: 1\n\n", b"data: [DONE]\n\n"]

    def answer(seen):
        return chunked(200, pieces) if b'"stream"' in seen.body else plain(200, b'{"n":1}')

    port = free_port()
    answered: set[str] = set()
    stopping = threading.Event()

    def talk(number):
        body = b'{"model":"m","stream":true}' if number % 2 else b'{"model":"m"}'
        while not stopping.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            try:
                while not stopping.is_set():
                    connection.request("POST", CHAT, body)
                    response = connection.getresponse()
                    response.read()
                    answered.add(response.headers["x-regraft-turn"])
            except (OSError, http.client.HTTPException):
                time.sleep(0.05)
            finally:
                connection.close()

    with Upstream(answer) as upstream:
        command = [sys.executable, "-c", textwrap.dedent(GATEWAY_PROCESS), upstream.base_url]
        command += [str(tmp_path / "spool"), nats_server.url, str(port)]
        clients = [threading.Thread(target=talk, args=(number,)) for number in range(6)]
        process = subprocess.Popen(command)
        for client in clients:
            client.start()
        for _ in range(3):
            target = len(answered) + 300
            while len(answered) < target:
                time.sleep(0.01)
            process.send_signal(signal.SIGKILL)
            process.wait()
            process = subprocess.Popen(command)
        target = len(answered) + 50
        while len(answered) < target:
            time.sleep(0.01)
        stopping.set()
        for client in clients:
            client.join()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) in (0, -signal.SIGTERM)
        # A gateway that is told to stop moves what it can in a few seconds; the rest is for the next one.
        for _ in range(5):
            if not list((tmp_path / "spool").iterdir()):
                break
            process = subprocess.Popen(command)
            time.sleep(2)
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) in (0, -signal.SIGTERM)
    found = [str(each.event_id) for each in streamed(nats_server.url)]
    assert answered <= set(found)
    assert len(found) == len(set(found))
    assert len(answered) > 950
    assert list((tmp_path / "spool").iterdir()) == []
