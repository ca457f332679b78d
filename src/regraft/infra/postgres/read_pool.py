"""A small pool of read-only connections for a long-lived process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool, PoolTimeout

from regraft.domain.errors import UnavailableError
from regraft.infra.postgres.pool import Connection

_CONNECTIONS = 8
_QUERY_SECONDS = 30
_WAIT_SECONDS = 10.0  # for a free connection


class ReadPool:
    """At most 8 connections, opened when needed. They cannot write, and a statement ends after 30 seconds."""

    def __init__(self, dsn: str, name: str) -> None:
        self._pool: ConnectionPool[Connection] = ConnectionPool(
            dsn,
            connection_class=Connection,
            kwargs={"row_factory": dict_row, "application_name": name, "connect_timeout": 10},
            min_size=1,
            max_size=_CONNECTIONS,
            timeout=_WAIT_SECONDS,
            configure=_make_read_only,
            check=ConnectionPool.check_connection,
            open=True,
            name=name,
        )

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A connection for the block, in one transaction. Raises UnavailableError when PostgreSQL does not answer."""
        try:
            with self._pool.connection() as connection:
                yield connection
        except (PoolTimeout, psycopg.OperationalError) as error:
            raise UnavailableError("PostgreSQL does not answer. `regraft status` shows what is running.") from error

    def close(self) -> None:
        """Close every connection."""
        self._pool.close()


def _make_read_only(connection: Connection) -> None:
    connection.execute(
        f"SET jit = off; SET default_transaction_read_only = on; SET statement_timeout = '{_QUERY_SECONDS}s'".encode()
    )
    connection.commit()
