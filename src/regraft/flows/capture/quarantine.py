"""The quarantine: list, dismiss and retry calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from regraft.domain.capture.clients import ClientTable
from regraft.domain.errors import NotFoundError, UsageError
from regraft.flows.capture.ingest import PATIENCE, IngestCounts, SeenIds, parse_quarantined, store_by_bisection
from regraft.infra.postgres.capture import quarantine as store
from regraft.infra.postgres.pool import Connection, connect, transaction

_CHUNK = 500  # calls to a transaction
_FIRST = UUID(int=0)


@dataclass(frozen=True, slots=True)
class RetryCounts:
    """The result of a retry. ``left`` is what is still in quarantine, unreadable calls included."""

    tried: int
    resolved: int
    new_turns: int
    left: int


def contents(dsn: str, limit: int, *, waiting: bool = False, dismissed: bool = False) -> list[dict[str, Any]]:
    """What is in quarantine, the latest first; only what waits for another call, or what was dismissed, if asked."""
    with transaction(dsn) as connection:
        return store.listing(connection, limit, waiting=waiting, dismissed=dismissed)


def dismiss(dsn: str, calls: Sequence[str] | None, because: str) -> int:
    """Count calls that cannot be read no longer, and keep them with the reason. ``calls`` are ids or starts of ids,
    None is all. Return how many they are. Raises UsageError without a reason, NotFoundError for an id that fits none
    or several."""
    if not because.strip():
        raise UsageError("Give the reason: --because TEXT.")
    with transaction(dsn) as connection:
        events = None if calls is None else [_one(connection, call) for call in calls]
        return store.dismiss(connection, events, because.strip())


def _one(connection: Connection, call: str) -> UUID:
    found = store.with_start(connection, call.strip().casefold())
    if len(found) != 1:
        which = "Several calls that cannot be read start" if found else "No call that cannot be read starts"
        raise NotFoundError(f"{which} with {call!r}: see `regraft quarantine list`.")
    return found[0]


def reasons(dsn: str) -> dict[str, int]:
    """How many calls are in quarantine, by the code that their reason begins with."""
    with transaction(dsn) as connection:
        return store.reasons(connection)


def retry(
    dsn: str, *, patience: timedelta = PATIENCE, everything: bool = False, table: ClientTable | None = None
) -> RetryCounts:
    """Try again every call that waits, or everything in quarantine; placed without its past after ``patience``.

    Goes over the calls as long as that places any, since one may wait for another that comes behind it.
    """
    tried: set[UUID] = set()
    done = IngestCounts(0, 0, 0)
    with connect(dsn, autocommit=True, name="regraft-retry") as connection:
        while True:
            counts = _pass(connection, tried, patience, table, everything=everything)
            done += counts
            if not counts.resumed:
                break
        left = sum(store.reasons(connection).values())
    return RetryCounts(len(tried), done.resumed, done.new_turns, left)


def _pass(
    connection: Connection, tried: set[UUID], patience: timedelta, table: ClientTable | None, *, everything: bool
) -> IngestCounts:
    counts, after = IngestCounts(0, 0, 0), _FIRST
    while True:
        with connection.transaction():
            kept = store.unresolved(connection, after, _CHUNK, everything=everything)
            if not kept:
                return counts
            seen = SeenIds(table=table)
            counts += store_by_bisection(connection, parse_quarantined(kept, patience, seen), seen, patience)
        tried.update(each.event_id for each in kept)
        after = kept[-1].event_id
