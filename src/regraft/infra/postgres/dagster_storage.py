"""Dagster's own storage in PostgreSQL. Our assets write counts there; an error may quote what it was about."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg import sql

from regraft.domain.datasets.erasure import TextFinder, blanked
from regraft.domain.ids import canonical_json, parse_json
from regraft.domain.lineage.tombstone import SHOWN
from regraft.infra.postgres.pool import Connection, connect

_WORDY_EVENTS = """
DELETE FROM event_logs WHERE dagster_event_type IS NULL
    OR dagster_event_type ~ 'FAIL|RETRY|ENGINE|CHECK|HOOK|OBSERVATION|ALERT'
"""
_WITH_WORDS = (
    _WORDY_EVENTS,
    "DELETE FROM asset_check_executions",
    "DELETE FROM job_ticks WHERE status = 'FAILURE'",
)


def erase(dsn: str, holds: TextFinder | None) -> int:
    """Remove events that hold a text, or, without one, all events in which an error or a log line may quote something;
    how many rows. Runs, materialisations and partitions stay."""
    with connect(dsn, name="regraft-erase") as connection:
        return _without_words(connection) if holds is None else _without_text(connection, holds)


def _without_words(connection: Connection) -> int:
    removed = 0
    for statement in _WITH_WORDS:
        try:
            with connection.transaction():
                removed += connection.execute(statement.encode()).rowcount
        except psycopg.errors.UndefinedTable:
            continue  # Dagster never ran
    return removed


def _without_text(connection: Connection, holds: TextFinder) -> int:
    changed = 0
    for table, column in list(_text_columns(connection)):
        query = sql.SQL("SELECT ctid::text AS at, {0}::text AS held FROM {1} WHERE {0} IS NOT NULL").format(
            sql.Identifier(column), sql.Identifier(table)
        )
        with connection.cursor(name="erase_scan") as cursor:
            cursor.itersize = 500
            found = [(row["at"], row["held"]) for row in cursor.execute(query) if holds(row["held"])]
        for at, held in found:
            statement = sql.SQL("UPDATE {} SET {} = %(left)s WHERE ctid = %(at)s::tid").format(
                sql.Identifier(table), sql.Identifier(column)
            )
            connection.execute(statement, {"left": _left_of(held, holds), "at": at})
            changed += 1
    return changed


def _left_of(held: str, holds: TextFinder) -> str:
    try:
        left: Any = canonical_json(blanked(parse_json(held), holds))
    except ValueError:
        return SHOWN
    return SHOWN if holds(left) else str(left)


def _text_columns(connection: Connection) -> Iterator[tuple[str, str]]:
    rows = connection.execute(
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
        " AND data_type IN ('text', 'character varying') ORDER BY 1, 2"
    ).fetchall()
    for row in rows:
        yield row["table_name"], row["column_name"]
