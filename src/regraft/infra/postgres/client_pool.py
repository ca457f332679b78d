"""Small pools of connections for a process that serves many requests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool, PoolTimeout

from regraft.domain.errors import UnavailableError
from regraft.infra.postgres.pool import Connection

_CONNECTIONS = 8
_QUERY_SECONDS = 30
_WAIT_SECONDS = 10.0  # for a free connection


class ClientPool:
    """At most 8 connections, opened when needed, each set up by ``configure``."""

    def __init__(self, dsn: str, name: str, configure: Callable[[Connection], None]) -> None:
        self._pool: ConnectionPool[Connection] = ConnectionPool(
            dsn,
            connection_class=Connection,
            kwargs={"row_factory": dict_row, "application_name": name, "connect_timeout": 10},
            min_size=1,
            max_size=_CONNECTIONS,
            timeout=_WAIT_SECONDS,
            configure=configure,
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


class ReadPool(ClientPool):
    """Connections that cannot write. A statement ends after 30 seconds."""

    def __init__(self, dsn: str, name: str) -> None:
        super().__init__(dsn, name, _make_read_only)


class WritePool(ClientPool):
    """Connections that can write. A statement ends after 30 seconds, and waits 5 for a lock."""

    def __init__(self, dsn: str, name: str) -> None:
        super().__init__(dsn, name, _set_limits)


def _make_read_only(connection: Connection) -> None:
    connection.execute(
        f"SET jit = off; SET default_transaction_read_only = on; SET statement_timeout = '{_QUERY_SECONDS}s'".encode()
    )
    connection.commit()


def _set_limits(connection: Connection) -> None:
    connection.execute(f"SET jit = off; SET lock_timeout = '5s'; SET statement_timeout = '{_QUERY_SECONDS}s'".encode())
    connection.commit()
