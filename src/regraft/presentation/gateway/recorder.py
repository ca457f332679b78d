"""Records captured calls: in the spool, and in the metrics. A failure here is logged and never reaches a client."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

import zstandard

from regraft.infra.nats.codec import CallEvent, encode_event
from regraft.infra.spool.writer import PreparedSegment, Spool
from regraft.presentation.gateway.event_ids import EventIds
from regraft.presentation.gateway.metrics import Metrics
from regraft.presentation.gateway.redaction import Redactor
from regraft.version import __version__

COMPLAIN_SECONDS = 1.0
LARGE = 4 << 20  # bytes of bodies, as they are written, from which on a call is written by another thread

log = logging.getLogger(__name__)


class LargeRecord:
    """A call that another thread writes: ``then`` is for what waits until it is in the spool, or lost and counted."""

    __slots__ = ("_before", "_done", "_following")

    def __init__(self, before: LargeRecord | None) -> None:
        self._before = before
        self._done = False
        self._following: list[tuple[Callable[..., None], tuple[Any, ...]]] = []

    def then(self, act: Callable[..., None], *arguments: Any) -> None:
        """Do this when it and the one ``before`` it are done: at once if they are."""
        if self._done:
            act(*arguments)
        else:
            self._following.append((act, arguments))

    def finish(self) -> None:
        """It is done."""
        if self._before is not None:
            before, self._before = self._before, None
            before.then(self.finish)
            return
        self._done = True
        following, self._following = self._following, []
        _act(following)


class Recorder:
    """Writes calls to the spool: what one turn of the loop has to write is one write. Large calls are written by other
    threads, so that only their own clients wait for them.

    ``wake`` is called after each, so that they are moved on. Lives on the running loop.
    """

    def __init__(
        self, spool: Spool, metrics: Metrics, scope: str, wake: Callable[[], None], redactor: Redactor | None = None
    ) -> None:
        self._redactor = redactor
        self.scope = scope
        self.ids = EventIds()
        self.failing = False
        self._metrics = metrics
        self._spool = spool
        self._append = spool.append_records
        self._large: set[asyncio.Future[PreparedSegment]] = set()
        self._wake = wake
        self._loop = asyncio.get_running_loop()
        self._records: list[list[bytes]] = []
        self._following: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        self._due = False
        self._complained = 0.0
        self._unsaid = 0

    def record(self, event: CallEvent) -> bool:
        """``keep``, and write at once. False: the call was lost, which was counted and logged."""
        return self.keep(event) and self.flush()

    @property
    def redacts(self) -> bool:
        """Whether bodies are looked into before they are kept."""
        return self._redactor is not None

    def count_lost(self, error: Exception) -> None:
        """Count and log a call that could not be kept."""
        self._lost(error)

    def keep(
        self, event: CallEvent, request_compressed: bytes | None = None, response_compressed: bytes | None = None
    ) -> bool:
        """Write a call in this turn of the loop; without a scope it is the gateway's. False: it cannot be written."""
        try:
            request_compressed = self._complete(event, request_compressed)
            self._records.append(encode_event(event, request_compressed, response_compressed))
        except Exception as failure:  # noqa: BLE001 capture never breaks a client
            self._lost(failure)
            return False
        if not self._due:
            self._due = True
            self._loop.call_soon(self.flush)
        return True

    def keep_large(
        self,
        event: CallEvent,
        request_compressed: bytes | None,
        response_compressed: bytes | None,
        before: LargeRecord | None = None,
    ) -> LargeRecord:
        """Write a call of ``LARGE`` bytes or more on another thread. It is done only after the one ``before`` it."""
        record = LargeRecord(before)
        writing = self._loop.run_in_executor(None, self._prepare, event, request_compressed, response_compressed)
        self._large.add(writing)

        def adopt(written: asyncio.Future[PreparedSegment]) -> None:
            self._large.discard(written)
            try:
                self._spool.adopt(written.result())
            except Exception as failure:  # noqa: BLE001 capture never breaks a client
                self._lost(failure)
            else:
                self.failing = False
                self._metrics.captured += 1
                self._wake()
            record.finish()

        writing.add_done_callback(adopt)
        return record

    async def settle(self) -> None:
        """Wait until all calls are in the spool, or lost and counted."""
        while self._large:
            await asyncio.wait(self._large)
            await asyncio.sleep(0)
        self.flush()

    def _prepare(
        self, event: CallEvent, request_compressed: bytes | None, response_compressed: bytes | None
    ) -> PreparedSegment:
        request_compressed = self._complete(event, request_compressed)
        compress = zstandard.ZstdCompressor(level=1).compress
        return self._spool.prepare(encode_event(event, request_compressed, response_compressed, compress))

    def _complete(self, event: CallEvent, request_compressed: bytes | None) -> bytes | None:
        """Say what the gateway knows, and remove what may not be kept. Returns the compressed request if it holds."""
        event.scope = event.scope or self.scope
        event.gateway_version = __version__
        if self._redactor is None:
            return request_compressed
        _redact(event, self._redactor)
        return None

    def then(self, act: Callable[..., None], *arguments: Any) -> None:
        """Do this when all that was given to ``keep`` is in the spool, or counted and logged as lost."""
        self._following.append((act, arguments))
        if not self._due:
            self._due = True
            self._loop.call_soon(self.flush)

    def flush(self) -> bool:
        """Write, and do what waits for that. False: something was lost."""
        self._due = False
        kept = True
        if self._records:
            records, self._records = self._records, []
            kept = self._write(records)
        if self._following:
            following, self._following = self._following, []
            _act(following)
        return kept

    def _write(self, records: list[list[bytes]]) -> bool:
        try:
            self._append(records)
        except Exception as failure:  # noqa: BLE001
            if len(records) == 1:
                self._lost(failure)
                return False
            kept = [self._write([record]) for record in records]  # there may be room for some of them
            return all(kept)
        self.failing = False
        self._metrics.captured += len(records)
        self._wake()
        return True

    def _lost(self, error: Exception) -> None:
        self.failing = True
        self._metrics.capture_failures += 1
        self._unsaid += 1
        now = time.monotonic()
        if now - self._complained >= COMPLAIN_SECONDS:
            log.error("%d answered call(s) could NOT be captured: %s", self._unsaid, error)
            self._complained, self._unsaid = now, 0


def _act(following: list[tuple[Callable[..., None], tuple[Any, ...]]]) -> None:
    for act, arguments in following:
        try:
            act(*arguments)
        except Exception:
            log.exception("an answer could not be sent")


def _redact(event: CallEvent, redactor: Redactor) -> None:
    event.request_body, event.request_encoding = redactor.body(
        event.request_body, encoding=event.request_encoding, what="request"
    )
    event.response_body, event.response_encoding = redactor.body(
        event.response_body, event.response_type, event.response_encoding
    )
    event.identity, event.error = redactor.identity(event.identity), redactor.text(event.error)
    event.asked_model, event.traceparent = redactor.text(event.asked_model), redactor.text(event.traceparent)
