"""The ingest process: packs from the stream, one transaction a batch, acknowledged after its commit, for ever."""

from __future__ import annotations

import asyncio
import contextlib
import logging

import psycopg

from regraft.domain.errors import UnavailableError
from regraft.flows.ingest import IngestCounts, Stored, ingest
from regraft.infra.nats.stream import CallStream, Delivery
from regraft.infra.postgres.pool import Connection, connect

log = logging.getLogger(__name__)

_BATCH_PACKS = 16
_FETCH_SECONDS = 1.0
_PATIENCE = 10.0  # seconds at most between two tries to reach a server that is away


async def consume(dsn: str, nats_url: str, stop: asyncio.Event) -> None:
    """Store captured calls until ``stop`` is set. Either server may be away for any time: nothing is lost meanwhile."""
    delay = 0.2
    stored = Stored()
    while not stop.is_set():
        try:
            async with await CallStream.connect(nats_url) as stream:
                await stream.ensure()
                with await asyncio.to_thread(connect, dsn, autocommit=True, name="regraft-ingest") as connection:
                    log.info("storing captured calls")
                    delay = 0.2
                    await _consume_connected(stream, connection, stored, stop)
        except (UnavailableError, psycopg.OperationalError) as error:
            log.warning("waiting %.1f s: %s", delay, error)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), delay)
            delay = min(delay * 2, _PATIENCE)


async def _consume_connected(stream: CallStream, connection: Connection, stored: Stored, stop: asyncio.Event) -> None:
    while not stop.is_set():
        deliveries = await stream.fetch(_BATCH_PACKS, _FETCH_SECONDS)
        if deliveries:
            try:
                counts = await _store(connection, deliveries, stored)
            except psycopg.OperationalError:
                # Without this the packs would come again only when the stream's patience for them ends.
                with contextlib.suppress(UnavailableError):
                    for delivery in deliveries:
                        await delivery.nak(delay=0.5)
                raise
            for delivery in deliveries:
                await delivery.ack()
            log.info("stored %d calls, %d new turns, %d set aside", counts.events, counts.new_turns, counts.quarantined)


async def _store(connection: Connection, deliveries: list[Delivery], stored: Stored) -> IngestCounts:
    records = [record for delivery in deliveries for record in delivery.records]
    for attempt in range(1, 6):
        try:
            return await asyncio.to_thread(ingest, connection, records, stored)
        except (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure) as error:
            # Another consumer wrote the same messages at the same time; the transaction is whole or not at all.
            log.info("storing again (%d): %s", attempt, error)
            await asyncio.sleep(0.05 * attempt)
    return await asyncio.to_thread(ingest, connection, records, stored)
