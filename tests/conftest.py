"""Real servers, once a session: PostgreSQL with a migrated template database that every test clones, and NATS."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from hypothesis import settings

from regraft.infra.embedded.nats import EmbeddedNats
from regraft.infra.embedded.postgres import EmbeddedPostgres, PostgresEndpoint
from regraft.infra.postgres.migrate import migrate
from regraft.infra.postgres.pool import connect

REPOSITORY = Path(__file__).parent.parent
_TEMPLATE = "regraft_template"

settings.register_profile("regraft", max_examples=40, deadline=None)  # a slow machine is no failure
settings.load_profile("regraft")


@pytest.fixture(scope="session")
def servers_dir() -> Iterator[Path]:
    """A folder that the account of an embedded PostgreSQL can reach, also when the tests run as root."""
    folder = Path(tempfile.mkdtemp(prefix="regraft-tests-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres(servers_dir: Path) -> Iterator[PostgresEndpoint]:
    """One PostgreSQL for all tests, with a migrated database to clone."""
    server = EmbeddedPostgres(servers_dir / "data")
    endpoint = server.start()
    with psycopg.connect(endpoint.dsn, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {_TEMPLATE}".encode())
    with connect(endpoint.admin_dsn(_TEMPLATE), autocommit=True) as connection:
        migrate(connection)
    yield endpoint
    server.stop()


@pytest.fixture
def truth(postgres: PostgresEndpoint) -> Iterator[str]:
    """The DSN of a fresh, migrated database."""
    name = f"truth_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}".encode())
    yield postgres.admin_dsn(name)
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture(scope="session")
def nats_url(servers_dir: Path) -> Iterator[str]:
    """One NATS server with JetStream for all tests."""
    server = EmbeddedNats(servers_dir / "data")
    yield server.start().url
    server.stop()


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The folder of recorded conversations, which is not part of the project: beside the checkout, or named."""
    folder = Path(os.environ.get("REGRAFT_CORPUS", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        message = f"the recorded conversations are not here: set REGRAFT_CORPUS (looked in {folder})"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return folder
