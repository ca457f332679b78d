"""Server processes that run for as long as they are used, and the ports they listen on."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from regraft.domain.errors import PortInUseError, ServerStartError
from regraft.infra.embedded import keeper
from regraft.infra.embedded.leases import KILL_PATIENCE
from regraft.infra.embedded.log_rotation import rotate
from regraft.infra.embedded.state import start_time, wait_until

LOOPBACK = "127.0.0.1"
PYTHON = sys.executable  # what runs the keeper


@dataclass(frozen=True, slots=True)
class LogLimits:
    """A log of more than ``size`` bytes is rotated; ``keep`` older files of it are kept."""

    size: int = 16 << 20
    keep: int = 4


@dataclass(frozen=True, slots=True)
class SystemAccount:
    """A system account that a child runs as."""

    uid: int
    gid: int


@dataclass(slots=True)
class ChildProcess:
    """A server process that runs for as long as a lease on it is held; its output goes to ``log``.

    ``users`` is the folder of the leases and ``lock`` the server's lock; without them it runs until it is stopped. It
    is the child of a ``keeper``, so it outlives the process that started it where another one uses it too.
    The keeper also rotates the log. ``stop_signal`` asks it to end; after ``stop_timeout`` seconds it is killed.
    """

    name: str
    argv: Sequence[str]
    log: Path
    env: Mapping[str, str]
    account: SystemAccount | None = None
    cwd: Path | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    stop_timeout: float = 15.0
    users: Path | None = None
    lock: Path | None = None
    log_limits: LogLimits = LogLimits()
    keeper_pid: int = field(default=0, init=False)
    _keeper_started: str = field(default="", init=False, repr=False)
    _log_start: int = field(default=0, init=False, repr=False)

    def start(self) -> int:
        """Start the process and return its id. Raises ServerStartError when its program cannot be run."""
        self.log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        rotate(self.log, self.log_limits.size, self.log_limits.keep)
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            answered = subprocess.run(
                # The standard library alone, whatever the environment and the working folder hold.
                [PYTHON, "-I", "-S", keeper.__file__],
                input=json.dumps(self._specification()).encode(),
                stdout=subprocess.PIPE,
                stderr=log,
                env={"PATH": os.environ.get("PATH", os.defpath)},
                cwd="/",
                # A session of its own: Ctrl-C in the terminal is for the parent, which gives its lease back.
                start_new_session=True,
                check=False,
            )
        answer = json.loads(answered.stdout) if answered.stdout else {"error": self.tail() or "its keeper ended"}
        if "pid" not in answer:
            raise ServerStartError(f"{self.name} could not be started: {answer['error']}.")
        self.keeper_pid = int(answer["keeper"])
        self._keeper_started = start_time(self.keeper_pid)
        return int(answer["pid"])

    def _specification(self) -> dict[str, Any]:
        return {
            "argv": list(self.argv),
            "env": dict(self.env),
            "cwd": str(self.cwd) if self.cwd else None,
            "log": str(self.log.resolve()),
            "uid": self.account.uid if self.account else None,
            "gid": self.account.gid if self.account else None,
            "stop_signal": int(self.stop_signal),
            "stop_timeout": self.stop_timeout,
            "users": str(self.users) if self.users else None,
            "lock": str(self.lock) if self.lock else None,
            "log_size": self.log_limits.size,
            "log_keep": self.log_limits.keep,
        }

    def alive(self) -> bool:
        """True while the process runs."""
        return bool(self._keeper_started) and start_time(self.keeper_pid) == self._keeper_started

    def stop(self) -> None:
        """Stop the process, anyone who uses it, and wait for its end."""
        if self.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.keeper_pid, signal.SIGTERM)
            wait_until(lambda: not self.alive(), self.stop_timeout + KILL_PATIENCE)

    def tail(self, lines: int = 12) -> str:
        """The last lines that the process logged since this start."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as log:
            if log.seek(0, os.SEEK_END) >= self._log_start:  # else it was rotated meanwhile
                log.seek(self._log_start)
            else:
                log.seek(0)
            return b"".join(deque(log, maxlen=lines)).decode("utf-8", "replace").strip()


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
