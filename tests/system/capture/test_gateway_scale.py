"""Two of each: gateway processes on one port, and ingest processes on one stream. Nothing lost, nothing doubled."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from regraft.infra.files.keys import KeyStore
from regraft.infra.nats.stream import CallStream
from regraft.infra.postgres.pool import connect
from support.gateways import BODY, CHAT, Upstream, free_port, streamed
from support.scripted_upstream import Pause, Script, plain
from support.waiting import until

GATEWAYS = """
import sys
from pathlib import Path
from regraft.presentation.gateway.app import serve
from regraft.presentation.gateway.settings import GatewaySettings, UpstreamSettings
if __name__ == "__main__":
    base_url, spool, nats_url, port, *keys = sys.argv[1:]
    serve(GatewaySettings(upstreams={"main": UpstreamSettings(base_url=base_url)}, spool=Path(spool),
                          nats_url=nats_url, port=int(port), workers=2, keys=Path(keys[0]) if keys else None))
"""
INGEST = """
import asyncio, signal, sys
from regraft.flows.capture.consume import consume
async def main():
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await consume(sys.argv[1], sys.argv[2], stop)
asyncio.run(main())
"""
ANSWER = b'{"id":"c","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"ok"}}]}'


def children(pid):
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def workers(pid):
    return [each for each in children(pid) if b"resource_tracker" not in Path(f"/proc/{each}/cmdline").read_bytes()]


class TwoGateways:
    """Two gateway processes, and clients that talk to them until told to stop."""

    def __init__(self, script, upstream, spool, nats_url):
        self.port = free_port()
        self.process = subprocess.Popen([sys.executable, script, upstream, spool, nats_url, str(self.port)])
        self.answered = set()
        self.stopping = threading.Event()
        self.clients = [threading.Thread(target=self._talk) for _ in range(8)]

    def _talk(self):
        while not self.stopping.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            try:
                for _ in range(20):  # then a fresh connection, perhaps to the other process
                    connection.request("POST", CHAT, BODY)
                    response = connection.getresponse()
                    response.read()
                    self.answered.add(response.headers["x-regraft-turn"])
            except (OSError, http.client.HTTPException):
                time.sleep(0.05)
            finally:
                connection.close()

    def until(self, count):
        deadline = time.monotonic() + 60
        while len(self.answered) < count:
            assert time.monotonic() < deadline, "the gateways answer no more"
            time.sleep(0.01)

    def metric(self, name):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(name + " "))

    def __enter__(self):
        for client in self.clients:
            client.start()
        return self

    def quiet(self):
        self.stopping.set()
        for client in self.clients:
            client.join()

    def __exit__(self, *_):
        self.quiet()
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(30) == 0


def test_two_gateway_processes_share_a_port_and_one_may_die(tmp_path, nats_server):
    script = tmp_path / "gateways.py"
    script.write_text(GATEWAYS)
    with Upstream(lambda seen: plain(200, ANSWER)) as upstream:
        arguments = (upstream.base_url, str(tmp_path / "spool"), nats_server.url)
        with TwoGateways(script, *arguments) as gateways:
            gateways.until(400)
            first = workers(gateways.process.pid)
            assert len(first) == 2
            os.kill(first[0], signal.SIGKILL)
            gateways.until(len(gateways.answered) + 400)
            deadline = time.monotonic() + 20
            while len(workers(gateways.process.pid)) < 2 or first[0] in workers(gateways.process.pid):
                assert time.monotonic() < deadline, "the dead process was not started again"
                time.sleep(0.05)
            gateways.quiet()
            time.sleep(1.2)
            shown = {gateways.metric("regraft_gateway_captured_total") for _ in range(20)}
            assert len(shown) == 1, "whoever is asked answers for all"
    found = [str(each.event_id) for each in streamed(nats_server.url)]
    assert gateways.answered <= set(found)
    assert len(found) == len(set(found))


def test_workers_end_with_a_parent_that_was_killed(tmp_path, nats_server):
    script = tmp_path / "gateways.py"
    script.write_text(GATEWAYS)
    with Upstream(lambda seen: plain(200, ANSWER)) as upstream:
        gateways = TwoGateways(script, upstream.base_url, str(tmp_path / "spool"), nats_server.url)
        for client in gateways.clients:
            client.start()
        gateways.until(50)
        left = workers(gateways.process.pid)
        gateways.quiet()
        gateways.process.kill()
        gateways.process.wait()
        deadline = time.monotonic() + 20
        while any(Path(f"/proc/{each}/cmdline").exists() for each in left):
            assert time.monotonic() < deadline, "a worker outlived its parent"
            time.sleep(0.05)


def test_a_rate_of_a_key_is_that_of_all_processes_together(tmp_path):
    secret = KeyStore(tmp_path / "keys.json").create("a", per_minute=6)[1]
    script, port, spool = tmp_path / "gateways.py", free_port(), tmp_path / "spool"
    script.write_text(GATEWAYS)
    with Upstream(lambda seen: plain(200, ANSWER)) as upstream:
        arguments = [upstream.base_url, str(spool), "nats://127.0.0.1:1", str(port), str(tmp_path / "keys.json")]
        gateways = subprocess.Popen([sys.executable, script, *arguments])
        try:
            shared = spool / f".workers-{port}"
            deadline = time.monotonic() + 30
            while len(list(shared.glob("*.json"))) < 2:
                assert time.monotonic() < deadline, "two processes did not start"
                time.sleep(0.05)
            began = time.monotonic()
            said = [ask_once(port, secret) for _ in range(60)]
            seconds = time.monotonic() - began
            time.sleep(1.2)  # until both have written their numbers
            refused = [b"regraft_gateway_refusals" in path.read_bytes() for path in shared.glob("*.json")]
        finally:
            gateways.terminate()
            gateways.wait(30)
    assert 6 <= said.count(200) <= 6 + seconds / 10
    assert said.count(200) + said.count(429) == 60
    assert all(refused), "one process got every call, so that this proves nothing"
    assert (shared / "rates").stat().st_mode & 0o777 == 0o600


def test_calls_of_a_key_at_once_are_those_of_all_processes_and_a_killed_one_gives_its_own_back(tmp_path):
    secret = KeyStore(tmp_path / "keys.json").create("a", max_concurrency=8)[1]
    script, port, spool = tmp_path / "gateways.py", free_port(), tmp_path / "spool"
    script.write_text(GATEWAYS)
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(Upstream(lambda seen: Script((Pause(60), *plain(200, ANSWER).steps))))
        arguments = [upstream.base_url, str(spool), "nats://127.0.0.1:1", str(port), str(tmp_path / "keys.json")]
        gateways = subprocess.Popen([sys.executable, script, *arguments])
        stack.callback(gateways.wait, 30)
        stack.callback(gateways.terminate)
        shared = spool / f".workers-{port}"
        until(lambda: len(list(shared.glob("*.json"))) == 2, 30)
        held = [stack.enter_context(begin_call(port, secret)) for _ in range(8)]
        until(lambda: len(upstream.seen) == 8, 20)
        waiting = [stack.enter_context(begin_call(port, secret)) for _ in range(16)]
        time.sleep(0.5)
        assert len(upstream.seen) == 8
        victim = workers(gateways.pid)[0]
        os.kill(victim, signal.SIGKILL)
        until(lambda: any(is_closed(each) for each in waiting), 10)
        time.sleep(0.3)
        back = sum(map(is_closed, held))
        assert 0 < back < 8, "one process had every call, so that this proves nothing"
        waiting += [stack.enter_context(begin_call(port, secret)) for _ in range(8)]
        until(lambda: len(upstream.seen) == 8 + back, 20)
        until(lambda: len(workers(gateways.pid)) == 2 and victim not in workers(gateways.pid), 20)
        waiting += [stack.enter_context(begin_call(port, secret)) for _ in range(8)]
        time.sleep(1.5)
        assert len(upstream.seen) == 8 + back


def begin_call(port, secret):
    """A connection on which a call was sent and no answer read."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=5)
    line = b"POST %b HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n" % CHAT.encode()
    line += b"authorization: Bearer %b\r\ncontent-length: %d\r\n\r\n" % (secret.encode(), len(BODY))
    sock.sendall(line + BODY)
    sock.setblocking(False)
    return sock


def is_closed(sock):
    try:
        return sock.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def ask_once(port, secret):
    """On a separate connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("POST", CHAT, BODY, {"Authorization": f"Bearer {secret}"})
        return connection.getresponse().status
    finally:
        connection.close()


def test_two_ingest_processes_share_the_stream(tmp_path, nats_server, truth):
    script = tmp_path / "gateways.py"
    script.write_text(GATEWAYS)
    command = [sys.executable, "-c", INGEST, truth, nats_server.url]
    with Upstream(lambda seen: plain(200, ANSWER)) as upstream:
        arguments = (upstream.base_url, str(tmp_path / "spool"), nats_server.url)
        with TwoGateways(script, *arguments) as gateways:
            ingests = [subprocess.Popen(command) for _ in range(2)]
            gateways.until(500)
            ingests[0].kill()
            ingests[0].wait()
            ingests[0] = subprocess.Popen(command)
            gateways.until(len(gateways.answered) + 500)
    deadline = time.monotonic() + 90
    with connect(truth, autocommit=True) as connection:
        while True:
            row = connection.execute(
                "SELECT count(*) AS calls, count(DISTINCT event_id) AS events FROM pipeline_event_inbox"
            ).fetchone()
            if row["calls"] >= len(gateways.answered):
                break
            assert time.monotonic() < deadline, f"{row['calls']} of {len(gateways.answered)} calls were stored"
            time.sleep(0.2)
        stored = {str(each["event_id"]) for each in connection.execute("SELECT event_id FROM pipeline_event_inbox")}
    for each in ingests:
        each.send_signal(signal.SIGTERM)
        each.wait(20)
    assert gateways.answered <= stored
    assert row["calls"] == row["events"]


def test_the_stream_is_a_queue_that_several_consumers_share(nats_server):
    async def main():
        async with await CallStream.connect(nats_server.url) as one, await CallStream.connect(nats_server.url) as two:
            await one.ensure()
            for number in range(20):
                await one.publish_pack([b"%d" % number])
            seen = [[], []]
            while sum(map(len, seen)) < 20:
                for mine, stream in zip(seen, (one, two), strict=True):
                    for delivery in await stream.fetch(3, 0.2):
                        mine += delivery.records
                        await delivery.ack()
            return seen

    one, two = asyncio.run(main())
    assert one
    assert two
    assert sorted(one + two, key=int) == [b"%d" % number for number in range(20)]
