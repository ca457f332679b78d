"""How many calls a key may make a minute: a bucket for each key, which all processes of one gateway share.

The buckets of several processes are in a file that they share.
"""

from __future__ import annotations

import logging
import struct
import time
from pathlib import Path
from typing import Protocol

from regraft.presentation.gateway.shared_table import SharedTable

SLOTS = 16_384  # keys that share their buckets; those beyond have one in each process
_BUCKET = struct.Struct("<dd")  # the calls that are left, and when that was, on the machine's clock; 0: never

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
    """The buckets of several processes, in the file at ``path``, which the process that starts them deletes first."""

    def __init__(self, path: Path) -> None:
        self._table = SharedTable(path, _BUCKET.size, SLOTS)
        self._beyond = LocalRates()
        self._warned = False

    def take(self, key_id: str, per_minute: int) -> float:
        table = self._table
        with table.locked():
            place = table.find(key_id)
            if place is not None:
                now = time.monotonic()  # the same for all processes of a machine
                left, at = _BUCKET.unpack_from(table.map, place)
                left = _filled(left, now - at, per_minute) if at else float(per_minute)
                _BUCKET.pack_into(table.map, place, left if left < 1 else left - 1, now)
                return _wait(left, per_minute)
        if not self._warned:
            self._warned = True
            log.warning("more than %d keys have rates: that of %s holds in each process for itself", SLOTS, key_id)
        return self._beyond.take(key_id, per_minute)

    def close(self) -> None:
        self._table.close()


def _filled(left: float, seconds: float, per_minute: int) -> float:
    return min(per_minute, left + max(0.0, seconds) * per_minute / 60)


def _wait(left: float, per_minute: int) -> float:
    return 0.0 if left >= 1 else (1 - left) * 60 / per_minute
