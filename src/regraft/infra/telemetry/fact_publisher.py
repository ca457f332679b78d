"""Publishes the facts of a process from a separate thread: nothing that tells a fact ever waits for NATS."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import uuid
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from regraft.domain.errors import UnavailableError
from regraft.infra.backoff import Backoff
from regraft.infra.telemetry.facts import Fact, encode_fact

if TYPE_CHECKING:
    from regraft.infra.nats.fact_stream import FactStream

PACK_BYTES = 256 << 10
_MOST_WAITING = 20_000  # facts, after which new ones are dropped: about 5 MB
_LINGER_SECONDS = 0.5  # lets a pack fill: NATS fsyncs each
_CLOSE_SECONDS = 2.0
_BACKOFF = Backoff(0.5, 30.0)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Pack:
    room: str
    lines: tuple[bytes, ...]
    pack_id: str  # the same when it is published again, so that the stream keeps it once


class FactPublisher:
    """``take`` facts from any thread; ``close`` publishes what waits, for two seconds at most.

    ``find_stream`` gives the URL of NATS, or None while there is none; it is called by the publisher's thread, which
    starts with the first fact. ``published`` and ``dropped`` count facts.
    """

    def __init__(self, find_stream: Callable[[], str | None]) -> None:
        self._find_stream = find_stream
        self._waiting: deque[tuple[float, Fact]] = deque()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self.published = 0
        self.dropped = 0

    def take(self, fact: Fact) -> None:
        """Have a fact published soon. While NATS is away 20,000 wait, and more are dropped and counted."""
        if len(self._waiting) >= _MOST_WAITING:
            self.dropped += 1
            return
        self._waiting.append((time.time(), fact))
        if self._thread is None:
            self._start()

    def close(self) -> None:
        """Publish what waits, and end."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join(_CLOSE_SECONDS)

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="facts", daemon=True)
                self._thread.start()

    async def _run(self) -> None:
        failures = 0
        packs: deque[_Pack] = deque()
        while True:
            try:
                await self._connected(packs)
                return
            except UnavailableError as error:
                failures += 1
                log.log(logging.INFO if failures == 1 else logging.DEBUG, "facts are not published: %s", error)
            if await asyncio.to_thread(self._closing.wait, _BACKOFF.after(failures)):
                self.dropped += len(self._waiting) + sum(len(each.lines) for each in packs)
                return

    async def _connected(self, packs: deque[_Pack]) -> None:
        from regraft.infra.nats.fact_stream import FactStream

        url = await asyncio.to_thread(self._find_stream)
        if url is None:
            raise UnavailableError("NATS does not run")
        stream = await FactStream.connect(url)
        try:
            await stream.ensure()
            await self._publish(stream, packs)
        finally:
            await stream.aclose()

    async def _publish(self, stream: FactStream, packs: deque[_Pack]) -> None:
        while True:
            closing = await asyncio.to_thread(self._closing.wait, _LINGER_SECONDS)
            while packs or self._waiting:
                packs.extend(self._packed())
                await stream.publish(packs[0].room, packs[0].lines, packs[0].pack_id)
                self.published += len(packs.popleft().lines)
            if closing:
                return

    def _packed(self) -> list[_Pack]:
        """What waits now, up to a pack's size, as a pack for each room."""
        lines: dict[str, list[bytes]] = defaultdict(list)
        size = 0
        while self._waiting and size < PACK_BYTES:
            at, fact = self._waiting.popleft()
            line = encode_fact(fact, at)
            lines[fact.room()].append(line)
            size += len(line) + 1
        return [_Pack(room, tuple(each), uuid.uuid4().hex) for room, each in lines.items()]
