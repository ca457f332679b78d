"""Calls that take long to read: ``python -m regraft.flows.capture.slow_calls`` reads them separately from other calls.

Ingest sets such a call aside and starts this process, which gives each of them more time, one after another, and ends
when none is left. What takes too long even so stays in quarantine, raw. The first line of its input is JSON: the
database, and the patience and the table of clients of ingest.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from dataclasses import dataclass
from datetime import timedelta

import msgspec
import psycopg

from regraft.domain.capture.clients import ClientTable
from regraft.flows.capture.ingest import PATIENCE, SeenIds, parse_quarantined, store_by_bisection
from regraft.infra.postgres.capture import quarantine
from regraft.infra.postgres.pool import connect
from regraft.infra.telemetry.emitter import publishing_facts
from regraft.infra.telemetry.span_exporter import TraceSettings
from regraft.infra.telemetry.tracer import exporter, exporting_spans

_NICE = 5
_END_SECONDS = 5.0

log = logging.getLogger(__name__)


def read_slow_calls(dsn: str, patience: timedelta = PATIENCE, table: ClientTable | None = None) -> int:
    """Read the slow calls in quarantine with more time; how many were tried."""
    tried = 0
    with connect(dsn, autocommit=True, name="regraft-slow") as connection:
        while (call := quarantine.take_slow(connection)) is not None:
            tried += 1
            seen = SeenIds(table=table)
            counts = store_by_bisection(connection, parse_quarantined([call], patience, seen), seen, patience)
            log.info("read a slow call: %d resolved, %d refused", counts.resumed, counts.quarantined)
    return tried


@dataclass(frozen=True, slots=True)
class _ReaderSettings:
    dsn: str
    patience: float
    table: ClientTable | None
    nats_url: str | None = None
    traces: TraceSettings | None = None


class SlowCallReader:
    """Starts and ends the process for ingest; starts it again for calls that arrived while it ran."""

    def __init__(
        self, dsn: str, patience: timedelta, table: ClientTable | None = None, nats_url: str | None = None
    ) -> None:
        traces = exporter()
        settings = _ReaderSettings(
            dsn, patience.total_seconds(), table, nats_url, traces.settings if traces is not None else None
        )
        self._order = msgspec.json.encode(settings) + b"\n"
        self._task: asyncio.Task[None] | None = None
        self._more = self._closing = False
        self._process: asyncio.subprocess.Process | None = None

    def wake(self) -> None:
        """There is a slow call in quarantine."""
        self._more = True
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    async def aclose(self) -> None:
        """End the process; what it was reading stays in quarantine for the next start."""
        self._more, self._closing = False, True
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
        if self._task is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._task, _END_SECONDS)

    async def _run(self) -> None:
        while self._more:
            self._more = False
            command = (sys.executable, "-m", "regraft.flows.capture.slow_calls")
            self._process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.PIPE)
            await self._process.communicate(self._order)
            if self._process.returncode and not self._closing:
                log.error("the process that reads slow calls ended with %d", self._process.returncode)
            self._process = None


def main() -> None:
    from regraft.infra.telemetry.logs import configure_logging

    order = msgspec.json.decode(sys.stdin.readline(), type=_ReaderSettings)
    configure_logging("INFO")
    os.nice(_NICE)
    try:
        with publishing_facts(lambda: order.nats_url), exporting_spans(order.traces, "regraft-ingest"):
            read_slow_calls(order.dsn, timedelta(seconds=order.patience), order.table)
    except psycopg.OperationalError as error:
        log.warning("slow calls wait in quarantine: %s", error)


if __name__ == "__main__":
    main()
