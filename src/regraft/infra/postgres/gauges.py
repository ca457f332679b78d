"""Figures of the truth for metrics."""

from __future__ import annotations

from regraft.infra.postgres.pool import Connection
from regraft.infra.queries import queries

_SQL = queries("postgres/gauges")


def gauge(connection: Connection, name: str) -> dict[str, float]:
    """A figure by its label; ``{"": value}`` where there is one."""
    return {row["label"]: row["value"] for row in connection.execute(_SQL[name])}
