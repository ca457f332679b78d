"""Waiting for captured calls to be stored: from the gateway's answer to the row takes a fraction of a second."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from uuid import UUID

from regraft.domain.errors import UnavailableError
from regraft.infra.postgres.pool import connect
from regraft.infra.postgres.replay.plans import arrived

TIMEOUT = 60.0  # seconds
_POLL = 0.05
_KEEP_EVERY = 1.0


def wait_until_stored(dsn: str, turns: Collection[UUID], keep: Callable[[], None] | None = None) -> None:
    """Return when all of these calls are stored. ``keep`` is called each second: it may start again what has ended.

    Raises UnavailableError after a minute; the calls are not lost, and are stored as soon as ingest is back.
    """
    began = kept = time.monotonic()
    missing = set(turns)
    with connect(dsn, autocommit=True) as connection:
        while missing:
            missing -= arrived(connection, missing)
            now = time.monotonic()
            if missing and now > began + TIMEOUT:
                raise UnavailableError(
                    f"{len(missing)} captured calls are not stored yet. They are safe in the stream; look at "
                    "`regraft status`, and run `regraft lineage build` once ingest is back."
                )
            if missing and keep and now > kept + _KEEP_EVERY:
                keep()
                kept = now
            if missing:
                time.sleep(_POLL)
