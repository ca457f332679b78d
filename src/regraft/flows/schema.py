"""Which migrations the database has, and which this version of Regraft knows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from regraft.infra.postgres import migrate
from regraft.infra.postgres.pool import Source, reading_from


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedMigration:
    """``name``: the file's name."""

    name: str
    applied_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaState:
    """``applied`` in their order; ``known``: names of the migrations that come with this version."""

    applied: list[AppliedMigration]
    known: list[str]


def schema_state(source: Source) -> SchemaState:
    """The migrations of a database whose schema exists."""
    with reading_from(source) as connection:
        rows = migrate.applied(connection)
    return SchemaState(
        applied=[AppliedMigration(name=row["name"], applied_at=row["applied_at"]) for row in rows],
        known=[migration.name for migration in migrate.migrations()],
    )
