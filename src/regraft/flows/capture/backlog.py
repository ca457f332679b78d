"""Captured calls that wait in the gateway's spool or in the stream, before PostgreSQL."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from regraft.domain.errors import UnavailableError
from regraft.infra.nats.state import StreamProgress
from regraft.infra.nats.stream import CallStream
from regraft.infra.spool.backlog import spool_backlog

TIMEOUT = 60.0  # seconds
_POLL = 0.1
_LOOK_AGAIN = 0.5
_KEEP_EVERY = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureBacklog:
    """What waits. ``spool_bytes`` and ``spool_seconds``: in the spool, and for how long nothing of it was delivered.
    ``stream_packs``: packs of calls that ingest has not stored, ``stream_seconds`` the age of the oldest,
    ``redelivered`` how many of them were delivered before; None where the stream was not asked."""

    spool_bytes: int
    spool_seconds: float
    stream_packs: int | None
    stream_seconds: float | None
    redelivered: int | None

    @property
    def seconds(self) -> float:
        """The minimum time that the oldest waiting call has waited."""
        return max(self.spool_seconds, self.stream_seconds or 0.0)


def capture_backlog(spool: Path, nats_url: str | None) -> CaptureBacklog:
    """Check the spool folder, and the stream if its URL is given; an unreachable stream counts as None."""
    waiting = spool_backlog(spool)
    if waiting.since is not None:
        time.sleep(_LOOK_AGAIN)  # what came a moment ago, after a long silence, is on its way now
        waiting = spool_backlog(spool)
    now = datetime.now(UTC)
    packs = age = redelivered = None
    if nats_url is not None:
        try:
            found = asyncio.run(_progress(nats_url))
        except UnavailableError:
            pass
        else:
            packs, redelivered = found.packs, found.redelivered
            age = max(0.0, (now - found.oldest).total_seconds()) if found.oldest else 0.0
    return CaptureBacklog(
        spool_bytes=waiting.bytes,
        spool_seconds=max(0.0, (now - waiting.since).total_seconds()) if waiting.since else 0.0,
        stream_packs=packs,
        stream_seconds=age,
        redelivered=redelivered,
    )


def wait_until_delivered(spool: Path, nats_url: str, keep: Callable[[], None] | None = None) -> None:
    """Return when every call that was captured before is stored: the spool and the stream are empty once.

    ``keep`` is called each second. Raises UnavailableError after a minute; no call is lost by that.
    """
    began = kept = time.monotonic()
    while True:
        found = capture_backlog(spool, nats_url)
        if not found.spool_bytes and not found.stream_packs:
            return
        now = time.monotonic()
        if now > began + TIMEOUT:
            raise UnavailableError(
                f"{found.spool_bytes} bytes in the spool and {found.stream_packs} packs in the stream are not stored "
                "yet: `regraft doctor` says what holds them up."
            )
        if keep and now > kept + _KEEP_EVERY:
            keep()
            kept = now
        time.sleep(_POLL)


async def _progress(nats_url: str) -> StreamProgress:
    async with await CallStream.connect(nats_url) as stream:
        return await stream.progress()
