"""Erasures in PostgreSQL: the journal, what is chosen, and tombstones in its place. One transaction does all of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from regraft.infra.postgres.copy import copy_rows
from regraft.infra.postgres.pool import Connection
from regraft.infra.queries import queries

_SQL = queries("postgres/datasets/erasure")

Row = dict[str, Any]


@dataclass(slots=True, kw_only=True)
class MessageTombstone:
    """``new_id`` is ``message_id`` where the same message, sent again, should stay erased."""

    message_id: bytes
    new_id: bytes
    body: str


@dataclass(slots=True, kw_only=True)
class RenewedStep:
    """A step of a history under its new id."""

    context_id: bytes
    new_id: bytes
    new_parent: bytes | None
    new_message: bytes
    depth: int
    projection_id: bytes


@dataclass(slots=True, kw_only=True)
class PartTombstone:
    """What is left of a tool list or of settings."""

    part_id: bytes
    kind: str
    new_id: bytes
    body: str


def run(connection: Connection, name: str, **values: Any) -> int:
    """Run a named statement; how many rows it touched."""
    return connection.execute(_SQL[name], values or None).rowcount


def rows(connection: Connection, name: str, **values: Any) -> list[Row]:
    """Rows of a named query."""
    return connection.execute(_SQL[name], values or None).fetchall()


def begin(connection: Connection, erasure_id: UUID, kind: str, target: str, forget: str | None, now: datetime) -> None:
    """Write down what was asked for, before anything is done."""
    run(connection, "begin", erasure_id=erasure_id, kind=kind, target=target, forget=forget, now=now)


def journal(connection: Connection, erasure_id: UUID) -> Row | None:
    """One erasure, if there is such."""
    found = rows(connection, "journal", erasure_id=erasure_id)
    return found[0] if found else None


def unfinished(connection: Connection) -> list[Row]:
    """Erasures that did not end, oldest first."""
    return rows(connection, "unfinished")


def finish_step(
    connection: Connection, erasure_id: UUID, step: str, found: Mapping[str, Any], left_over: Mapping[str, str]
) -> None:
    """A step is complete once this is committed."""
    run(connection, "step", erasure_id=erasure_id, step=step, found=Jsonb(found), left_over=Jsonb(left_over))


def note_snapshots(connection: Connection, erasure_id: UUID, snapshots: list[Any]) -> None:
    """What became of snapshots, so far."""
    run(connection, "note_snapshots", erasure_id=erasure_id, snapshots=Jsonb(snapshots))


def stage(connection: Connection) -> None:
    """Keep writers of the log out until this transaction ends, and make the tables of what is chosen."""
    for statement in (_SQL["writers"], *_SQL["stage"].split(b";")):
        if statement.strip():
            connection.execute(statement)


def add_messages(connection: Connection, tombstones: Iterable[MessageTombstone]) -> None:
    """Which messages are erased, and what takes their place."""
    copy_rows(connection, "erase_message", MessageTombstone, tombstones)


def add_steps(connection: Connection, steps: Iterable[RenewedStep]) -> None:
    """Which histories get other ids."""
    copy_rows(connection, "erase_context", RenewedStep, steps)


def add_parts(connection: Connection, parts: Iterable[PartTombstone]) -> None:
    """Which tool lists and settings are erased."""
    copy_rows(connection, "erase_part", PartTombstone, parts)


def index_references(connection: Connection, *, drop: bool = False) -> None:
    """Make, or drop, the indexes that deleting needs."""
    for statement in _SQL["drop_index_references" if drop else "index_references"].split(b";"):
        if b"INDEX" in statement:
            connection.execute(statement)


@dataclass(frozen=True, slots=True)
class Column:
    """A column that may contain text. ``key``: the column that identifies its rows."""

    table: str
    name: str
    type: str
    key: bool


def columns(connection: Connection) -> dict[str, list[Column]]:
    """Columns that may hold words, by table."""
    found: dict[str, list[Column]] = {}
    for row in rows(connection, "columns"):
        found.setdefault(row["table"], []).append(Column(row["table"], row["column"], row["type"], row["key"]))
    return found


def lock_tables(connection: Connection, tables: Collection[str]) -> None:
    """No other transaction writes to these tables meanwhile."""
    names = sql.SQL(", ").join(sql.Identifier(table) for table in sorted(tables))
    connection.execute(sql.SQL("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE").format(names))


def scan(connection: Connection, table: str, wanted: list[Column], plain: str | None) -> Iterator[Row]:
    """Rows of a table with these columns as text, and ``at``, where each is. ``plain``: only rows that hold this text
    or a backslash, behind which anything may be hidden."""
    names = [sql.Identifier(column.name) for column in wanted]
    shown = sql.SQL(", ").join(
        sql.SQL("{0} AS {0}").format(name) if column.type == "text[]" else sql.SQL("{0}::text AS {0}").format(name)
        for name, column in zip(names, wanted, strict=True)
    )
    query = sql.SQL("SELECT ctid::text AS at, {} FROM {}").format(shown, sql.Identifier(table))
    if plain is not None:
        some = sql.SQL(" OR ").join(
            sql.SQL("strpos({0}::text, %(plain)s) > 0 OR strpos({0}::text, %(escape)s) > 0").format(name)
            for name in names
        )
        query = sql.SQL("{} WHERE {}").format(query, some)
    with connection.cursor(name="erase_scan") as cursor:
        cursor.itersize = 500
        yield from cursor.execute(query, {"plain": plain, "escape": "\\"})


def replace(connection: Connection, table: str, at: str, values: Mapping[Column, Any]) -> bool:
    """Give cells of a row other values; False where that would make two rows one, or is refused otherwise."""
    given = sql.SQL(", ").join(
        sql.SQL("{} = {}::{}").format(sql.Identifier(column.name), sql.Placeholder(column.name), sql.SQL(column.type))
        for column in values
    )
    statement = sql.SQL("UPDATE {} SET {} WHERE ctid = %(at)s::tid").format(sql.Identifier(table), given)
    try:
        with connection.transaction():
            connection.execute(statement, {**{column.name: value for column, value in values.items()}, "at": at})
    except psycopg.IntegrityError:
        return False
    return True


def quarantined(connection: Connection) -> Iterator[Row]:
    """Every call in quarantine, resolved ones too."""
    after = UUID(int=0)
    while page := rows(connection, "quarantined", after=after):
        yield from page
        after = page[-1]["event_id"]


def choose(connection: Connection, kind: str, target: str) -> None:
    """Choose the turns and calls of a session, a node or a tenant."""
    run(connection, f"choose_{kind}", target=target)
    run(connection, "choose_judgings")
    run(connection, "choose_calls")
    if kind == "scope":
        run(connection, "choose_calls_of_scope", target=target)
    if kind != "node":
        given = {"session": target if kind == "session" else "", "scope": target if kind == "scope" else None}
        run(connection, "choose_sessions", **given)
    run(connection, "users_of_calls")
    if kind == "node":
        run(connection, "users_of_sessions")
    run(connection, "steps")
    connection.execute(b"ANALYZE erase_step")
    run(connection, "keep_shared_steps")


def put_tombstones(connection: Connection, erasure_id: UUID, count: Callable[[str, int], None]) -> None:
    """Replace what is chosen by its tombstones, in the tables of messages, histories and parts."""
    for table in ("erase_message", "erase_context", "erase_part"):
        connection.execute(f"ANALYZE {table}".encode())
    index_references(connection)
    for name in ("add_tombstones", "add_contexts", "repoint", "repoint_turns", "repoint_nodes"):
        run(connection, name)
    for name in ("repoint_answers", "repoint_runs", "drop_contexts"):
        run(connection, name)
    run(connection, "drop_messages")
    run(connection, "drop_unused_tombstones")
    run(connection, "blank_messages")
    count("messages", run(connection, "note_tombstones", erasure_id=erasure_id))
    for name in ("add_parts", "repoint_parts"):
        run(connection, name)
    run(connection, "repoint_run_parts")
    count("request parts", run(connection, "drop_parts") + run(connection, "blank_parts"))
    index_references(connection, drop=True)
