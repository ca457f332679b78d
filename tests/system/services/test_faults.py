"""Everything is killed in turn under load: no call that a client saw to its end is lost, and none is stored twice."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import resource
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

import psutil
import psycopg
import pytest

from support.gateways import free_port
from support.scripted_upstream import ScriptedUpstream, Seen, chunked, plain

pytestmark = pytest.mark.timeout(400)
KILLED = ("ingest", "gateway", "worker", "drainer", "nats", "postgres", "supervisor", "ingest")
STOPPED_SECONDS = 20.0  # of NATS, and of PostgreSQL, as by a debugger or a frozen disk
SPOOL_BYTES = 24 << 20  # of a small disk, which is filled for a while
FULL_SECONDS = 3.0
CALLS = 2_000  # in all, at least
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
    """A scripted model server on a separate loop."""
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


PARTS = {"worker": "spawn_main", "drainer": "gateway.drain"}


def _parts(place: Path, name: str) -> list[int]:
    """The workers of the gateway, or the drainers that move calls from the spool to the stream."""
    found = []
    with contextlib.suppress(psutil.Error):
        for each in psutil.Process(_pid(place, "gateway")).children(recursive=True):
            with contextlib.suppress(psutil.Error):  # it ended meanwhile
                if any(PARTS[name] in word for word in each.cmdline()):
                    found.append(each.pid)
    return found


class SmallDisk:
    """A disk of its own for a folder, where we may mount one; otherwise the kernel refuses what workers write."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mounted = False

    def __enter__(self) -> SmallDisk:
        self.folder.mkdir(mode=0o700, parents=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={SPOOL_BYTES},mode=700", "tmpfs", str(self.folder)]
        with contextlib.suppress(FileNotFoundError):
            self.mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
        return self

    def __exit__(self, *_: object) -> None:
        if self.mounted:
            subprocess.run(["umount", "--lazy", str(self.folder)], check=True)

    @contextlib.contextmanager
    def full(self) -> Iterator[None]:
        """Full for the time of the block, also when some of it becomes free."""
        filling = threading.Event()
        filler = threading.Thread(target=self._fill if self.mounted else self._limit, args=(filling,))
        filler.start()
        try:
            yield
        finally:
            filling.set()
            filler.join()

    def _fill(self, enough: threading.Event) -> None:
        with tempfile.TemporaryFile(dir=self.folder, buffering=0) as file:
            while not enough.wait(0.01):
                with contextlib.suppress(OSError):
                    while file.write(bytes(64 << 10)):
                        pass
                with contextlib.suppress(OSError):
                    while file.write(bytes(512)):
                        pass

    def _limit(self, enough: threading.Event) -> None:
        workers = _parts(self.folder.parent.parent, "worker")
        before = {pid: resource.prlimit(pid, resource.RLIMIT_FSIZE) for pid in workers}
        for pid, (_, most) in before.items():
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, most))
        enough.wait()
        for pid, limits in before.items():
            resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)


class Regraft:
    """``regraft up`` in a separate folder, with two gateway workers."""

    def __init__(self, place: Path, base_url: str) -> None:
        self.port = free_port()
        self.place = place
        self.config = place / "regraft.toml"
        self.config.write_text(f'[gateway]\nworkers = 2\n[upstreams.scripted]\nbase_url = "{base_url}"\n')
        clean = {name: value for name, value in os.environ.items() if not name.startswith("REGRAFT_")}
        ports = {f"REGRAFT_{name}__PORT": str(free_port()) for name in ("WEB", "DAGSTER")}
        self.environment = {
            **clean,
            **ports,
            "REGRAFT_DATA_DIR": str(place / "data"),
            "REGRAFT_GATEWAY__PORT": str(self.port),
        }
        self.start()

    def start(self) -> None:
        log = self.place / "up.log"
        command = [sys.executable, "-m", "regraft", "--config", str(self.config), "up", "--no-dagster"]
        with log.open("wb") as file:
            self.up = subprocess.Popen(command, env=self.environment, cwd=self.place, stdout=file, stderr=file)
        _wait("everything is up", lambda: b"All up" in log.read_bytes() or self.up.poll() is not None)
        assert self.up.poll() is None, log.read_text()

    def kill(self, name: str) -> None:
        """Kill a process, and return when there is another in its place."""
        if name == "supervisor":
            self.up.kill()
            self.up.wait()
            self.start()
            return
        inner = name in ("worker", "drainer")
        if inner:
            _wait(f"there is a {name}", lambda: _parts(self.place, name))
        victim = _parts(self.place, name)[0] if inner else _pid(self.place, name)
        os.kill(victim, signal.SIGKILL)
        if not inner:
            _wait(f"{name} is back", lambda: _pid(self.place, name) != victim)

    def capture_failures(self) -> int:
        """Calls that were answered and not captured, as all workers together count them."""
        name = "regraft_gateway_capture_failures_total "
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)) as connection:
            connection.request("GET", "/metrics")
            lines = connection.getresponse().read().decode().splitlines()
        return int(next(float(line.split()[1]) for line in lines if line.startswith(name)))

    def close(self) -> None:
        self.up.send_signal(signal.SIGTERM)
        self.up.wait(60)


def test_every_process_is_killed_in_turn_under_load_and_each_call_is_stored_exactly_once(place: Path) -> None:
    with model() as server, SmallDisk(place / "data" / "spool") as disk:
        regraft = Regraft(place, server.base_url)
        try:
            with Clients(regraft.port) as clients:

                def pass_calls(when: str, count: int = 20) -> None:
                    before = len(clients.seen)
                    _wait(f"calls pass {when}", lambda: len(clients.seen) >= before + count)

                for name in KILLED:
                    pass_calls(f"before {name} is killed")
                    regraft.kill(name)
                # First one, then both, then the other: calls continue all the time.
                nats, postgres = _pid(place, "nats"), _pid(place, "postgres")
                for pid, act in ((nats, signal.SIGSTOP), (postgres, signal.SIGSTOP), (nats, signal.SIGCONT)):
                    pass_calls("before a server is stopped")
                    os.kill(pid, act)
                    time.sleep(STOPPED_SECONDS / 2)
                os.kill(postgres, signal.SIGCONT)
                pass_calls("before the disk is full")
                before, unstored = len(clients.seen), regraft.capture_failures()
                with disk.full():
                    _wait("calls are not captured", lambda: regraft.capture_failures() > unstored)
                    time.sleep(FULL_SECONDS)
                    pass_calls("while the disk is full")
                pass_calls("when there is room again")
                during = set(clients.seen[max(0, before - CLIENTS) :])
                time.sleep(1.5)  # until each worker has told the others its numbers
                unstored = regraft.capture_failures() - unstored
                pass_calls("at the end", max(20, CALLS - len(clients.seen)))
            dsn = _dsn(place, regraft.environment, regraft.config)
            wanted = set(clients.seen)
            assert len(wanted) == len(clients.seen) >= CALLS
            # What the full disk did not take was counted, call by call; nothing else is missing.
            _wait("all calls are stored", lambda: len(wanted - _stored(dsn).keys()) <= unstored)
            stored = _stored(dsn)
            assert 0 < unstored == len(wanted - stored.keys())
            assert wanted - stored.keys() <= during
            assert all(count == 1 for count in stored.values())
            with psycopg.connect(dsn) as truth:
                assert truth.execute("SELECT count(*) FROM quarantine").fetchone() == (0,)
        finally:
            regraft.close()


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
