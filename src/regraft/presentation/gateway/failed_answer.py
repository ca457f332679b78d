"""An answer that another attempt may replace."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

MOST_SECONDS, MOST_BYTES = 1.0, 64 << 10  # what is read of it


class FailedAnswer:
    """Read for the record, but not for long: ``overdue`` is called after ``MOST_SECONDS``.

    The client gets it only where no other attempt follows.
    """

    __slots__ = ("_pieces", "_size", "_timer")

    def __init__(self, overdue: Callable[[], None]) -> None:
        self._pieces: list[bytes] = []
        self._size = 0
        self._timer = asyncio.get_running_loop().call_later(MOST_SECONDS, overdue)

    def append(self, chunk: bytes) -> bool:
        """Add the next piece. True: that is enough of it."""
        self._pieces.append(chunk)
        self._size += len(chunk)
        return self._size > MOST_BYTES

    def body(self) -> bytes:
        """What was read."""
        return b"".join(self._pieces)

    def stop(self) -> None:
        """Do not call ``overdue`` any more."""
        self._timer.cancel()
