"""The ingest process: packs from the stream, one transaction a batch, acknowledged after its commit, until it is
stopped."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from datetime import timedelta

import psycopg

from regraft.domain.capture.clients import ClientTable
from regraft.domain.errors import UnavailableError
from regraft.flows.capture.feedback_targets import answer_gateways
from regraft.flows.capture.ingest import PATIENCE, IngestCounts, SeenIds, is_slow, read_in_parts, store
from regraft.flows.capture.session_resolver import ParsedCall, ParsedRecord
from regraft.flows.capture.slow_calls import SlowCallReader
from regraft.flows.capture.time_budget import AT_ONCE
from regraft.infra.backoff import Backoff
from regraft.infra.garbage import reduced_garbage_collection
from regraft.infra.nats.record_parts import PART_GRACE
from regraft.infra.nats.stream import CallStream
from regraft.infra.postgres.capture import quarantine
from regraft.infra.postgres.pool import Connection, connect
from regraft.infra.telemetry.metrics import (
    INGEST_BATCH_SECONDS,
    INGEST_CALLS,
    INGEST_COMMITTED,
    INGEST_CONNECTED,
    INGEST_FAILURES,
    INGEST_LAG,
    INGEST_QUARANTINED,
    INGEST_RESUMED,
    INGEST_SLOW,
    INGEST_TURNS,
    INGEST_WAITING,
)
from regraft.infra.telemetry.process_metrics import ProcessMetrics

log = logging.getLogger(__name__)

_BATCH_PACKS = 8  # of up to 256 calls each
_FETCH_SECONDS = 1.0
_BACKOFF = Backoff(0.2, 10.0)  # between two tries to reach a server that is away
_QUIET_SECONDS = 5.0  # without a call, after which waiting ones are looked after
_SWEEP_SECONDS = 600.0  # between two searches for parts that a dead publisher left in the stream


async def consume(
    dsn: str,
    nats_url: str,
    stop: asyncio.Event,
    patience: timedelta = PATIENCE,
    part_grace: timedelta = PART_GRACE,
    table: ClientTable | None = None,
    metrics: ProcessMetrics | None = None,
    replicas: int | None = None,
) -> None:
    """Store captured calls until ``stop`` is set. Either server may be away for any time: nothing is lost meanwhile.

    Any refusal by PostgreSQL that is not one call's own fault (a lost connection, a full disk, a missing column, a
    violated constraint) is a fault of the system: the batch goes back to the stream and is retried later.

    A call that waits for another is placed without it after ``patience``. ``part_grace``: see RecordParts.sweep.
    ``table``: the known clients, the package's own if none is given. ``metrics`` counts what is stored.
    ``replicas``: see CallStream.ensure.
    """
    slow_calls = SlowCallReader(dsn, patience, table, nats_url)
    answering = asyncio.create_task(answer_gateways(dsn, nats_url, stop))
    try:
        seen, counted = SeenIds(table=table), metrics or ProcessMetrics("ingest")
        with reduced_garbage_collection():
            await _consume(dsn, nats_url, stop, patience, part_grace, slow_calls, seen, counted, replicas)
    finally:
        answering.cancel()
        await asyncio.gather(answering, return_exceptions=True)
        await slow_calls.aclose()


async def _consume(
    dsn: str,
    nats_url: str,
    stop: asyncio.Event,
    patience: timedelta,
    part_grace: timedelta,
    slow_calls: SlowCallReader,
    seen: SeenIds,
    metrics: ProcessMetrics,
    replicas: int | None,
) -> None:
    failures = 0
    metrics.show(INGEST_CONNECTED, 0)
    while not stop.is_set():
        started = time.monotonic()
        try:
            async with await CallStream.connect(nats_url) as stream:
                await stream.ensure(replicas=replicas)
                with await asyncio.to_thread(connect, dsn, autocommit=True, name="regraft-ingest") as connection:
                    log.info("storing captured calls")
                    metrics.show(INGEST_CONNECTED, 1)
                    if await asyncio.to_thread(quarantine.any_slow, connection):
                        slow_calls.wake()
                    await _consume_connected(stream, connection, seen, stop, patience, part_grace, slow_calls, metrics)
        except (UnavailableError, psycopg.Error) as error:
            failures += 1
            metrics.show(INGEST_CONNECTED, 0)
            metrics.count(INGEST_FAILURES)
            delay = _BACKOFF.after(failures)
            away = isinstance(error, UnavailableError | psycopg.OperationalError)
            log.log(logging.WARNING if away else logging.ERROR, "storing again in %.1f s: %s", delay, error)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), delay)
            if time.monotonic() - started > _BACKOFF.longest + delay:  # it had worked for a while
                failures = 0


async def _consume_connected(
    stream: CallStream,
    connection: Connection,
    seen: SeenIds,
    stop: asyncio.Event,
    patience: timedelta,
    part_grace: timedelta,
    slow_calls: SlowCallReader,
    metrics: ProcessMetrics,
) -> None:
    loop = asyncio.get_running_loop()
    next_look = next_sweep = loop.time()
    while not stop.is_set():
        if loop.time() >= next_sweep:
            next_sweep = loop.time() + _SWEEP_SECONDS
            if left := await stream.sweep_parts(part_grace):
                log.info("deleted %d parts of large calls whose publishing was never finished", left)
        deliveries = await stream.fetch(_BATCH_PACKS, _FETCH_SECONDS)
        if not deliveries and loop.time() >= next_look:
            # A batch of none takes along what is due, like any other: what was stored at the same moment as the call
            # it waits for, and what has waited for long enough, need no traffic to find their place.
            counts = await _store(connection, [], seen, patience)
            metrics.count(INGEST_RESUMED, by=counts.resumed)
            if counts.resumed:
                log.info("stored %d calls that had waited", counts.resumed)
            else:
                next_look = loop.time() + _QUIET_SECONDS
        if deliveries:
            began = loop.time()
            next_look = began + _QUIET_SECONDS
            records = [record for delivery in deliveries for record in delivery.records]
            counts = IngestCounts(0, 0, 0)
            try:
                for part in read_in_parts(records, seen, AT_ONCE):
                    counts += await _store(connection, part, seen, patience)
                    _observe_lag(metrics, part)
                    if slow := sum(map(is_slow, part)):
                        metrics.count(INGEST_SLOW, by=slow)
                        slow_calls.wake()
            except psycopg.Error:
                # Without this the packs would come again only when the stream's patience for them ends.
                with contextlib.suppress(UnavailableError):
                    for delivery in deliveries:
                        await delivery.nak(delay=0.5)
                raise
            for delivery in deliveries:
                await delivery.ack()
            _count(metrics, counts)
            metrics.observe(INGEST_BATCH_SECONDS, loop.time() - began)
            metrics.show(INGEST_COMMITTED, time.time())
            log.info("stored %d calls, %d new turns, %d set aside", counts.events, counts.new_turns, counts.quarantined)


def _count(metrics: ProcessMetrics, counts: IngestCounts) -> None:
    metrics.count(INGEST_CALLS, by=counts.events)
    metrics.count(INGEST_TURNS, by=counts.new_turns)
    metrics.count(INGEST_QUARANTINED, by=counts.quarantined)
    metrics.count(INGEST_WAITING, by=counts.waiting)
    metrics.count(INGEST_RESUMED, by=counts.resumed)


def _observe_lag(metrics: ProcessMetrics, part: list[ParsedRecord]) -> None:
    """How long the calls of a committed part were on their way. The clocks of two machines may differ."""
    now = time.time_ns()
    for record in part:
        if isinstance(record.content, ParsedCall):
            exchange = record.content.exchange
            ended = exchange.started_ns + exchange.duration_ns
            metrics.observe(INGEST_LAG, max(0, now - ended) / 1e9)


async def _store(
    connection: Connection, parsed: list[ParsedRecord], seen: SeenIds, patience: timedelta
) -> IngestCounts:
    for attempt in range(1, 6):
        try:
            return await asyncio.to_thread(store, connection, parsed, seen, patience)
        except (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure) as error:
            # Another consumer wrote the same messages at the same time; the transaction is whole or not at all.
            log.info("storing again (%d): %s", attempt, error)
            await asyncio.sleep(0.05 * attempt)
    return await asyncio.to_thread(store, connection, parsed, seen, patience)
