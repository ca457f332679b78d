"""A gateway in this process with scripted model servers, and its captured calls."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from regraft.domain.errors import UnavailableError
from regraft.flows.capture.ingest import SeenIds, ingest
from regraft.infra.nats.codec import decode_exchange, encode_exchange
from regraft.infra.nats.stream import CallStream
from regraft.infra.postgres.pool import connect
from regraft.infra.spool.reader import try_lock
from regraft.infra.spool.writer import Spool
from regraft.presentation.gateway.app import server_of
from regraft.presentation.gateway.settings import GatewaySettings, UpstreamSettings
from support.ports import free_port
from support.scripted_upstream import ScriptedUpstream
from support.waiting import until

CHAT = "/v1/chat/completions"
BODY = b'{"model":"m","messages":[{"role":"user","content":"hi"}]}'

# Arguments: the model server, the spool's folder, the stream, the port.
GATEWAY_PROCESS = """
import sys
from pathlib import Path
from regraft.presentation.gateway.app import serve
from regraft.presentation.gateway.settings import GatewaySettings, UpstreamSettings
base_url, spool, nats_url, port, *memory = sys.argv[1:]
more = {"body_memory_bytes": int(memory[0])} if memory else {}
serve(GatewaySettings(upstreams={"main": UpstreamSettings(base_url=base_url)}, spool=Path(spool),
                      nats_url=nats_url, port=int(port), **more))
"""


class NatsServer:
    """A real nats-server that fsyncs what it acknowledges."""

    def __init__(self, home):
        self.port = free_port()
        self.url = f"nats://127.0.0.1:{self.port}"
        self.config = home / "nats.conf"
        self.config.write_text(
            f'listen: "127.0.0.1:{self.port}"\nmax_payload: 8MB\n'
            f'jetstream {{ store_dir: "{home / "jetstream"}", sync_interval: always }}\n'
        )
        self.process = None

    def start(self):
        command = [str(Path(sys.executable).parent / "nats-server"), "-c", str(self.config)]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.05)
        raise RuntimeError("nats-server did not start")

    def stop(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


class Upstream:
    """A scripted upstream on a separate thread."""

    def __init__(self, answer):
        self._answer = answer
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self):
        self._thread.start()
        self.server = ScriptedUpstream(lambda seen: self._answer(seen))
        asyncio.run_coroutine_threadsafe(self.server.__aenter__(), self._loop).result(10)
        return self

    def __exit__(self, *_):
        asyncio.run_coroutine_threadsafe(self.server.__aexit__(), self._loop).result(10)
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0.05), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def die(self):
        """Close the server with all its connections."""
        asyncio.run_coroutine_threadsafe(self.server.__aexit__(), self._loop).result(10)

    @property
    def seen(self):
        return self.server.seen

    @property
    def base_url(self):
        return self.server.base_url


class Gateway:
    """The gateway in this process, on a separate thread."""

    def __init__(self, settings):
        self.settings = settings

    def __enter__(self):
        self.server = server_of(self.settings)
        self.server.config.drain_seconds = 5
        self.thread = threading.Thread(target=self.server.run)
        self.thread.start()
        while not self.server.started:
            assert self.thread.is_alive(), "the gateway did not start"
            time.sleep(0.01)
        return self

    def __exit__(self, *_):
        self.server.should_exit = True
        self.thread.join(20)
        assert not self.thread.is_alive()

    def call(self, method="POST", path=CHAT, body=BODY, headers=None):
        """Status, headers (lower case) and the raw body, over a fresh connection."""
        connection = http.client.HTTPConnection("127.0.0.1", self.settings.port, timeout=20)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json", **(headers or {})})
            response = connection.getresponse()
            return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
        finally:
            connection.close()

    def raw(self, body=BODY, headers=b"", path=CHAT):
        """A socket on which the request was sent."""
        sock = socket.create_connection(("127.0.0.1", self.settings.port), 20)
        head = b"POST %b HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n%b\r\n"
        sock.sendall(head % (path.encode(), len(body), headers) + body)
        return sock

    def metrics(self):
        text = self.call("GET", "/metrics", None)[2].decode()
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in text.splitlines() if line[0] != "#"}


@contextlib.contextmanager
def gateway_to(tmp_path, answer, nats_url="nats://127.0.0.1:1", **options):
    """A gateway before one scripted upstream."""
    with Upstream(answer) as upstream:
        one = UpstreamSettings(base_url=upstream.base_url, **options)
        settings = GatewaySettings(
            upstreams={"main": one}, spool=tmp_path / "spool", nats_url=nats_url, port=free_port()
        )
        with Gateway(settings) as gateway:
            yield gateway, upstream


def spooled(folder):
    """Every Exchange in the spools of a gateway that ended. A killed one's drainer holds its spool a moment longer."""
    until(lambda: not folder.exists() or not any(map(_held, folder.iterdir())))
    found = []
    successor = Spool(folder)
    for orphan in successor.orphans():
        while (pack := orphan.read_pack()) is not None:
            found += [decode_exchange(record) for record in pack.records]
            orphan.acknowledge(pack)
        orphan.close()
    successor.close()
    return found


def _held(home):
    """Whether a process lives in this folder of a spool."""
    if not (home / "lock").exists():
        return False
    lock = try_lock(home)
    if lock is not None:
        os.close(lock)
    return lock is None


async def abandoned(url):
    """A large record of which two parts came, before its publisher met a full stream and came no more; the record."""
    record = os.urandom(40 << 20)
    async with await CallStream.connect(url) as stream:
        await stream.ensure(max_bytes=20 << 20)
        with contextlib.suppress(UnavailableError):
            await stream.publish_pack([record])
        assert await stream.waiting() == 2
        await stream.ensure()
    return record


def streamed(url, expected=None, seconds=20.0):
    """Every Exchange in the stream, acknowledged; waits until ``expected`` have come, or nothing is left."""

    async def main():
        found = []
        deadline = time.monotonic() + seconds
        async with await CallStream.connect(url) as stream:
            await stream.ensure()
            while time.monotonic() < deadline and (expected is None or len(found) < expected):
                deliveries = await stream.fetch(64, 0.5)
                if not deliveries and expected is None and not await stream.waiting():
                    break  # an empty answer alone says little: a busy server may need longer than the fetch
                for delivery in deliveries:
                    found += [decode_exchange(record) for record in delivery.records]
                    await delivery.ack()
            assert expected is None or await stream.fetch(1, 0.3) == []
            assert await stream.waiting() == 0
        return found

    return asyncio.run(main())


def stored_turns(dsn, exchanges):
    """Captured calls stored, and each turn with its call and all that was said, in the order of the calls."""
    with connect(dsn, autocommit=True) as connection:
        ingest(connection, [encode_exchange(each) for each in exchanges], SeenIds())
        return connection.execute(
            """SELECT t.turn_id, t.event_id, t.node_status, t.finish_reason, s.external_id, e.http_status, e.streamed,
                e.cut, e.error, e.usage, e.traceparent, m.body AS answer, context_messages(t.context_id) AS history,
                tools.body AS tools, sampling.body AS sampling, other.body AS other
            FROM session_turn t JOIN pipeline_event_inbox e USING (event_id) JOIN session s USING (session_id)
            LEFT JOIN message m ON m.message_id = t.answer_id
            LEFT JOIN request_part tools ON tools.part_id = e.tools_id
            LEFT JOIN request_part sampling ON sampling.part_id = e.sampling_id
            LEFT JOIN request_part other ON other.part_id = e.other_id
            ORDER BY t.event_id, t.choice_index"""
        ).fetchall()
