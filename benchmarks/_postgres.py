"""A PostgreSQL for one benchmark, in a folder that is removed with it."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg

from regraft.infra.embedded.postgres import EmbeddedPostgres, PostgresEndpoint
from regraft.infra.postgres.migrate import migrate
from regraft.infra.postgres.pool import connect


class TemporaryPostgres:
    """``dsn`` is its first database, which is empty; ``folder`` has room for other files of the benchmark."""

    def __init__(self, endpoint: PostgresEndpoint, folder: Path) -> None:
        self.dsn, self.folder, self._endpoint, self._made = endpoint.dsn, folder, endpoint, 0

    def database(self) -> str:
        """The DSN of a new database with every migration."""
        self._made += 1
        name = f"benchmark_{self._made}"
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        dsn = self._endpoint.admin_dsn(name)
        with connect(dsn, autocommit=True) as connection:
            migrate(connection)
        return dsn


@contextlib.contextmanager
def temporary_postgres() -> Iterator[TemporaryPostgres]:
    """A server of its own, also where the benchmark runs as root."""
    folder = Path(tempfile.mkdtemp(prefix="regraft-bench-"))
    folder.chmod(0o755)
    server = EmbeddedPostgres(folder / "data")
    try:
        yield TemporaryPostgres(server.start(), folder)
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
