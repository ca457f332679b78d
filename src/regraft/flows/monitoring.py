"""The metrics of ``regraft metrics``: series from facts, and gauges of the stores, until it is stopped."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from regraft.domain.errors import RegraftError, UnavailableError
from regraft.domain.evaluation.calibration import Requirement
from regraft.flows.evaluation.calibration import failing_judges
from regraft.infra.backoff import Backoff
from regraft.infra.nats.fact_stream import FactStream
from regraft.infra.nats.stream import CallStream
from regraft.infra.postgres import gauges
from regraft.infra.postgres.pool import transaction
from regraft.infra.telemetry.fact_counts import FactCounts
from regraft.infra.telemetry.facts import decode_fact
from regraft.infra.telemetry.store_gauges import (
    JUDGES_UNCALIBRATED,
    REFRESHED,
    STORE_UP,
    STREAM_OLDEST,
    STREAM_PACKS,
    STREAM_REDELIVERED,
    TRUTH_GAUGES,
    StoreFigures,
)

log = logging.getLogger(__name__)

_FETCH_PACKS, _FETCH_SECONDS = 64, 1.0
_BACKOFF = Backoff(0.5, 10.0)
_CANCEL_SECONDS = 0.5
_STREAM_SECONDS = 2.0  # between two looks at the stream
_TRUTH_SECONDS = 15.0  # between two looks at PostgreSQL, or more:
_TRUTH_SHARE = 0.05  # of the time they may take


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitoredStores:
    """Where to look. ``workbench`` may not exist."""

    truth: str
    nats_url: str
    workbench: Path


async def count_facts(stores: MonitoredStores, counts: FactCounts) -> None:
    """Add the facts of the stream, until cancelled. NATS may be away for any time."""
    failures = 0
    while True:
        try:
            stream = await FactStream.connect(stores.nats_url)
        except UnavailableError as error:
            failures = await _pause(failures, error)
            continue
        try:
            await stream.ensure()
            while True:
                lines = await stream.fetch(_FETCH_PACKS, _FETCH_SECONDS)
                counts.add(fact for line in lines if (fact := decode_fact(line)) is not None)
                failures = 0
        except UnavailableError as error:
            failures = await _pause(failures, error)
        finally:
            await stream.aclose()


async def watch_stream(stores: MonitoredStores, figures: StoreFigures) -> None:
    """Keep the gauges of the stream of calls fresh, until cancelled."""
    while True:
        with contextlib.suppress(UnavailableError):
            async with await CallStream.connect(stores.nats_url) as stream:
                while True:
                    found = await stream.progress()
                    age = (datetime.now(UTC) - found.oldest).total_seconds() if found.oldest else 0.0
                    _show(figures, "nats", up=True)
                    figures.set(STREAM_PACKS, found.packs)
                    figures.set(STREAM_OLDEST, max(0.0, age))
                    figures.set(STREAM_REDELIVERED, found.redelivered)
                    await asyncio.sleep(_STREAM_SECONDS)
        _show(figures, "nats", up=False)
        for gauge in (STREAM_PACKS, STREAM_OLDEST, STREAM_REDELIVERED):
            figures.set(gauge, None)
        await asyncio.sleep(_STREAM_SECONDS)


async def watch_truth(stores: MonitoredStores, figures: StoreFigures) -> None:
    """Keep the gauges of PostgreSQL and of the workbench fresh, until cancelled."""
    while True:
        began = time.monotonic()
        await asyncio.to_thread(read_store_gauges, stores, figures)
        await asyncio.sleep(max(_TRUTH_SECONDS, (time.monotonic() - began) / _TRUTH_SHARE))


def read_store_gauges(stores: MonitoredStores, figures: StoreFigures) -> None:
    """Read all gauges of PostgreSQL, as of one moment, and those of the workbench."""
    try:
        with transaction(stores.truth, name="regraft-metrics") as connection:
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            found = {each: gauges.gauge(connection, each.query) for each in TRUTH_GAUGES}
    except (UnavailableError, psycopg.Error) as error:
        log.warning("PostgreSQL cannot be read: %s", error)
        _show(figures, "postgres", up=False)
        for each in TRUTH_GAUGES:
            figures.set(each, None)
    else:
        _show(figures, "postgres", up=True)
        for each, values in found.items():
            figures.set(each, values)
        figures.set(REFRESHED, time.time())
    figures.set(JUDGES_UNCALIBRATED, _uncalibrated(stores.workbench))


def _uncalibrated(workbench: Path) -> float | None:
    if not workbench.exists():
        return None
    try:
        return float(len(failing_judges(workbench, Requirement())))
    except RegraftError as error:  # another process writes it, or it was never computed
        log.info("the workbench cannot be read: %s", error)
        return None


def _show(figures: StoreFigures, store: str, *, up: bool) -> None:
    figures.mark(STORE_UP, store, float(up))


async def _pause(failures: int, error: UnavailableError) -> int:
    log.log(logging.INFO if failures else logging.WARNING, "facts are not counted: %s", error)
    await asyncio.sleep(_BACKOFF.after(failures + 1))
    return failures + 1


async def monitor(
    stores: MonitoredStores, counts: FactCounts | None, figures: StoreFigures, stop: asyncio.Event
) -> None:
    """All of it until ``stop`` is set. Without ``counts`` facts are left to Vector."""
    watchers = [watch_stream(stores, figures), watch_truth(stores, figures)]
    if counts is not None:
        watchers.append(count_facts(stores, counts))
    tasks = [asyncio.create_task(each) for each in watchers]
    stopped = asyncio.create_task(stop.wait())
    try:
        done, _ = await asyncio.wait([stopped, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in done - {stopped}:
            await task  # a watcher ends only by a fault
    finally:
        left = {stopped, *tasks}
        while left:  # asyncio.wait_for of Python 3.11 may swallow a cancellation, so that one is not always enough
            for task in left:
                task.cancel()
            _, left = await asyncio.wait(left, timeout=_CANCEL_SECONDS)
        await asyncio.gather(stopped, *tasks, return_exceptions=True)
