"""Retention as a whole: raw bytes of calls, what Dagster's runs logged, their log files."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from regraft.flows.capture.retention import before_of, remove_raw_bodies
from regraft.infra.files.old_files import old_files, remove_files
from regraft.infra.postgres import run_details
from regraft.infra.postgres.pool import connect

_BATCH = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionAges:
    """What is older is removed; None: nothing of that kind. ``unreadable``: also calls that could never be read."""

    raw_bodies: timedelta | None = None
    unreadable: bool = False
    run_details: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionPlaces:
    """``dagster`` is the DSN of Dagster's own database, where it is known, ``dagster_home`` its folder."""

    truth: str
    dagster: str | None
    dagster_home: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """What was, or would be, removed of one kind: ``items`` rows or files that are older than ``before``."""

    kind: str
    before: datetime
    items: int
    bytes: int


def remove_old(
    places: RetentionPlaces, ages: RetentionAges, *, dry_run: bool = False, now: datetime | None = None
) -> list[Removed]:
    """Remove what is older than its age. In batches: it can be interrupted, and repeated."""
    now = now or datetime.now(UTC)
    removed = []
    if ages.raw_bodies is not None:
        done = remove_raw_bodies(places.truth, ages.raw_bodies, unreadable=ages.unreadable, dry_run=dry_run, now=now)
        removed += [
            Removed(kind=kind, before=done.before, items=rows, bytes=size) for kind, (rows, size) in done.counts.items()
        ]
    if ages.run_details is not None:
        before = before_of(ages.run_details, now)
        if places.dagster is not None:
            with connect(places.dagster, autocommit=True, name="regraft-retention") as connection:
                rows, size = run_details.count(connection, before)
                removed.append(Removed(kind="run_details", before=before, items=rows, bytes=size))
                while not dry_run and run_details.drop(connection, before, _BATCH):
                    pass
        logs = places.dagster_home / "compute_logs"
        sizes = [size for _, size in old_files(logs, before)]
        removed.append(Removed(kind="run_logs", before=before, items=len(sizes), bytes=sum(sizes)))
        if not dry_run:
            remove_files(logs, before)
    return removed
