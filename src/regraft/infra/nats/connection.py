"""A connection to NATS: one server, or any of a cluster."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator

import nats.errors
from nats.aio.client import Client

from regraft.domain.errors import UnavailableError
from regraft.infra.nats.servers import server_urls, without_passwords

NATS_ERRORS = (nats.errors.Error, OSError, TimeoutError, asyncio.TimeoutError)

log = logging.getLogger(__name__)


async def connect(url: str, *, timeout: float = 2.0, reconnect: bool = False) -> Client:
    """Connect to any of the servers, or raise UnavailableError within ``timeout`` seconds for each of them.

    Without ``reconnect`` a lost connection stays lost, and the caller connects again at its own pace; of several
    servers that is to one that answers.
    """
    client = Client()
    try:
        servers = server_urls(url)
    except ValueError as error:
        raise UnavailableError(f"NATS cannot be reached: {error}") from error
    said: list[Exception] = []

    async def note(error: Exception) -> None:
        said[:] = [error]
        log.debug("nats: %s", error)

    try:
        async with asyncio.timeout(timeout * len(servers)):
            await client.connect(
                servers,
                name="regraft",
                allow_reconnect=reconnect,
                max_reconnect_attempts=1,  # with 0 or less the first connect would retry without end
                reconnect_time_wait=1 if reconnect else 0,
                connect_timeout=max(1, int(timeout)),
                ping_interval=20,
                error_cb=note,
            )
    except NATS_ERRORS as error:
        await close(client)
        why = _reason(said[0] if said else error)
        raise UnavailableError(f"NATS at {without_passwords(url)} cannot be reached: {why}") from error
    if reconnect:
        client.options["max_reconnect_attempts"] = -1
    return client


async def close(client: Client) -> None:
    """Close a connection, which may be lost."""
    with contextlib.suppress(*NATS_ERRORS):
        await client.close()


@contextlib.contextmanager
def as_unavailable(what: str) -> Iterator[None]:
    """Raise a fault of NATS as UnavailableError: "NATS did not ``what``"."""
    try:
        yield
    except NATS_ERRORS as error:
        raise UnavailableError(f"NATS did not {what}: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__
