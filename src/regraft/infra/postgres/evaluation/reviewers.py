"""Items of known answer in the truth, and what reviewers did."""

from __future__ import annotations

from typing import Any

from regraft.infra.postgres.pool import Connection
from regraft.infra.queries import queries

_SQL = queries("postgres/evaluation/reviewers")

Record = dict[str, Any]


def rows(connection: Connection, name: str, **parameters: Any) -> list[Record]:
    """The rows of a query."""
    return connection.execute(_SQL[name], parameters).fetchall()


def run(connection: Connection, name: str, **parameters: Any) -> int:
    """Run a statement; how many rows it changed."""
    return connection.execute(_SQL[name], parameters).rowcount
