"""Whether what a configuration names can be used: the stream and the warehouse."""

from __future__ import annotations

import asyncio

from regraft.infra.iceberg.probe import probe
from regraft.infra.nats.stream import CallStream


def check_stream(nats_url: str) -> None:
    """Connect to a stream and ask how far it is. Raises UnavailableError with the reason."""

    async def look() -> None:
        async with await CallStream.connect(nats_url) as stream:
            await stream.progress()

    asyncio.run(look())


def check_warehouse(warehouse: str) -> None:
    """Write a small file to a warehouse and read it back. Raises UnavailableError with the reason."""
    probe(warehouse)
