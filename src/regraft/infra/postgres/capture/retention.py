"""Raw bytes of captured calls, by their age: how many there are, and their removal in batches."""

from __future__ import annotations

from datetime import datetime

from regraft.infra.postgres.pool import Connection
from regraft.infra.queries import queries

_SQL = queries("postgres/capture/retention")


def count(connection: Connection, what: str, before: datetime) -> tuple[int, int]:
    """Rows and bytes of ``resolved``, ``unreadable`` or ``answers``."""
    row = connection.execute(_SQL[what], {"before": before}).fetchone()
    return (int(row["rows"]), int(row["bytes"])) if row else (0, 0)


def drop(connection: Connection, what: str, before: datetime, limit: int) -> int:
    """Remove a batch of them; how many rows."""
    return connection.execute(_SQL[f"drop_{what}"], {"before": before, "limit": limit}).rowcount
