"""Calls that are on their way: they are stored first, so that an erasure finds them, and leave nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path

from regraft.domain.errors import UnavailableError
from regraft.flows.capture.backlog import capture_backlog
from regraft.flows.capture.consume import consume
from regraft.infra.nats.stream import CallStream
from regraft.infra.spool.delivered import blank_delivered
from regraft.infra.spool.reader import orphans

_PATIENCE = 120.0  # seconds for what waits to be stored
_POLL = 0.2
_PACK_RECORDS, _PACK_BYTES = 256, 900 << 10


def store_waiting_calls(dsn: str, spool: Path, nats_url: str) -> int:
    """Store every captured call that waits in the spool or the stream; how many packs waited.

    Works beside a gateway and an ingest process, and without them. Raises UnavailableError after two minutes.
    """
    return asyncio.run(_store_waiting_calls(dsn, spool, nats_url))


async def _store_waiting_calls(dsn: str, spool: Path, nats_url: str) -> int:
    stop = asyncio.Event()
    consumer: asyncio.Task[None] | None = None
    packs = 0
    deadline = time.monotonic() + _PATIENCE
    try:
        async with await CallStream.connect(nats_url) as stream:
            await stream.ensure()
            await _publish_left_behind(spool, stream)
        while True:
            found = await asyncio.to_thread(capture_backlog, spool, nats_url)
            if not found.spool_bytes and not found.stream_packs:
                return packs
            packs = max(packs, found.stream_packs or 0)
            if consumer is None and found.stream_packs:
                consumer = asyncio.create_task(consume(dsn, nats_url, stop))
            if time.monotonic() > deadline:
                raise UnavailableError(
                    f"{found.spool_bytes} bytes in the spool and {found.stream_packs} packs in the stream are not "
                    "stored yet: `regraft doctor` says what holds them up. `regraft erase --resume` goes on."
                )
            await asyncio.sleep(_POLL)
    finally:
        stop.set()
        if consumer is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await consumer


async def _publish_left_behind(spool: Path, stream: CallStream) -> None:
    """Move on what dead gateway processes left."""
    for reader in orphans(spool, "") if spool.is_dir() else ():  # noqa: ASYNC240
        try:
            while (pack := reader.read_pack(_PACK_RECORDS, _PACK_BYTES)) is not None:
                await stream.publish_pack(pack.records)
                reader.acknowledge(pack)
            reader.remove()
        finally:
            reader.close()


def forget_delivered(spool: Path, nats_url: str | None) -> tuple[int, bool]:
    """Overwrite what was delivered out of the spool, and have the stream drop the bytes of what ingest acknowledged;
    how many bytes of the spool, and whether the stream is clean."""
    return blank_delivered(spool), nats_url is None or asyncio.run(_purge(nats_url))


async def _purge(nats_url: str) -> bool:
    async with await CallStream.connect(nats_url) as stream:
        return await stream.drop_acknowledged()
