"""The recorded state of a started server, so that other processes use it instead of starting another."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from regraft.domain.errors import ServerStartError
from regraft.infra.data_folder import make_data_folder

VERSION = "version"  # in program details of our own: the version of Regraft
_POLL = 0.05
_ORPHAN_PATIENCE = 15.0


@dataclass(frozen=True, slots=True)
class ServerState:
    """A started server: process ids carry start times, so that a re-used id is not taken for the server."""

    pid: int
    started: str
    owner: int
    owner_started: str
    port: int
    details: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, pid: int, port: int, details: dict[str, str] | None = None, *, owner: int | None = None) -> ServerState:
        """The state of a server that was just started; ``owner`` is the process it ends with, this one if not given."""
        keeper = os.getpid() if owner is None else owner
        return cls(pid, start_time(pid), keeper, start_time(keeper), port, details or {})

    def alive(self) -> bool:
        """True while the very process that was started runs."""
        return bool(self.started) and start_time(self.pid) == self.started

    def kept(self) -> bool:
        """Whether it ends when no one uses it. A service in the foreground ends when its terminal says so."""
        return self.owner != self.pid

    def owned(self) -> bool:
        """True while the process that the server ends with runs."""
        return bool(self.owner_started) and start_time(self.owner) == self.owner_started


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The folder `run` of a data folder: state files, locks and secrets, readable by their owner only."""

    path: Path

    @classmethod
    def of(cls, data_dir: Path) -> RunFolder:
        """The run folder of a data folder, made if missing."""
        path = make_data_folder(data_dir) / "run"
        path.mkdir(mode=0o700, exist_ok=True)
        return cls(path)

    def lock(self, name: str) -> Path:
        """The lock of a server, held while it is started or stopped."""
        return self.path / f"{name}.lock"

    def users(self, name: str) -> Path:
        """The folder of the leases on a server."""
        return self.path / f"{name}.users"

    @contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Hold the lock of a server; a second starter waits here, and then finds the server running."""
        descriptor = os.open(self.lock(name), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def read(self, name: str) -> ServerState | None:
        """The last state of a server, or None when there is none that can be read."""
        try:
            return ServerState(**json.loads((self.path / f"{name}.json").read_text("utf-8")))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def write(self, name: str, state: ServerState) -> None:
        """Remember the state of a server."""
        self.write_private(f"{name}.json", json.dumps(asdict(state), indent=1))

    def write_private(self, filename: str, text: str) -> Path:
        """Write a file that only its owner can read, all of it or nothing."""
        target = self.path / filename
        draft = self.path / f".{filename}.{os.getpid()}"
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)
        return target

    def secret(self, filename: str) -> str:
        """The secret kept in a file, made at random when there is none."""
        path = self.path / filename
        if not path.exists():
            self.write_private(filename, secrets.token_hex(24))
        return path.read_text("utf-8").strip()

    def adoptable(self, name: str, answers: Callable[[ServerState], bool], timeout: float) -> ServerState | None:
        """The state of a running server that answers, or None when a new one may be started.

        Raises ServerStartError when the server runs but does not answer within `timeout` seconds.
        """
        state = self.read(name)
        if state is None:
            return None
        if not state.owned():
            # Its keeper is gone, so its death signal is on the way: it may still answer, but not for long.
            wait_until(lambda: not state.alive(), _ORPHAN_PATIENCE if sys.platform == "linux" else 0)
        if wait_until(lambda: not state.alive() or answers(state), timeout):
            return state if state.alive() else None
        raise ServerStartError(
            f"The {name} server (process {state.pid}) runs but does not answer on port {state.port}: "
            f"stop it with `kill {state.pid}` and start again."
        )


def wait_until(condition: Callable[[], bool], timeout: float) -> bool:
    """Poll until the condition holds; False when `timeout` seconds have passed."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL)
    return True


def start_time(pid: int) -> str:
    """When a process started, as the system writes it; empty when there is no such live process."""
    if sys.platform == "linux":
        try:
            # The command's name, in brackets, may hold blanks and brackets of its own.
            fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return ""
        # The first thread of a killed process may be gone before the others, which hold its sockets and files.
        ended = fields[0] == "X" or (fields[0] == "Z" and int(fields[17]) <= 1)
        return "" if ended else fields[19]
    shown = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return shown.stdout.strip()
