"""Child processes that end with their parent, and the ports they listen on."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TypeVar

from regraft.domain.errors import PortInUseError

LOOPBACK = "127.0.0.1"
LOG_LIMIT = 16 * 1024 * 1024
_PR_SET_PDEATHSIG = 1
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class SystemAccount:
    """A system account that a child runs as."""

    uid: int
    gid: int


@dataclass(slots=True)
class ChildProcess:
    """A server process: output goes to `log`, and it gets `death_signal` when this process ends (Linux only)."""

    name: str
    argv: Sequence[str]
    log: Path
    env: Mapping[str, str]
    account: SystemAccount | None = None
    cwd: Path | None = None
    death_signal: signal.Signals = signal.SIGTERM
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False, repr=False)
    _log_start: int = field(default=0, init=False, repr=False)

    @property
    def pid(self) -> int:
        """The id of the started process; 0 before start."""
        return self._process.pid if self._process else 0

    def start(self) -> int:
        """Start the process and return its id."""
        self.log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > LOG_LIMIT:
            self.log.replace(self.log.with_suffix(".log.1"))
        self._process = _on_spawner_thread(self._spawn)
        return self._process.pid

    def _spawn(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            return subprocess.Popen(
                list(self.argv),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(self.env),
                cwd=self.cwd,
                # A session of its own: Ctrl-C in the terminal is for the parent, which stops its servers in order.
                start_new_session=True,
                preexec_fn=_die_with_parent(self.death_signal),
                user=self.account.uid if self.account else None,
                group=self.account.gid if self.account else None,
                extra_groups=[] if self.account else None,
            )

    def alive(self) -> bool:
        """True while the process runs."""
        return self._process is not None and self._process.poll() is None

    def stop(self, stop_signal: signal.Signals, timeout: float) -> None:
        """Send `stop_signal`, wait `timeout` seconds, then kill."""
        process = self._process
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(stop_signal)
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def tail(self, lines: int = 12) -> str:
        """The last lines that the process logged since this start."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            return b"".join(deque(log, maxlen=lines)).decode("utf-8", "replace").strip()


def _die_with_parent(death_signal: signal.Signals) -> Callable[[], None] | None:
    """What the forked child runs before exec; after the change of user, which would clear the setting."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def bind() -> None:
        prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return bind


def _on_spawner_thread(job: Callable[[], _Result]) -> _Result:
    """Run `job` on a thread that lives as long as this process.

    The kernel sends the death signal when the *thread* that forked ends, so a worker thread must not fork.
    """
    future: Future[_Result] = Future()

    def run() -> None:
        try:
            future.set_result(job())
        except BaseException as error:  # noqa: BLE001 (raised again on the caller's thread)
            future.set_exception(error)

    _spawner(os.getpid()).put(run)
    return future.result()


@cache
def _spawner(_pid: int) -> queue.SimpleQueue[Callable[[], None]]:
    jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()

    def serve() -> None:
        while True:
            jobs.get()()

    threading.Thread(target=serve, name="regraft-spawner", daemon=True).start()
    return jobs


def free_port(remembered: int | None = None) -> int:
    """The remembered port when nothing holds it, else one that is free now."""
    if remembered is not None and port_free(remembered):
        return remembered
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def port_free(port: int) -> bool:
    """True when we may listen on the loopback port now."""
    return _bind_error(port) == 0


def port_open(host: str, port: int, timeout: float = 1.0) -> bool:
    """True when something accepts connections there."""
    try:
        with socket.create_connection((host, port), timeout):
            return True
    except OSError:
        return False


def require_port(port: int, setting_name: str) -> int:
    """The port, or PortInUseError in one line that names the setting to change."""
    problem = _bind_error(port)
    if problem == 0:
        return port
    reason = "is already in use" if problem == errno.EADDRINUSE else f"cannot be listened on ({os.strerror(problem)})"
    raise PortInUseError(
        f"Port {port} on {LOOPBACK} {reason}: stop what uses it, or set {setting_name} to another port."
    )


def _bind_error(port: int) -> int:
    with socket.socket() as probe:
        # As servers do it: connections of an earlier server that linger in TIME_WAIT are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            return error.errno or errno.EADDRINUSE
        return 0
