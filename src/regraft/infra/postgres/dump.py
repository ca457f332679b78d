"""Dumps of a database by PostgreSQL's own programs: whole or not at all, in both directions."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from regraft.domain.errors import UnavailableError
from regraft.infra.postgres.pool import Connection, connect

_LAST_LINES = 5


@dataclass(frozen=True, slots=True)
class TableRows:
    """A table by its qualified name, and how many rows it has."""

    table: str
    rows: int


@dataclass(frozen=True, slots=True)
class FrozenMoment:
    """One state of a database, which others can read by its ``name`` while it is held."""

    name: str
    connection: Connection

    def rows(self) -> list[TableRows]:
        """Every table of ours with its number of rows, by name."""
        return table_rows(self.connection)


@contextmanager
def frozen_moment(dsn: str) -> Iterator[FrozenMoment]:
    """Hold the state of a database as it is now, until the block ends."""
    with connect(dsn, name="regraft-backup") as connection, connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        found = connection.execute("SELECT pg_export_snapshot() AS name").fetchone()
        assert found is not None
        yield FrozenMoment(str(found["name"]), connection)


def table_rows(connection: Connection) -> list[TableRows]:
    """Every table outside PostgreSQL's own schemas with its number of rows, by name."""
    tables = connection.execute(
        "SELECT schemaname AS schema, tablename AS name FROM pg_tables"
        " WHERE schemaname <> 'information_schema' AND schemaname NOT LIKE 'pg\\_%' ORDER BY 1, 2"
    ).fetchall()
    counted = []
    for table in tables:
        statement = sql.SQL("SELECT count(*) AS rows FROM {}").format(sql.Identifier(table["schema"], table["name"]))
        found = connection.execute(statement).fetchone()
        assert found is not None
        counted.append(TableRows(f"{table['schema']}.{table['name']}", int(found["rows"])))
    return counted


def server_major(dsn: str) -> int:
    """The major version of a server, such as 15."""
    with connect(dsn, name="regraft-backup") as connection:
        return connection.info.server_version // 10_000


def dump(dsn: str, file: Path, program: str, moment: FrozenMoment) -> None:
    """Write a database, as it was at a moment, into a compressed file. Raises UnavailableError with the reason."""
    address, environment = _address(dsn)
    options = ["--format=custom", "--no-owner", "--no-privileges", f"--snapshot={moment.name}", f"--file={file}"]
    _run([program, *options, f"--dbname={address}"], environment)


def restore(dsn: str, file: Path, program: str) -> None:
    """Make what a dump holds in an empty database, in one transaction. Raises UnavailableError with the reason."""
    address, environment = _address(dsn)
    options = ["--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges"]
    _run([program, *options, f"--dbname={address}", str(file)], environment)
    with connect(dsn, autocommit=True, name="regraft-restore") as connection:
        connection.execute("ANALYZE")


def _address(dsn: str) -> tuple[str, Mapping[str, str]]:
    """An address without its password, which goes by the environment: arguments are seen by every account."""
    parts = conninfo_to_dict(dsn)
    password = parts.pop("password", None)
    own = {**os.environ, "PGPASSWORD": str(password)} if password else dict(os.environ)
    return make_conninfo("", **parts), own


def _run(command: list[str], environment: Mapping[str, str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", env=environment, check=False)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()][:_LAST_LINES]
        words = re.sub(r"\s+", " ", "; ".join(said)) or "no reason was given"
        raise UnavailableError(f"{Path(command[0]).name} ended with status {done.returncode}: {words}")
