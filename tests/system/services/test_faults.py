"""Everything is killed in turn under load: no call that a client saw to its end is lost, and none is stored twice."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from gateways import free_port
from scripted_upstream import ScriptedUpstream, Seen, chunked, plain

pytestmark = pytest.mark.timeout(240)
KILLED = ("ingest", "gateway", "nats", "postgres", "ingest", "gateway")
CLIENTS = 4


def answer(seen: Seen):
    asked = json.loads(seen.body)
    said = f"answer to {asked['messages'][-1]['content']}"
    if asked.get("stream"):
        pieces = [
            b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":"%b"}}]}\n\n' % said.encode(),
            b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n',
            b"data: [DONE]\n\n",
        ]
        return chunked(200, pieces)
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": said}}
    usage = {"prompt_tokens": 1, "completion_tokens": 1}
    return plain(200, json.dumps({"id": "x", "model": "m", "choices": [choice], "usage": usage}).encode())


@contextlib.contextmanager
def model() -> Iterator[ScriptedUpstream]:
    """A scripted model server on a loop of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = ScriptedUpstream(answer)
    asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result(10)
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(server.__aexit__(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class Clients:
    """Threads that ask without a pause; ``seen`` holds the id of every call whose answer came whole."""

    def __init__(self, port: int) -> None:
        self.seen: list[UUID] = []
        self.failures = 0
        self._port = port
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(CLIENTS)]

    def __enter__(self) -> Clients:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, number: int) -> None:
        asked = 0
        while not self._stop.is_set():
            asked += 1
            messages = [{"role": "user", "content": f"question {asked} of client {number}"}]
            body = json.dumps({"model": "m", "messages": messages, "stream": asked % 2 == 0})
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
            try:
                connection.request("POST", "/v1/chat/completions", body)
                response = connection.getresponse()
                response.read()
                if response.status == 200:
                    self.seen.append(UUID(response.headers["x-regraft-turn"]))
            except (OSError, http.client.HTTPException):
                self.failures += 1
                time.sleep(0.05)
            finally:
                connection.close()
            time.sleep(0.01)


@pytest.fixture
def place() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="regraft-faults-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def _pid(place: Path, name: str) -> int:
    return int(json.loads((place / "data" / "run" / f"{name}.json").read_text())["pid"])


def _wait(what: str, condition, seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not in {seconds:.0f} s"
        time.sleep(0.1)


def test_every_process_is_killed_in_turn_under_load_and_each_call_is_stored_exactly_once(place: Path) -> None:
    port = free_port()
    with model() as server:
        config = place / "regraft.toml"
        config.write_text(f'[upstreams.scripted]\nbase_url = "{server.base_url}"\n')
        clean = {name: value for name, value in os.environ.items() if not name.startswith("REGRAFT_")}
        ports = {f"REGRAFT_{name}__PORT": str(free_port()) for name in ("WEB", "DAGSTER")}
        environment = {
            **clean,
            **ports,
            "REGRAFT_DATA_DIR": str(place / "data"),
            "REGRAFT_GATEWAY__PORT": str(port),
        }
        log = (place / "up.log").open("wb")
        command = [sys.executable, "-m", "regraft", "--config", str(config), "up", "--no-dagster"]
        up = subprocess.Popen(command, env=environment, cwd=place, stdout=log, stderr=log)
        try:
            _wait("everything is up", lambda: b"All up" in (place / "up.log").read_bytes())
            with Clients(port) as clients:
                for name in KILLED:
                    before = len(clients.seen)
                    _wait(f"calls pass before {name} is killed", lambda b=before: len(clients.seen) >= b + 20)
                    victim = _pid(place, name)
                    os.kill(victim, signal.SIGKILL)
                    _wait(f"{name} is back", lambda n=name, v=victim: _pid(place, n) != v)
                before = len(clients.seen)
                _wait("calls pass at the end", lambda: len(clients.seen) >= before + 20)
            dsn = _dsn(place, environment, config)
            wanted = set(clients.seen)
            assert len(wanted) == len(clients.seen)
            _wait("all calls are stored", lambda: wanted <= _stored(dsn).keys())
            stored = _stored(dsn)
            assert all(count == 1 for count in stored.values())
            with psycopg.connect(dsn) as truth:
                assert truth.execute("SELECT count(*) FROM quarantine").fetchone() == (0,)
        finally:
            up.send_signal(signal.SIGTERM)
            up.wait(60)
            log.close()


def _dsn(place: Path, environment: dict[str, str], config: Path) -> str:
    command = [sys.executable, "-m", "regraft", "--config", str(config), "db", "url"]
    return subprocess.run(
        command, env=environment, cwd=place, capture_output=True, text=True, check=True
    ).stdout.strip()


def _stored(dsn: str) -> dict[UUID, int]:
    try:
        with psycopg.connect(dsn) as truth:
            rows = truth.execute("SELECT event_id, count(*) FROM session_turn GROUP BY event_id").fetchall()
    except psycopg.OperationalError:
        return {}
    return dict(rows)
