"""Read-only access to the truth for a process that serves many requests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

from regraft.domain.errors import UsageError
from regraft.flows.access import Grant
from regraft.infra.postgres.client_pool import ReadPool
from regraft.infra.postgres.pool import Connection

Reader: TypeAlias = ReadPool


def open_reader(dsn: str, name: str) -> Reader:
    """A pool of read-only connections for the readers of the flows. ``name``: in pg_stat_activity."""
    return ReadPool(dsn, name)


@dataclass(frozen=True, slots=True)
class ScopedReader:
    """What one request reads with: its ``scope`` belongs in every read of a flow."""

    reader: Reader
    grant: Grant

    @property
    def scope(self) -> str | None:
        """The tenant whose data may be read; None: all."""
        return self.grant.scope

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A connection for the block, in one transaction. Raises UsageError once the token is not valid any more."""
        if not self.grant.holds():
            raise UsageError("This token is no longer valid. Ask for a new one.")
        with self.reader.connection() as connection:
            yield connection
