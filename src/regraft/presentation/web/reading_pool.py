"""Reading from the truth on behalf of a page, over a few shared connections."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import psycopg
from psycopg_pool import ConnectionPool, PoolTimeout

from regraft.domain.errors import UnavailableError
from regraft.infra.postgres.pool import Connection

Pool = ConnectionPool[Connection]
T = TypeVar("T")


def read_from(pool: Pool, read: Callable[[Connection], T]) -> T:
    """What ``read`` finds over one of the pool's connections. Raises UnavailableError when PostgreSQL is away."""
    try:
        with pool.connection() as connection:
            return read(connection)
    except (PoolTimeout, psycopg.OperationalError) as error:
        raise UnavailableError("PostgreSQL does not answer. `regraft status` says what runs.") from error
