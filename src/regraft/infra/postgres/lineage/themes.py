"""Themes in PostgreSQL: what people changed of them, and their figures."""

from __future__ import annotations

from typing import Any

from regraft.infra.postgres.pool import Connection
from regraft.infra.queries import queries

_SQL = queries("postgres/lineage/themes")

Row = dict[str, Any]


def rows(connection: Connection, query: str, /, **values: Any) -> list[Row]:
    """Rows of a named query."""
    return connection.execute(_SQL[query], values or None).fetchall()


def run(connection: Connection, query: str, /, **values: Any) -> int:
    """Run a named statement; how many rows it touched."""
    return connection.execute(_SQL[query], values or None).rowcount


def filed_under(connection: Connection) -> dict[tuple[str, str], str]:
    """By tenant and the name that calls use, the name that they are filed under, where it is another."""
    return {(row["scope"], row["called"]): row["theme"] for row in rows(connection, "filed")}
