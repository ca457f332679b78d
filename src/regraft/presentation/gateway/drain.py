"""Moves captured calls from the spool to the stream, as long as it takes; a crash in between only repeats some.

This is a separate process, so that it takes no time from calls: ``python -m regraft.presentation.gateway.drain``. The
gateway starts it and sends its instructions on standard input: a line of JSON, then POSITIONs as far as it may read. It
reports its progress on standard output (REPORTs). When its input ends without a SHUTDOWN, the gateway has died; the
drainer then ends too, and another gateway drains the spool."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import struct
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from regraft.domain.errors import UnavailableError
from regraft.infra.backoff import Backoff
from regraft.infra.nats.stream import CallStream
from regraft.infra.spool.reader import LiveReader, SpoolReader, orphans
from regraft.infra.telemetry.emitter import emit, publishing_facts
from regraft.infra.telemetry.facts import CallsPublished

POSITION = struct.Struct("<QQ")  # the newest segment of the spool, and its bytes
SHUTDOWN = POSITION.pack(0, 0)  # move what is there, then end
REPORT = struct.Struct("<QQQ?")  # calls moved in all; segment and offset delivered; whether the stream is connected
PACK_RECORDS, PACK_BYTES = 256, 900 << 10  # one fsync of the server covers them; a default server takes 1 MiB
ORPHAN_SECONDS = 5.0
BACKOFF = Backoff(0.1, 5.0)

log = logging.getLogger("regraft.gateway.drain")


@dataclass(frozen=True, slots=True)
class DrainOrder:
    """What a drainer is started for. ``home`` is the living spool, a folder beside those of other processes."""

    home: str
    nats_url: str
    log_level: str
    replicas: int | None = None

    def line(self) -> bytes:
        return json.dumps(asdict(self)).encode() + b"\n"


class Drainer:
    """Own spool first, then the spools of dead processes. NATS may be down for any time."""

    def __init__(self, order: DrainOrder, spool: LiveReader, reports: int) -> None:
        self._order = order
        self._spool = spool
        self._reports = reports
        self._waiting = asyncio.Event()
        self._stopping = False
        self._pausing: asyncio.Task[None] | None = None
        self._heard = b""
        self._moved = 0
        self._connected = False

    async def run(self) -> None:
        """Run until the shutdown message."""
        asyncio.get_running_loop().add_reader(0, self._listen)
        failures = 0
        while True:
            try:
                async with await CallStream.connect(self._order.nats_url) as stream:
                    await stream.ensure(replicas=self._order.replicas)
                    self._report_connection(True)
                    failures = 0
                    await self._move_forever(stream)
                    return
            except UnavailableError as error:
                if self._connected or not failures:
                    log.warning("calls wait in the spool: %s", error)
            except Exception:  # a bug must not end the second half of capture for the rest of the process
                log.exception("moving calls to the stream failed; trying again")
            self._report_connection(False)
            if self._stopping:
                return
            failures += 1
            self._pausing = asyncio.create_task(asyncio.sleep(BACKOFF.after(failures)))
            await asyncio.wait([self._pausing])
            self._pausing = None
            if self._stopping:
                return

    def _listen(self) -> None:
        heard = os.read(0, 1 << 16)
        if not heard:
            os._exit(0)
        heard = self._heard + heard
        whole = len(heard) - len(heard) % POSITION.size
        self._heard = heard[whole:]
        positions = [heard[start : start + POSITION.size] for start in range(0, whole, POSITION.size)]
        if SHUTDOWN in positions:
            asyncio.get_running_loop().remove_reader(0)
            self._stopping = True
            if self._pausing is not None:
                self._pausing.cancel()  # the stream is away: it would only be retried
        if reached := [each for each in positions if each != SHUTDOWN]:
            self._spool.written(*POSITION.unpack(reached[-1]))
        self._waiting.set()

    async def _move_forever(self, stream: CallStream) -> None:
        loop = asyncio.get_running_loop()
        next_search = 0.0
        while True:
            self._waiting.clear()
            await self._move(self._spool, stream)
            if loop.time() >= next_search:
                await self._move_orphans(stream)
                next_search = loop.time() + ORPHAN_SECONDS
            if self._stopping and not self._waiting.is_set():
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ORPHAN_SECONDS):
                    await self._waiting.wait()

    async def _move_orphans(self, stream: CallStream) -> None:
        for orphan in orphans(self._spool.home.parent, self._spool.home.name):
            try:
                moved = await self._move(orphan, stream)
                log.info("moved %d call(s) that a dead gateway process had left", moved)
                orphan.remove()
            finally:
                orphan.close()

    async def _move(self, reader: SpoolReader, stream: CallStream) -> int:
        moved = 0
        while (pack := reader.read_pack(PACK_RECORDS, PACK_BYTES)) is not None:
            await stream.publish_pack(pack.records)
            reader.acknowledge(pack)
            emit(CallsPublished(calls=len(pack.records), bytes=sum(map(len, pack.records))))
            moved += len(pack.records)
            self._moved += len(pack.records)
            self._report()
        return moved

    def _report_connection(self, connected: bool) -> None:
        if connected != self._connected:
            log.info("the stream is %s", "connected" if connected else "away")
        self._connected = connected
        self._report()

    def _report(self) -> None:
        try:
            os.write(self._reports, REPORT.pack(self._moved, *self._spool.delivered, self._connected))
        except BrokenPipeError:
            os._exit(0)


def main() -> None:
    import uvloop

    from regraft.infra.telemetry.logs import configure_logging

    order = DrainOrder(**json.loads(_first_line()))
    configure_logging(order.log_level)
    reports = os.dup(1)
    os.dup2(2, 1)  # what a library prints is not a report
    with publishing_facts(lambda: order.nats_url):
        uvloop.run(Drainer(order, LiveReader(Path(order.home)), reports).run())


def _first_line() -> bytes:
    """Byte by byte: what follows is for another reader."""
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            sys.exit(0)
        line += byte
    return line


if __name__ == "__main__":
    main()
