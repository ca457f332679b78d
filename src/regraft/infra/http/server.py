"""All client connections of one process: slow ones are ended, and a stop lets calls finish.

A stop has two steps. ``close_after_answers``: calls are taken and answered, and each answer ends its connection, so
that clients reconnect, to another server. ``stop``: no more calls; those in flight have time to end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from regraft.infra.http.connection import Handler, HttpConnection
from regraft.infra.http.requests import ClientLimits

log = logging.getLogger(__name__)

SWEEP_SECONDS = 1.0


class HttpServer:
    """All connections of one process. ``refused`` is called with the status of every request that no handler saw."""

    def __init__(self, handler: Handler, limits: ClientLimits, refused: Callable[[int], None]) -> None:
        self.handler = handler
        self.limits = limits
        self.refused = refused
        self.connections: set[HttpConnection] = set()
        self.closing = False
        self.stopping = False
        self.loop: asyncio.AbstractEventLoop
        self._sweeper: asyncio.TimerHandle | None = None
        self._empty: asyncio.Event | None = None

    def begin(self) -> None:
        """Call once, on the loop."""
        self.loop = asyncio.get_running_loop()
        self._empty = asyncio.Event()
        self._sweeper = self.loop.call_later(SWEEP_SECONDS, self._sweep)

    @property
    def in_flight(self) -> int:
        """Requests whose answer has not ended, but for those that are answered at once."""
        return sum(each.answering for each in self.connections)

    def connection(self) -> HttpConnection:
        return HttpConnection(self)

    def connection_closed(self) -> None:
        if self.stopping and not self.connections and self._empty is not None:
            self._empty.set()

    def close_after_answers(self) -> None:
        """From now on each answer is the last one of its connection."""
        self.closing = True

    def end_now(self) -> None:
        """Wait no longer for calls in flight. Does nothing before ``stop``."""
        if self.stopping and self._empty is not None:
            self._empty.set()

    async def stop(self) -> None:
        """Let calls in flight finish for ``limits.drain_seconds``; then end them."""
        self.closing = self.stopping = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in list(self.connections):
            if connection.idle:
                connection.close()
        assert self._empty is not None
        await self._until_empty(self.limits.drain_seconds)
        self._empty.clear()
        for connection in list(self.connections):
            connection.stop()
        await self._until_empty(1.0)

    async def _until_empty(self, seconds: float) -> None:
        assert self._empty is not None
        if self.connections:
            try:
                async with asyncio.timeout(seconds):
                    await self._empty.wait()
            except TimeoutError:
                log.warning("%d connection(s) were still open after %g s", len(self.connections), seconds)

    def _sweep(self) -> None:
        now = self.loop.time()
        for connection in list(self.connections):
            connection.sweep(now)
        self._sweeper = self.loop.call_later(SWEEP_SECONDS, self._sweep)
