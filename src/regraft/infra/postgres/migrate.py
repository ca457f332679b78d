"""Numbered SQL migrations: applied once each, in order, all of a run in one transaction, under a lock."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from regraft.domain.errors import IntegrityError
from regraft.domain.ids import digest
from regraft.infra.postgres.pool import Connection

_LOCK = 7_267_426_611


@dataclass(frozen=True, slots=True)
class Migration:
    """``number`` orders it, ``name`` is its file, ``digest`` pins its text once applied."""

    number: int
    name: str
    sql: bytes
    digest: bytes


def migrations() -> list[Migration]:
    """All migrations that this version of Regraft knows, in order."""
    folder = files("regraft.infra.postgres").joinpath("migrations")
    found = []
    for file in folder.iterdir():
        if file.name.endswith(".sql"):
            sql = file.read_bytes()
            found.append(Migration(int(file.name[:4]), file.name, sql, digest(sql)))
    return sorted(found, key=lambda migration: migration.number)


def pending(connection: Connection) -> list[Migration]:
    """The migrations not applied yet. Raises IntegrityError when an applied one has changed since."""
    if connection.execute("SELECT to_regclass('schema_migration') AS found").fetchone() == {"found": None}:
        return migrations()
    rows = connection.execute("SELECT number, digest FROM schema_migration").fetchall()
    digests = {row["number"]: bytes(row["digest"]) for row in rows}
    known = migrations()
    for migration in known:
        if digests.get(migration.number, migration.digest) != migration.digest:
            raise IntegrityError(
                f"The migration {migration.name} was applied with a different text. This database belongs to another "
                "version of Regraft: use that version, or a new database."
            )
    return [migration for migration in known if migration.number not in digests]


def applied(connection: Connection) -> list[dict[str, Any]]:
    """The applied migrations in order: name and applied_at."""
    return connection.execute("SELECT name, applied_at FROM schema_migration ORDER BY number").fetchall()


def migrate(connection: Connection) -> list[str]:
    """Apply what is pending and return the names. Safe to run at the same time from several processes."""
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_migration (number integer PRIMARY KEY, name text NOT NULL,"
            " digest bytea NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        todo = pending(connection)
        for migration in todo:
            connection.execute(migration.sql)
            connection.execute(
                "INSERT INTO schema_migration (number, name, digest) VALUES (%s, %s, %s)",
                (migration.number, migration.name, migration.digest),
            )
    return [migration.name for migration in todo]
