"""How many calls of a key are under way, in all processes of one gateway together.

Each process has a column in the row of a key: its calls, and how long its oldest waiting call has waited. While it
lives it holds a lock on a separate file, which the kernel releases when it dies, however it dies; anyone who finds that
lock free while a key has no slot left takes back what the dead process held.
"""

from __future__ import annotations

import fcntl
import logging
import os
import struct
import time
from pathlib import Path

from regraft.presentation.gateway.shared_table import SharedTable

SLOTS = 16_384  # keys that share their counts; those beyond have one in each process
PATIENCE = 0.25  # seconds by which a call of another process has to wait longer to go first: handing over costs time
FRESH = 0.5  # seconds after which a process that no longer searches for its waiting calls is not waited for
PROBE = 0.1  # seconds between two looks whether processes have died
_COLUMN = struct.Struct("<Qdd")  # calls; since when the oldest waits (0: none waits), and when its process last looked

log = logging.getLogger(__name__)


class SharedSlots:
    """Counts calls in the file at ``path`` for process ``number`` of ``processes``, of which each number lives once."""

    def __init__(self, path: Path, number: int, processes: int) -> None:
        self._table = SharedTable(path, processes * _COLUMN.size, SLOTS)
        self._own = number * _COLUMN.size
        self._others = [each for each in range(processes) if each != number]
        self._path = path
        self._life = self._open(number)
        self._lives: dict[int, int] = {}
        self._probed: dict[int, float] = {}
        self._closed = False
        with self._table.locked():  # no other process probes meanwhile
            if not _lock(self._life):
                log.error("another gateway process %d is alive: what it holds when it dies is not given back", number)
            for place in self._table.places():
                _COLUMN.pack_into(self._table.map, place + self._own, 0, 0.0, 0.0)  # of the one before, which died

    def find(self, key_id: str) -> int | None:
        """The place of a key; None when there is no more room."""
        with self._table.locked():
            place = self._table.find(key_id)
        if place is None:
            log.warning("more than %d keys have limits: that of %s holds in each process for itself", SLOTS, key_id)
        return place

    def take(self, place: int, limit: int, since: float) -> bool:
        """Count a call that has waited ``since`` then. False: it has to continue waiting, and the others know."""
        if self._closed:
            return True
        with self._table.locked():
            now = time.monotonic()
            free = self._free(place, limit, since, now)
            if not free and now - self._probed.get(place, 0.0) >= PROBE:
                self._probed[place] = now
                free = self._take_back(place) and self._free(place, limit, since, now)
            calls, _, _ = self._column(place)
            column = (calls + 1, 0.0, 0.0) if free else (calls, since, now)
            _COLUMN.pack_into(self._table.map, place + self._own, *column)
            return free

    def pass_on(self, place: int, limit: int, since: float) -> bool:
        """Whether a slot of a call that ended goes to one that has waited ``since`` then. Otherwise it is free."""
        if self._closed:
            return True
        with self._table.locked():
            if self._free(place, limit + 1, since, time.monotonic()):
                return True
            self._release(place)
            return False

    def give(self, place: int) -> None:
        """A call is over, and none waits here."""
        if not self._closed:
            with self._table.locked():
                self._release(place)

    def withdraw(self, place: int) -> None:
        """No call waits here any more."""
        if not self._closed:
            with self._table.locked():
                _COLUMN.pack_into(self._table.map, place + self._own, self._column(place)[0], 0.0, 0.0)

    def close(self) -> None:
        """Give everything back."""
        self._closed = True
        self._table.close()
        for descriptor in (self._life, *self._lives.values()):
            os.close(descriptor)

    def _free(self, place: int, limit: int, since: float, now: float) -> bool:
        """Whether there is a slot, and no other process has a call that has waited for it much longer."""
        calls = self._column(place)[0]
        for number in self._others:
            more, first, looked = _COLUMN.unpack_from(self._table.map, place + number * _COLUMN.size)
            if first and first < since - PATIENCE and now - looked < FRESH:
                return False
            calls += more
        return calls < limit

    def _release(self, place: int) -> None:
        calls, since, looked = self._column(place)
        _COLUMN.pack_into(self._table.map, place + self._own, max(0, calls - 1), since, looked)

    def _column(self, place: int) -> tuple[int, float, float]:
        calls, since, looked = _COLUMN.unpack_from(self._table.map, place + self._own)
        return calls, since, looked

    def _take_back(self, place: int) -> bool:
        """Whether dead processes held anything of this key."""
        found = False
        for number in self._others:
            at = place + number * _COLUMN.size
            calls, since, _ = _COLUMN.unpack_from(self._table.map, at)
            if (calls or since) and not self._is_alive(number):
                _COLUMN.pack_into(self._table.map, at, 0, 0.0, 0.0)
                found = True
        return found

    def _is_alive(self, number: int) -> bool:
        descriptor = self._lives.get(number)
        if descriptor is None:
            descriptor = self._lives[number] = self._open(number)
        if not _lock(descriptor):
            return True
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        return False

    def _open(self, number: int) -> int:
        return os.open(self._path.with_name(f"{number}.alive"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
