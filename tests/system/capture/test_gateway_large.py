"""Bodies of a hundred megabytes pass whole, are captured whole and are not in memory twice; and disks may be full."""

from __future__ import annotations

import base64
import http.client
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from support.gateways import CHAT, GATEWAY_PROCESS, Upstream, free_port, spooled, streamed
from support.scripted_upstream import Pause, Script, chunked, plain
from support.waiting import until

LARGE = 100 << 20
MARGIN = 150 << 20


@pytest.fixture(scope="module")
def large():
    """A JSON body that does not become smaller by much."""
    return b'{"model":"m","x":"' + base64.b64encode(os.urandom(LARGE * 3 // 4)) + b'"}'


class Process:
    """A gateway process of its own, and the most memory that it has held."""

    def __init__(self, folder, base_url, nats_url="nats://127.0.0.1:1", limits="", memory=None):
        self.port = free_port()
        program = limits + GATEWAY_PROCESS
        arguments = [base_url, str(folder / "spool"), nats_url, str(self.port), *([str(memory)] if memory else [])]
        self.process = subprocess.Popen([sys.executable, "-c", program, *arguments], stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 60
        while not self._answers():
            assert time.monotonic() < deadline, "the gateway did not start"
            time.sleep(0.05)
        self.at_rest = self.most()

    def _answers(self):
        try:
            return self.ask("GET", "/healthz")[0] == 200
        except OSError:
            return False

    def ask(self, method="POST", path=CHAT, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            return response.status, response.read(), response.headers
        finally:
            connection.close()

    def most(self):
        """Bytes, since the process began."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))) << 10

    def metric(self, name):
        text = self.ask("GET", "/metrics")[1].decode()
        return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(name + " "))

    def until(self, name, wanted):
        deadline = time.monotonic() + 60
        while self.metric(name) < wanted:
            assert time.monotonic() < deadline, f"{name} is {self.metric(name)}"
            time.sleep(0.05)

    def stop(self):
        """What it has logged."""
        self.process.send_signal(signal.SIGTERM)
        said = self.process.communicate(timeout=60)[1]
        assert self.process.returncode == 0
        return said

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        if self.process.stderr is not None:
            self.process.stderr.close()


def in_chunks(body):
    pieces = [body[start : start + (1 << 20)] for start in range(0, len(body), 1 << 20)]
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    return Script((head, *(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces), b"0\r\n\r\n"))


def test_a_large_request_is_not_in_memory_twice(tmp_path, large):
    with Upstream(lambda seen: plain(200, b"{}")) as upstream, Process(tmp_path, upstream.base_url) as gateway:
        assert gateway.ask(body=large)[:2] == (200, b"{}")
        assert gateway.most() - gateway.at_rest < 2 * LARGE + MARGIN
        assert upstream.seen[0].body == large
        gateway.stop()
    (exchange,) = spooled(tmp_path / "spool")
    assert exchange.request_body == large


def test_a_large_call_whose_answer_came_whole_outlives_a_kill(tmp_path, large):
    body = large[: 12 << 20] + b'"}'
    with Upstream(lambda seen: plain(200, body)) as upstream, Process(tmp_path, upstream.base_url) as gateway:
        assert gateway.ask(body=body)[:2] == (200, body)
        gateway.process.kill()
        gateway.process.wait()
    (exchange,) = spooled(tmp_path / "spool")
    assert (exchange.request_body, exchange.response_body) == (body, body)


def test_another_clients_stream_goes_on_while_a_large_call_is_written(tmp_path, large):
    """Of the chunks that the model server sends meanwhile, the client gets most before the large call is answered."""
    sent_before, chunks, got = [], 6000, 0
    tick = Script((*chunked(200, [b"data: {}\n\n"] * chunks, pause=0.005).steps,))

    def answer(seen):
        if len(seen.body) < 100:
            return tick
        sent_before.append((upstream.server.written, got))
        return plain(200, b"{}")

    def read():
        nonlocal got
        connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=60)
        connection.request("POST", CHAT, b'{"model":"m","stream":true}')
        response = connection.getresponse()
        while not done.is_set() and response.readline():
            got += 1
        connection.close()

    done = threading.Event()
    with Upstream(answer) as upstream, Process(tmp_path, upstream.base_url) as gateway:
        reader = threading.Thread(target=read)
        reader.start()
        until(lambda: got > 20)
        assert gateway.ask(body=large)[:2] == (200, b"{}")
        received, sent = got - sent_before[0][1], upstream.server.written - sent_before[0][0]
        done.set()
        reader.join()
        assert received / 2 >= sent / 4 - 3  # two lines a chunk; while the loop stands, none comes
        gateway.stop()
    assert large in [exchange.request_body for exchange in spooled(tmp_path / "spool")]


def test_many_large_requests_at_once_are_in_files_and_not_in_memory(tmp_path, large):
    bodies = 12
    body = large[: 40 << 20] + b'"}'

    def answer(_seen):
        return Script((Pause(3), *plain(200, b"{}").steps))

    with Upstream(answer) as upstream, Process(tmp_path, upstream.base_url) as gateway:
        threads = [threading.Thread(target=gateway.ask, kwargs={"body": body}) for _ in range(bodies)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert gateway.most() - gateway.at_rest < 5 * len(body)
        assert all(seen.body == body for seen in upstream.seen)
        assert len(upstream.seen) == bodies
        gateway.stop()
    found = spooled(tmp_path / "spool")
    assert len(found) == bodies
    assert all(exchange.request_body == body for exchange in found)


@pytest.mark.parametrize("script", [lambda body: plain(200, body), in_chunks])
def test_many_large_bodies_both_ways_are_in_files_and_not_in_memory(tmp_path, large, script):
    calls, limit = 12, 16 << 20
    body = large[: 24 << 20] + b'"}'
    together = threading.Barrier(calls)

    def answer(_seen):
        return Script((Pause(1), *script(body).steps))

    def ask():
        together.wait()
        said.append(gateway.ask(body=body)[:2])

    said = []
    with Upstream(answer) as upstream, Process(tmp_path, upstream.base_url, memory=limit) as gateway:
        threads = [threading.Thread(target=ask) for _ in range(calls)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert said == [(200, body)] * calls
        assert gateway.most() - gateway.at_rest < limit + 4 * len(body)  # of 24 bodies
        assert gateway.stop().count("could NOT") == 0
    assert [path for path in (tmp_path / "spool").iterdir() if path.is_file()] == []
    found = spooled(tmp_path / "spool")
    assert len(found) == calls
    assert all((each.request_body, each.response_body, each.cut) == (body, body, "") for each in found)


@pytest.mark.parametrize("script", [lambda body: plain(200, body), in_chunks])
def test_a_large_answer_is_not_in_memory_twice(tmp_path, large, script):
    with Upstream(lambda seen: script(large)) as upstream, Process(tmp_path, upstream.base_url) as gateway:
        assert gateway.ask(body=b"{}")[:2] == (200, large)
        assert gateway.most() - gateway.at_rest < 2 * LARGE + MARGIN
        gateway.stop()
    (exchange,) = spooled(tmp_path / "spool")
    assert exchange.response_body == large


def test_a_large_call_travels_in_parts_and_arrives_whole(tmp_path, large, nats_server):
    with (
        Upstream(lambda seen: plain(200, large)) as upstream,
        Process(tmp_path, upstream.base_url, nats_server.url) as gateway,
    ):
        status, body, headers = gateway.ask(body=large)
        assert (status, body) == (200, large)
        gateway.until("regraft_gateway_published_total", 1)
        # Both bodies, the record that they make, and that record read back from the spool.
        assert gateway.most() - gateway.at_rest < 2 * (2 * LARGE) + MARGIN
        gateway.stop()
    (exchange,) = streamed(nats_server.url, 1)
    assert str(exchange.event_id) == headers["x-regraft-turn"]
    assert (exchange.request_body, exchange.response_body) == (large, large)


# A file that may not grow represents a disk that is full: the kernel refuses the write, at whatever size.
FULL = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
"""


def test_a_large_answer_that_has_no_room_on_the_disk_passes_whole_and_is_counted_as_lost(tmp_path, large):
    body = large[: 12 << 20] + b'"}'
    with (
        Upstream(lambda seen: plain(200, body)) as upstream,
        Process(tmp_path, upstream.base_url, limits=FULL, memory=1 << 20) as gateway,
    ):
        assert gateway.ask(body=b"{}")[:2] == (200, body)
        assert gateway.metric("regraft_gateway_capture_failures_total") == 1
        said = gateway.stop()
    assert "could NOT be captured" in said
    assert "Traceback" not in said
    assert spooled(tmp_path / "spool") == []


def test_on_a_full_disk_calls_pass_and_what_is_lost_is_counted_and_logged(tmp_path):
    body = b'{"model":"m","x":"' + base64.b64encode(os.urandom(3000)) + b'"}'
    with (
        Upstream(lambda seen: plain(200, seen.body)) as upstream,
        Process(tmp_path, upstream.base_url, limits=FULL) as gateway,
    ):
        turns = []
        for _ in range(20):
            status, said, headers = gateway.ask(body=body)
            assert (status, said) == (200, body)
            turns.append(headers["x-regraft-turn"])
        captured = int(gateway.metric("regraft_gateway_captured_total"))
        assert 0 < captured < 20
        assert gateway.metric("regraft_gateway_capture_failures_total") == 20 - captured
        assert gateway.ask("GET", "/readyz")[0] == 503
        said = gateway.stop()
    assert "could NOT be captured" in said
    assert "Traceback" not in said
    assert [str(each.event_id) for each in spooled(tmp_path / "spool")] == turns[:captured]
