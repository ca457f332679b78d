"""Queries of the asset pipeline: whether a step has work, batches, and checks."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from secrets import token_bytes
from typing import Any
from uuid import UUID

from regraft.domain.ids import time_ordered_uuid
from regraft.infra.postgres import pipeline as store
from regraft.infra.postgres.pipeline import CheckResult
from regraft.infra.postgres.pool import Source, reading_from, transaction

__all__ = ["CheckResult", "add_batch", "checks", "counts", "sessions_missing", "sessions_waiting"]


def counts(source: Source, name: str, **parameters: Any) -> dict[str, int]:
    """The figures of a query of one row, such as ``runtime_rows``, ``last_call`` or ``graph``."""
    with reading_from(source) as connection:
        return store.counts(connection, name, **parameters)


def sessions_waiting(source: Source, limit: int) -> list[UUID]:
    """Sessions with turns that the graph has not placed yet, the longest waiting first."""
    with reading_from(source) as connection:
        return store.sessions_waiting(connection, limit)


def sessions_missing(source: Source, known: Collection[UUID], limit: int) -> list[UUID]:
    """Placed sessions that are not among the known ones, oldest first."""
    with reading_from(source) as connection:
        return store.sessions_not_in(connection, known, limit)


def add_batch(dsn: str, pipeline: str, partitions: Collection[str]) -> str:
    """Record a batch that is given to a run, and return its id."""
    batch = str(time_ordered_uuid(time.time_ns() // 1_000_000, token_bytes(10)))
    with transaction(dsn, name="regraft-pipeline") as connection:
        store.add_batch(connection, batch, pipeline, partitions)
    return batch


def checks(source: Source, names: Collection[str]) -> Iterator[tuple[str, CheckResult]]:
    """Each check's name with what it found, all in one transaction."""
    with reading_from(source) as connection:
        for name in names:
            yield name, store.check(connection, name)
