"""SIGTERM: each service finishes what it has begun, says before that it will, and loses nothing."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from regraft.infra.embedded.nats import EmbeddedNats
from regraft.infra.nats.codec import encode_exchange
from regraft.infra.nats.stream import CallStream
from regraft.infra.postgres.pool import connect
from support.gateways import BODY, CHAT, Upstream, free_port, spooled, streamed
from support.scripted_upstream import Script, Seen, chunked, plain
from support.waiting import until
from support.web_process import WebProcess

_PIECES = [b'data: {"choices":[{"index":0,"delta":{"content":"%d"}}]}\n\n' % number for number in range(40)]
_LAST = b"data: [DONE]\n\n"


class Service:
    """``regraft NAME`` as a separate process, in a folder with a regraft.toml."""

    def __init__(self, folder: Path, name: str) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("REGRAFT_")}
        self.log = folder / f"{name}.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "regraft", name], cwd=folder, env=clean, stdout=log, stderr=log
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def ended(self) -> int:
        """The exit status."""
        return self.process.wait(60)


def answer(seen: Seen) -> Script:
    """A short answer, or one that continues for seconds, or for longer than any test."""
    if b"endless" in seen.body:
        return chunked(200, [_PIECES[0], *_PIECES * 100], pause=0.1)
    if b"stream" in seen.body:
        return chunked(200, [*_PIECES, _LAST], pause=0.1)
    return plain(200, json.dumps({"choices": [{"message": {"role": "assistant", "content": "hi"}}]}).encode())


class GatewayProcess(Service):
    """The gateway, listening."""

    def __init__(self, folder: Path, upstream: Upstream, nats_url: str, settings: str = "") -> None:
        self.port = free_port()
        (folder / "regraft.toml").write_text(
            f'data_dir = "data"\nnats.url = "{nats_url}"\nupstreams.main.base_url = "{upstream.base_url}"\n'
            f"[gateway]\nport = {self.port}\n{settings}"
        )
        super().__init__(folder, "gateway")
        until(lambda: self.ask("GET", "/readyz")[0] == 200)

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, Any, bytes]:
        """Status, headers and body on a fresh connection; status 0 where none is made."""
        with contextlib.suppress(OSError), self.asking(method, path, body) as reply:
            return reply.status, reply.headers, reply.read()
        return 0, {}, b""

    @contextlib.contextmanager
    def asking(self, method: str, path: str, body: bytes | None = None) -> Iterator[http.client.HTTPResponse]:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
            yield connection.getresponse()


@pytest.fixture
def stream(tmp_path: Path) -> Iterator[str]:
    """The URL of a stream of the test alone."""
    server = EmbeddedNats(tmp_path / "nats")
    yield server.start().url
    server.stop()


@pytest.mark.parametrize("workers", [1, 2])
def test_the_gateway_says_that_it_will_stop_and_ends_when_its_streams_have_ended(
    tmp_path: Path, stream: str, workers: int
) -> None:
    settings = f"workers = {workers}\ndrain_notice = 500\n"
    with Upstream(answer) as upstream, GatewayProcess(tmp_path, upstream, stream, settings) as gateway:
        with gateway.asking("POST", CHAT, b'{"model":"m","stream":true}') as long:
            got = long.read(10)
            gateway.terminate()
            until(lambda: gateway.ask("GET", "/readyz")[0] == 503)
            assert json.loads(gateway.ask("GET", "/readyz")[2])["draining"] is True
            assert gateway.ask("GET", "/healthz")[0] == 200
            status, headers, _ = gateway.ask("POST", CHAT, BODY)
            assert (status, headers["connection"]) == (200, "close")  # it takes calls until the notice is over

            got += long.read(len(_PIECES[0]) * 20)  # more than a second: a signal within one is taken for the same
            gateway.terminate()
            until(lambda: gateway.ask("GET", "/healthz")[0] == 0)
            got += long.read()
        assert gateway.ended() == 0, gateway.log.read_text()
        assert got == b"".join([*_PIECES, _LAST])
    calls = streamed(stream, 2)
    assert {call.cut for call in calls} == {""}
    assert sorted(len(call.response_body) for call in calls)[1] == len(got)


def test_a_stream_that_does_not_end_in_time_is_cut_and_captured_as_far_as_it_came(tmp_path: Path, stream: str) -> None:
    settings = "drain_seconds = 0.5\n"
    with Upstream(answer) as upstream, GatewayProcess(tmp_path, upstream, stream, settings) as gateway:
        with gateway.asking("POST", CHAT, b'{"model":"m","endless":true,"stream":true}') as long:
            assert long.read(10)
            gateway.terminate()
            with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
                long.read()
        assert gateway.ended() == 0, gateway.log.read_text()
    (call,) = streamed(stream, 1)
    assert call.cut == "client"
    assert call.error.startswith("The gateway was stopped")
    assert call.response_body.startswith(_PIECES[0])


def test_a_gateway_whose_stream_is_away_keeps_what_it_captured_on_disk(tmp_path: Path) -> None:
    with Upstream(answer) as upstream, GatewayProcess(tmp_path, upstream, "nats://127.0.0.1:1") as gateway:
        with gateway.asking("POST", CHAT, b'{"model":"m","stream":true}') as long:
            got = long.read(10)
            gateway.terminate()
            got += long.read()
        assert gateway.ended() == 0, gateway.log.read_text()
    (call,) = spooled(tmp_path / "data" / "spool")
    assert (call.cut, call.response_body) == ("", got)


def test_ingest_ends_after_its_batch_and_the_next_one_stores_the_rest_once(
    tmp_path: Path, truth: str, stream: str, calls: Any
) -> None:
    number = 4_000

    async def publish() -> None:
        async with await CallStream.connect(stream) as publisher:
            await publisher.ensure()
            for start in range(0, number, 20):
                asked = [calls([{"role": "user", "content": f"question {each}"}]) for each in range(start, start + 20)]
                await publisher.publish_pack([encode_exchange(each) for each in asked])

    asyncio.run(publish())
    (tmp_path / "regraft.toml").write_text(
        f'data_dir = "data"\nnats.url = "{stream}"\npostgres.dsn = "{truth}"\nlog_level = "WARNING"\n'
    )

    def stored() -> int:
        with connect(truth, autocommit=True) as connection:
            row = connection.execute("SELECT count(*) AS calls FROM pipeline_event_inbox").fetchone()
        assert row is not None
        return int(row["calls"])

    with Service(tmp_path, "ingest") as first:
        until(lambda: stored() > 0)
        first.terminate()
        assert first.ended() == 0, first.log.read_text()
    assert 0 < stored() < number
    with Service(tmp_path, "ingest") as second:
        until(lambda: stored() == number)
        second.terminate()
        assert second.ended() == 0, second.log.read_text()
    assert stored() == number


def test_the_bridge_of_metrics_ends_in_order(tmp_path: Path, truth: str, stream: str) -> None:
    port = free_port()
    (tmp_path / "regraft.toml").write_text(
        f'data_dir = "data"\nnats.url = "{stream}"\npostgres.dsn = "{truth}"\nmetrics.port = {port}\n'
    )

    def answers() -> bool:
        with (
            contextlib.suppress(OSError),
            contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as page,
        ):
            page.request("GET", "/metrics")
            return page.getresponse().status == 200
        return False

    with Service(tmp_path, "metrics") as metrics:
        until(answers)
        metrics.terminate()
        assert metrics.ended() == 0, metrics.log.read_text()


def test_the_web_process_ends_its_streams_of_events_in_order(tmp_path: Path, truth: str) -> None:
    port = free_port()
    (tmp_path / "regraft.toml").write_text(f'data_dir = "data"\npostgres.dsn = "{truth}"\nweb.port = {port}\n')
    web = WebProcess(tmp_path, port)
    web.start()
    process = web._process
    assert process is not None
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request("GET", "/api/live/events")
        events = connection.getresponse()
        assert events.readline() == b"retry: 2000\n"
        process.send_signal(signal.SIGTERM)
        assert events.read().strip() == b""  # to its end: an answer that is cut raises IncompleteRead
    assert process.wait(30) == 0, (tmp_path / "web.log").read_text()
    assert "Cancel" not in (tmp_path / "web.log").read_text()
