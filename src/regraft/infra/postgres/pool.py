"""Connections to the truth."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import dict_row

from regraft.domain.errors import UnavailableError

Connection = psycopg.Connection[dict[str, Any]]
Source = str | Connection  # where to read: a DSN, or a connection that the caller holds


def connect(dsn: str, *, autocommit: bool = False, name: str = "regraft") -> Connection:
    """A connection whose rows are dicts. Raises UnavailableError with one line that says what to do."""
    try:
        # Compiling a statement costs more than any of ours takes: the recursive ones look dear to the planner.
        options = f"{conninfo_to_dict(dsn).get('options') or ''} -c jit=off".lstrip()
        return psycopg.connect(
            dsn,
            autocommit=autocommit,
            row_factory=dict_row,
            connect_timeout=10,
            application_name=name,
            options=options,
        )
    except psycopg.OperationalError as error:
        reason = str(error).strip().splitlines()[0]
        raise UnavailableError(
            f"PostgreSQL cannot be reached: {reason}. Start it with `regraft up`, or set postgres.dsn."
        ) from error


@contextmanager
def transaction(dsn: str, *, name: str = "regraft") -> Iterator[Connection]:
    """One connection, one transaction: committed at the end of the block, rolled back by an error."""
    with connect(dsn, name=name) as connection:
        yield connection


@contextmanager
def reading_from(source: Source) -> Iterator[Connection]:
    """A transaction of its own for a DSN; a connection that the caller holds is used as it is, and stays open."""
    if isinstance(source, str):
        with transaction(source) as connection:
            yield connection
    else:
        yield source
