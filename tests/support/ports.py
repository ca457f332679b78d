"""Ports for servers of tests: no two test processes of a machine get the same one, nor one process one twice."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import random
import socket
from collections.abc import Iterator
from functools import cache
from pathlib import Path

_LOWEST, _SIZE, _RANGES = 10_000, 1_000, 22  # below the ports of outgoing connections


def free_port() -> int:
    """A port that is free now, and that no other test of this machine is given before a thousand others."""
    for port in itertools.islice(_ports(), _SIZE):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no port of this test process is free")


@cache
def _ports() -> Iterator[int]:
    """The ports of a range that is of this process as long as it lives, over and over."""
    for number in range(_RANGES):
        with contextlib.suppress(OSError):
            lock = os.open(Path("/tmp", f"regraft-tests-{os.getuid()}-ports.{number}"), os.O_CREAT | os.O_RDWR, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # it is kept: the descriptor is never closed
            except OSError:
                os.close(lock)
                continue
            low = _LOWEST + _SIZE * number
            order = list(range(low, low + _SIZE))
            random.SystemRandom().shuffle(order)  # a run does not begin with the ports that the last one left waiting
            return itertools.cycle(order)
    raise RuntimeError(f"{_RANGES} test processes use all ports of this machine")
