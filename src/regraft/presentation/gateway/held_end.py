"""The end of an event stream, which a client gets only when its call is recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from regraft.infra.http.event_stream import EndWatch

HOLD_END = 2.0  # seconds that an announced end waits for the end of the body


class HeldEnd:
    """Keeps back the announced end of a stream until the body ends, but not longer than ``HOLD_END``.

    ``overdue`` is called when the body does not end: a client must not wait for a server that never ends its stream.
    """

    __slots__ = ("_held", "_overdue", "_timer", "_watch")

    def __init__(self, overdue: Callable[[], None]) -> None:
        self._overdue = overdue
        self._watch: EndWatch | None = EndWatch()
        self._held: list[bytes] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def pass_on(self, chunk: bytes) -> bytes:
        """What the client may have of the next chunk now: all or nothing of it."""
        if self._held is not None:
            self._held.append(chunk)
            return b""
        if self._watch is None or not self._watch.announced(chunk):
            return chunk
        self._watch = None
        self._held = [chunk]
        self._timer = asyncio.get_running_loop().call_later(HOLD_END, self._overdue)
        return b""

    def release(self) -> bytes:
        """What was kept back. Nothing is kept back from now on."""
        self.stop()
        self._watch = None
        held, self._held = self._held, None
        return b"".join(held) if held else b""

    def stop(self) -> None:
        """Do not call ``overdue`` any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
