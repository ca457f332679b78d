"""The agreement of people in the truth."""

from __future__ import annotations

from typing import Any

from regraft.infra.postgres.pool import Connection
from regraft.infra.queries import queries

_SQL = queries("postgres/evaluation/agreement")

Record = dict[str, Any]


def rows(connection: Connection, name: str, **parameters: Any) -> list[Record]:
    """The rows of a query."""
    return connection.execute(_SQL[name], parameters or None).fetchall()


def run(connection: Connection, name: str, **parameters: Any) -> None:
    """Run a statement."""
    connection.execute(_SQL[name], parameters or None)


def add(connection: Connection, themes: list[Record]) -> None:
    """Write the agreement on every theme in the place of what was there."""
    run(connection, "forget")
    with connection.cursor() as cursor:
        cursor.executemany(_SQL["add"], themes)
