"""How many calls a key may make a minute: a bucket for each key, which all processes of one gateway share.

The buckets of several processes are in a small file that each of them maps. A lock on that file, which the kernel
releases when its holder dies, is held for as long as a bucket is read and written.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import mmap
import os
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

SLOTS = 16_384  # keys that share their buckets; those beyond have one in each process
_SLOT = struct.Struct("<16sdd")  # the key's id; the calls that are left, and when that was, on the machine's clock
_BUCKET = struct.Struct("<dd")
_FREE = bytes(16)

log = logging.getLogger(__name__)


class Rates(Protocol):
    """Takes calls from buckets that fill by ``per_minute`` a minute and hold as many."""

    def take(self, key_id: str, per_minute: int) -> float:
        """Count a call. 0: it may be made; otherwise the seconds until there is one again, and nothing is counted."""


class LocalRates:
    """The buckets of one process."""

    def __init__(self) -> None:
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, key_id: str, per_minute: int) -> float:
        now = time.monotonic()
        left, at = self._buckets.get(key_id, (float(per_minute), now))
        left = _filled(left, now - at, per_minute)
        self._buckets[key_id] = (left if left < 1 else left - 1, now)
        return _wait(left, per_minute)


class SharedRates:
    """The buckets of several processes, in the file at ``path``, which whoever starts them deletes before."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.ftruncate(self._descriptor, SLOTS * _SLOT.size)
        self._map = mmap.mmap(self._descriptor, SLOTS * _SLOT.size)
        self._places: dict[str, int] = {}
        self._beyond = LocalRates()

    def take(self, key_id: str, per_minute: int) -> float:
        with self._locked():
            place = self._places.get(key_id)
            if place is None:
                place = self._place(key_id, per_minute)
                if place is None:
                    return self._beyond.take(key_id, per_minute)
                self._places[key_id] = place
            now = time.monotonic()  # the same for all processes of a machine
            left, at = _BUCKET.unpack_from(self._map, place + 16)
            left = _filled(left, now - at, per_minute)
            _BUCKET.pack_into(self._map, place + 16, left if left < 1 else left - 1, now)
            return _wait(left, per_minute)

    def close(self) -> None:
        self._map.close()
        os.close(self._descriptor)

    def _place(self, key_id: str, per_minute: int) -> int | None:
        """Where the bucket of a key is, made full when it is new; None when all places are taken."""
        name = key_id.encode()[:16].ljust(16, b"\0")
        start = int.from_bytes(name, "big") % SLOTS
        for step in range(SLOTS):
            place = (start + step) % SLOTS * _SLOT.size
            found = self._map[place : place + 16]
            if found == name:
                return place
            if found == _FREE:
                _SLOT.pack_into(self._map, place, name, float(per_minute), time.monotonic())
                return place
        log.warning("more than %d keys have rates: that of %s holds in each process for itself", SLOTS, key_id)
        return None

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)


def _filled(left: float, seconds: float, per_minute: int) -> float:
    return min(per_minute, left + max(0.0, seconds) * per_minute / 60)


def _wait(left: float, per_minute: int) -> float:
    return 0.0 if left >= 1 else (1 - left) * 60 / per_minute
