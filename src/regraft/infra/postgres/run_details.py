"""What Dagster's runs logged in Dagster's own database: how much is old, and its removal in batches."""

from __future__ import annotations

from datetime import UTC, datetime

from regraft.infra.postgres.pool import Connection
from regraft.infra.queries import queries

_SQL = queries("postgres/run_details")


def count(connection: Connection, before: datetime) -> tuple[int, int]:
    """Rows and bytes; none where Dagster never ran."""
    if not _there(connection):
        return 0, 0
    row = connection.execute(_SQL["count"], {"before": _naive(before)}).fetchone()
    return (int(row["rows"]), int(row["bytes"])) if row else (0, 0)


def drop(connection: Connection, before: datetime, limit: int) -> int:
    """Remove a batch; how many rows."""
    if not _there(connection):
        return 0
    return connection.execute(_SQL["drop"], {"before": _naive(before), "limit": limit}).rowcount


def _there(connection: Connection) -> bool:
    row = connection.execute(_SQL["there"]).fetchone()
    return bool(row and row["there"])


def _naive(moment: datetime) -> datetime:
    """As Dagster writes it: UTC, and no zone."""
    return moment.astimezone(UTC).replace(tzinfo=None)
