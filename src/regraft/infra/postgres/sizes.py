"""How much of the disk a database takes, by table."""

from __future__ import annotations

from dataclasses import dataclass

from regraft.infra.postgres.pool import Connection
from regraft.infra.queries import queries

_SQL = queries("postgres/sizes")


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSize:
    """``bytes`` with indexes and long values; ``rows`` is an estimate of PostgreSQL's."""

    name: str
    bytes: int
    index_bytes: int
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseSize:
    """``bytes`` of the whole database, more than its ``tables`` together; ``turns`` that it holds."""

    bytes: int
    turns: int
    tables: list[TableSize]


def database_size(connection: Connection) -> DatabaseSize:
    """The database of the connection, whose schema exists."""
    connection.execute(_SQL["patience"])
    whole = connection.execute(_SQL["database"]).fetchone()
    assert whole is not None
    return DatabaseSize(bytes=whole["bytes"], turns=whole["turns"], tables=table_sizes(connection))


def table_sizes(connection: Connection) -> list[TableSize]:
    """Every table of the connection's database. Raises psycopg.errors.LockNotAvailable where one is held for long."""
    connection.execute(_SQL["patience"])
    return [TableSize(**row) for row in connection.execute(_SQL["tables"]).fetchall()]


def other_database_bytes(connection: Connection, name: str) -> int:
    """Another database of the same server; 0 where there is none."""
    row = connection.execute(_SQL["other_database"], {"name": name}).fetchone()
    return int(row["bytes"]) if row else 0
