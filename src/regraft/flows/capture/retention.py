"""Retention: remove old raw bytes from which nothing else is derived.

Messages, tool lists and settings are no raw bytes: histories, replays and frozen rows are made from them. What goes is
what servers wrote around their answers, the copies of calls that left quarantine, and on request what could never be
read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from regraft.domain.errors import UsageError
from regraft.infra.postgres.capture import retention as store
from regraft.infra.postgres.pool import connect

_BATCH = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionResult:
    """What was, or would be, removed of calls before a time: by kind (rows, bytes)."""

    before: datetime
    dry_run: bool
    counts: Mapping[str, tuple[int, int]]


def before_of(age: timedelta, now: datetime) -> datetime:
    """The time that is this much before now. Raises UsageError."""
    try:
        return now - age
    except OverflowError:
        raise UsageError("That age is before the earliest possible date.") from None


def remove_raw_bodies(
    dsn: str, older_than: timedelta, *, unreadable: bool = False, dry_run: bool = False, now: datetime | None = None
) -> RetentionResult:
    """Remove raw bytes of calls older than that; ``unreadable`` also of those that could never be read.

    In batches, each a separate transaction: it can be interrupted, and repeated.
    """
    before = before_of(older_than, now or datetime.now(UTC))
    kinds = ("answers", "resolved", "unreadable") if unreadable else ("answers", "resolved")
    with connect(dsn, autocommit=True, name="regraft-retention") as connection:
        counts = {kind: store.count(connection, kind, before) for kind in kinds}
        for kind in () if dry_run else kinds:
            while store.drop(connection, kind, before, _BATCH):
                pass
    return RetentionResult(before=before, dry_run=dry_run, counts=counts)
