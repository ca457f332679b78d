"""Moves captured calls from the spool to the stream, as long as it takes; a crash in between only repeats some."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from regraft.domain.errors import UnavailableError
from regraft.infra.nats.stream import CallStream
from regraft.infra.spool import Spool, SpoolReader
from regraft.presentation.gateway.metrics import Metrics

LINGER_SECONDS = 0.05  # lets a pack fill: one fsync of the server then covers many calls
PACK_RECORDS = 64  # reading and sending a pack keeps the loop from calls: a millisecond, not five
ORPHAN_SECONDS = 5.0
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
FAREWELL_SECONDS = 5.0

log = logging.getLogger(__name__)


class Drainer:
    """One background task: own spool first, then the spools of dead processes. NATS may come and go."""

    def __init__(self, spool: Spool, nats_url: str, metrics: Metrics) -> None:
        self._spool = spool
        self._url = nats_url
        self._metrics = metrics
        self._waiting = asyncio.Event()
        self._stopping = False
        self._pausing: asyncio.Task[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self.connected = False

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run(), name="drain")

    def wake(self) -> None:
        """There is something in the spool."""
        if not self._waiting.is_set():
            self._waiting.set()

    async def stop(self) -> None:
        """Move what can be moved in a few seconds; the rest waits on the disk for the next start."""
        if self._task is None:
            return
        self._stopping = True
        self._waiting.set()
        if self._pausing is not None:
            self._pausing.cancel()  # the stream is away: it would only be tried again
        await asyncio.wait([self._task], timeout=FAREWELL_SECONDS)
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                async with await CallStream.connect(self._url) as stream:
                    await stream.ensure()
                    self._say_connected(True)
                    pause = FIRST_PAUSE
                    await self._move_forever(stream)
                    return
            except UnavailableError as error:
                if self.connected or pause == FIRST_PAUSE:
                    log.warning("calls wait in the spool: %s", error)
                self._say_connected(False)
            except Exception:  # a bug must not end capture's second half for good
                log.exception("moving calls to the stream failed; trying again")
                self._say_connected(False)
            if self._stopping:
                return
            self._pausing = asyncio.create_task(asyncio.sleep(pause))
            await asyncio.wait([self._pausing])
            self._pausing = None
            if self._stopping:
                return
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _move_forever(self, stream: CallStream) -> None:
        loop = asyncio.get_running_loop()
        next_search = 0.0
        while True:
            self._waiting.clear()
            await self._move(self._spool, stream)
            if loop.time() >= next_search:
                await self._move_orphans(stream)
                next_search = loop.time() + ORPHAN_SECONDS
            if self._stopping:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ORPHAN_SECONDS):
                    await self._waiting.wait()
            if not self._stopping:
                await asyncio.sleep(LINGER_SECONDS)

    async def _move_orphans(self, stream: CallStream) -> None:
        for orphan in self._spool.orphans():
            try:
                moved = await self._move(orphan, stream)
                log.info("moved %d call(s) that a dead gateway process had left", moved)
                orphan.remove()
            finally:
                orphan.close()

    async def _move(self, reader: SpoolReader, stream: CallStream) -> int:
        moved = 0
        while (pack := reader.read_pack(PACK_RECORDS)) is not None:
            await stream.publish_pack(pack.records)
            reader.acknowledge(pack)
            moved += len(pack.records)
            self._metrics.published += len(pack.records)
        return moved

    def _say_connected(self, connected: bool) -> None:
        if connected != self.connected:
            log.info("the stream is %s", "connected" if connected else "away")
        self.connected = connected
        self._metrics.stream_up = int(connected)
