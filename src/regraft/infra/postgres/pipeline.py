"""What orchestration asks of the truth."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg

from regraft.domain.errors import UnavailableError
from regraft.infra.postgres.pool import Connection
from regraft.infra.queries import queries

_SQL = queries("postgres/pipeline")


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a check found: how many of ``total`` are bad, and the id of one of them."""

    bad: int
    total: int
    example: str | None


def counts(connection: Connection, name: str, **parameters: Any) -> dict[str, int]:
    """The figures of a query of one row, such as ``runtime_rows``, ``last_call`` or ``graph``."""
    row = connection.execute(_SQL[name], parameters or None).fetchone() or {}
    return {key: int(value) for key, value in row.items()}


def settled(connection: Connection) -> int:
    """The inbox's highest number, when every lower one is committed or never will be; 0 while nothing was captured.

    Ingest waits for the moment that this takes; a transaction that is older than some seconds is not waited for.
    Raises UnavailableError then. Give it a separate transaction: the lock lasts as long.
    """
    try:
        connection.execute(_SQL["fence"])
    except psycopg.errors.LockNotAvailable as error:
        raise UnavailableError("Ingest is in the middle of a long transaction. Try again in a moment.") from error
    row = connection.execute(_SQL["last_call"]).fetchone() or {}
    return int(row["seq"])


def sessions_waiting(connection: Connection, limit: int) -> list[UUID]:
    """Sessions with turns that the graph has not placed yet, the longest waiting first."""
    rows = connection.execute(_SQL["sessions_waiting"], {"limit": limit}).fetchall()
    return [row["session_id"] for row in rows]


def sessions_not_in(connection: Connection, known: Collection[UUID], limit: int) -> list[UUID]:
    """Placed sessions other than the known ones, oldest first."""
    rows = connection.execute(_SQL["sessions_not_in"], {"known": list(known), "limit": limit}).fetchall()
    return [row["session_id"] for row in rows]


def add_batch(connection: Connection, batch_id: str, pipeline: str, partitions: Collection[str]) -> None:
    """Note a batch that is handed to a run."""
    given = {"batch_id": batch_id, "pipeline": pipeline, "partitions": list(partitions)}
    connection.execute(_SQL["add_batch"], given)


def check(connection: Connection, name: str) -> CheckResult:
    """Carry out the check of that name."""
    row = connection.execute(_SQL[f"check_{name}"]).fetchone() or {}
    return CheckResult(int(row["bad"]), int(row["total"]), row["example"])
