"""A program that runs one server for as long as any process uses it.

``process.ChildProcess`` starts it by its path, with the standard library alone: it is up within milliseconds. It reads
one JSON document from standard input: ``argv``, ``env``, ``cwd``, ``log``, ``uid`` and ``gid`` (or null),
``stop_signal``, ``stop_timeout`` (seconds), ``users`` (the folder of leases, or null), ``lock`` (the server's lock),
``log_size`` (bytes after which the log is rotated) and ``log_keep`` (how many older files of it are kept).
It answers with one line, ``{"pid": ..., "keeper": ...}`` or ``{"error": ...}``, and ends with the server: when the
server ends, when no lease is left, or when it gets SIGTERM. On Linux the server gets its stop signal also when this
program is killed.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1
_LOG_SECONDS = 2.0  # between two looks at the size of the log
_ROTATION = Path(__file__).with_name("log_rotation.py")


class _Stop(BaseException):
    """SIGTERM came."""


def held_lease(users: Path) -> Path | None:
    """A lease that a live process holds, None when there is none. Leases of processes that are gone are removed."""
    for lease in sorted(users.iterdir()) if users.is_dir() else ():
        if is_held(lease):
            return lease
        lease.unlink(missing_ok=True)
    return None


def is_held(lease: Path) -> bool:
    """Whether the process that took a lease still has it: the kernel drops its lock with the process."""
    try:
        descriptor = os.open(lease, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _wait_for_end(lease: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        descriptor = os.open(lease, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        finally:
            os.close(descriptor)


def _stop_when_unused(users: Path, lock: Path, stop: Callable[[], None]) -> None:
    while True:
        lease = held_lease(users)
        if lease is not None:
            _wait_for_end(lease)
            continue
        # Who starts the server holds this lock while taking a lease: no one adopts a server that is being stopped.
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
        except FileNotFoundError:  # the whole data folder was deleted: no one can use its servers any more
            stop()
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if held_lease(users) is None:
                stop()
                return
        finally:
            os.close(descriptor)


def _stop_with_parent(stop_signal: int) -> Callable[[], None] | None:
    """A function that the child runs before exec, after the change of account, which would clear the setting."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def bind() -> None:
        prctl(_PR_SET_PDEATHSIG, stop_signal, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return bind


def _started(spec: dict[str, Any]) -> subprocess.Popen[bytes]:
    with Path(spec["log"]).open("ab") as log:
        return subprocess.Popen(
            spec["argv"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=spec["env"],
            cwd=spec["cwd"],
            preexec_fn=_stop_with_parent(spec["stop_signal"]),
            user=spec["uid"],
            group=spec["gid"],
            extra_groups=None if spec["uid"] is None else [],
        )


def _keep_log_small(log: Path, size: int, keep: int) -> None:
    """Runs permanently. What cannot be rotated now, because the disk is full, is retried."""
    spec = importlib.util.spec_from_file_location("log_rotation", _ROTATION)
    assert spec is not None
    assert spec.loader is not None
    rotation = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(rotation)
    while True:
        with contextlib.suppress(OSError):
            rotation.rotate(log, size, keep)
        time.sleep(_LOG_SECONDS)


def _answer(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)  # who reads the answer waits for its end


def main() -> int:
    """Run the server to its end; its exit status."""

    def terminated(_signal: int, _frame: object) -> None:
        raise _Stop

    spec = json.load(sys.stdin)
    if os.fork():  # no one's child: it may outlive the process that started it
        os._exit(0)
    signal.signal(signal.SIGTERM, terminated)
    try:
        server = _started(spec)
    except OSError as error:
        _answer({"error": f"{error.filename or spec['argv'][0]}: {error.strerror or error}"})
        return 1
    _answer({"pid": server.pid, "keeper": os.getpid()})

    def stop() -> None:
        with contextlib.suppress(ProcessLookupError):
            server.send_signal(spec["stop_signal"])
        try:
            server.wait(spec["stop_timeout"])
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()

    limits = (Path(spec["log"]), spec["log_size"], spec["log_keep"])
    try:
        threading.Thread(target=_keep_log_small, args=limits, daemon=True).start()
        if spec["users"]:
            threading.Thread(
                target=_stop_when_unused, args=(Path(spec["users"]), Path(spec["lock"]), stop), daemon=True
            ).start()
        server.wait()
    except _Stop:
        stop()
    return max(0, server.returncode)


if __name__ == "__main__":
    sys.exit(main())
