"""Leases on embedded servers: each process that uses a server holds one, and the server runs as long as there is one.

A lease is a locked file in ``run/NAME.users``. The kernel drops the lock with the process, also after kill -9, so a
lease is never left behind. ``keeper`` stops the server when the last one is gone.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from regraft.infra.embedded.keeper import is_held
from regraft.infra.embedded.state import RunFolder, wait_until

_DIGITS = 8

KILL_PATIENCE = 10.0  # seconds until a server that was killed is gone


class Lease:
    """One lease of this process, in a folder ``run/NAME.users``."""

    def __init__(self, users: Path, command: str) -> None:
        users.mkdir(mode=0o700, exist_ok=True)
        self._users = users
        self.path = users / f"{os.getpid()}-{secrets.token_hex(_DIGITS)}"
        # Locked before it is seen: a lease without a lock is one that was left behind.
        draft = users.with_name(f".{self.path.name}")
        self._descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(self._descriptor, command.encode())
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        draft.replace(self.path)

    def drop(self) -> None:
        """Give the lease back."""
        self.path.unlink(missing_ok=True)
        os.close(self._descriptor)


class ServerUse:
    """This process's use of one server of a data folder: a lease from its start on, until ``end``."""

    def __init__(self, data_dir: Path, name: str) -> None:
        self._data_dir = data_dir
        self._name = name
        self._lease: Lease | None = None

    @contextmanager
    def starting(self) -> Iterator[RunFolder]:
        """Hold the server's lock and a lease, which is kept unless the start fails."""
        run = RunFolder.of(self._data_dir)
        with run.locked(self._name):
            first = self._lease is None
            if self._lease is None:
                self._lease = Lease(run.users(self._name), this_command())
            try:
                yield run
            except BaseException:
                if first:
                    self._lease.drop()
                    self._lease = None
                raise

    def end(self, timeout: float) -> None:
        """Give the lease back. Where it was the last one, wait until the server has ended: its keeper kills it after
        ``timeout`` seconds. A service in the foreground of a terminal continues."""
        if self._lease is None:
            return
        self._lease.drop()
        self._lease = None
        run = RunFolder.of(self._data_dir)
        state = run.read(self._name)
        if state is not None and state.kept():
            wait_until(lambda: not state.alive() or bool(users_of(run.users(self._name))), timeout + KILL_PATIENCE)


def users_of(users: Path) -> list[str]:
    """The commands that use a server, each with its process id: ``regraft replay (4711)``."""
    found = []
    for lease in sorted(users.iterdir()) if users.is_dir() else ():
        if is_held(lease):
            try:
                command = lease.read_text("utf-8", "replace")
                found.append(f"{command} ({lease.name.partition('-')[0]})")
            except FileNotFoundError:
                continue
    return found


def this_command() -> str:
    """The name of this process's command: ``regraft replay``."""
    program = Path(sys.argv[0]) if sys.argv and sys.argv[0] else Path("python")
    name = program.parent.name if program.name == "__main__.py" else program.name
    return " ".join([name, *(word for word in sys.argv[1:2] if not word.startswith("-"))])
