"""Keep the graph up to date with captured calls while a service runs."""

from __future__ import annotations

import asyncio
import logging

from regraft.domain.errors import RegraftError
from regraft.flows.lineage.build import catch_up
from regraft.infra.backoff import Backoff

log = logging.getLogger(__name__)

_SECONDS = 1.0  # between two looks
_BACKOFF = Backoff(_SECONDS, 60.0)


async def follow(dsn: str) -> None:
    """Place captured turns in the graph within about a second of their storing, until cancelled."""
    failures = 0
    while True:
        try:
            await asyncio.to_thread(catch_up, dsn)
        except RegraftError as error:
            failures += 1
            log.warning("captured turns could not be placed in the graph: %s", error)
        except Exception:  # a fault of the system: turns stay in the queue
            failures += 1
            log.exception("captured turns could not be placed in the graph")
        else:
            failures = 0
        await asyncio.sleep(_BACKOFF.after(failures) if failures else _SECONDS)
