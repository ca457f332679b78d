"""Whether what a configuration names can be used: the stream and the warehouse."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from regraft.domain.errors import UnavailableError
from regraft.infra.iceberg.probe import probe
from regraft.infra.nats.servers import server_urls
from regraft.infra.nats.state import Replication
from regraft.infra.nats.stream import CallStream


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamCheck:
    """``away``: why servers that were named do not answer; ``stored``: on which ones the stream is."""

    servers: int
    away: tuple[str, ...]
    stored: Replication


def check_stream(nats_url: str) -> StreamCheck:
    """Connect to each server of a stream and ask how far it is. Raises UnavailableError when the stream is not to be
    had from any."""

    async def reason(server: str) -> str:
        try:
            async with await CallStream.connect(server):
                return ""
        except UnavailableError as error:
            return str(error)

    async def look() -> StreamCheck:
        servers = server_urls(nats_url)
        async with await CallStream.connect(nats_url) as stream:
            await stream.progress()
            stored = await stream.replication()
        away = await asyncio.gather(*map(reason, servers)) if len(servers) > 1 else []
        return StreamCheck(servers=len(servers), away=tuple(filter(None, away)), stored=stored)

    return asyncio.run(look())


def check_warehouse(warehouse: str) -> None:
    """Write a small file to a warehouse and read it back. Raises UnavailableError with the reason."""
    probe(warehouse)
