"""What the processes of one gateway count together for each key: rows of a small file that each of them maps.

A lock on that file, which the kernel releases when its holder dies, is held for as long as a row is read and written.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
from collections.abc import Iterator
from pathlib import Path

_NAME = 16  # bytes of a row that name its key
_FREE = bytes(_NAME)


class SharedTable:
    """``rows`` rows of ``size`` bytes in the file at ``path``, which the process that starts the others deletes first.

    ``map`` is the file. It is read and written with ``locked``, at the places that ``find`` gives.
    """

    def __init__(self, path: Path, size: int, rows: int) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._row, self._rows = _NAME + size, rows
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.ftruncate(self._descriptor, rows * self._row)
        self.map = mmap.mmap(self._descriptor, rows * self._row)
        self._places: dict[str, int] = {}

    def find(self, key_id: str) -> int | None:
        """Where the row of a key is, all zeros when it is new; None when all rows are taken."""
        place = self._places.get(key_id)
        if place is None:
            place = self._search(key_id)
            if place is not None:
                self._places[key_id] = place
        return place

    def places(self) -> Iterator[int]:
        """Where the rows are that keys have."""
        for start in range(0, self._rows * self._row, self._row):
            if self.map[start : start + _NAME] != _FREE:
                yield start + _NAME

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        self.map.close()
        os.close(self._descriptor)

    def _search(self, key_id: str) -> int | None:
        name = key_id.encode()[:_NAME].ljust(_NAME, b"\0")
        first = int.from_bytes(name, "big") % self._rows
        for step in range(self._rows):
            start = (first + step) % self._rows * self._row
            found = self.map[start : start + _NAME]
            if found == _FREE:
                self.map[start : start + _NAME] = name
            if found in (name, _FREE):
                return start + _NAME
        return None
