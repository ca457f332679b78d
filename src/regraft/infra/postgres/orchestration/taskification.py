"""Plans of subtasks in PostgreSQL: the captured calls that asked for them, and the results, which are only added."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any
from uuid import UUID

from regraft.domain.errors import NotFoundError, UsageError
from regraft.domain.ids import parse_json
from regraft.infra.postgres.pool import Connection
from regraft.infra.queries import queries

_SQL = queries("postgres/orchestration/taskification")

Row = dict[str, Any]
SHORTEST_PREFIX = 4


def calls(connection: Connection) -> list[Row]:
    """Calls that asked for a plan and are in no result yet, oldest first; their JSON parsed."""
    rows = connection.execute(_SQL["calls"]).fetchall()
    for row in rows:
        for name in ("identity", "answer", "error", "messages"):
            row[name] = None if row[name] is None else parse_json(row[name])
    return rows


def nodes_of_turns(connection: Connection, turns: Collection[UUID]) -> dict[UUID, UUID]:
    """Node by turn, of the turns that are stored."""
    rows = connection.execute(_SQL["nodes_of_turns"], {"turns": list(turns)}).fetchall()
    return {row["turn_id"]: row["node_id"] for row in rows}


def known(connection: Connection, ids: Collection[UUID]) -> set[UUID]:
    """Which of these taskifications are stored."""
    rows = connection.execute(_SQL["known"], {"ids": list(ids)}).fetchall()
    return {row["taskification_id"] for row in rows}


def add(connection: Connection, rows: Iterable[Mapping[str, Any]]) -> int:
    """Add results, in this order; one that is stored already stays as it is. Returns how many were new."""
    return sum(connection.execute(_SQL["add"], row).rowcount for row in rows)


def latest(connection: Connection, subject: str) -> Row | None:
    """The newest generation for a subject: its id, rule version and generation."""
    return connection.execute(_SQL["latest"], {"subject": subject}).fetchone()


def one(connection: Connection, taskification_id: UUID) -> Row:
    """A result with its ``plan``. Raises NotFoundError."""
    row = connection.execute(_SQL["one"], {"id": taskification_id}).fetchone()
    if row is None:
        raise NotFoundError(f"There is no taskification {taskification_id}.")
    row["plan"] = None if row["plan"] is None else parse_json(row["plan"])
    return row


def resolve(connection: Connection, text: str) -> UUID:
    """The taskification that an id, or the start of one, names. Raises UsageError or NotFoundError."""
    prefix = text.strip().lower().replace("-", "")
    if not SHORTEST_PREFIX <= len(prefix) <= 32 or not set(prefix) <= set("0123456789abcdef"):
        raise UsageError(f"{text[:80]!r} is not a taskification id: give at least {SHORTEST_PREFIX} hex digits.")
    bounds = {"low": UUID(prefix.ljust(32, "0")), "high": UUID(prefix.ljust(32, "f"))}
    found = connection.execute(_SQL["like"], bounds).fetchall()
    if not found:
        raise NotFoundError(f"There is no taskification {text}.")
    if len(found) > 1:
        raise UsageError(f"Several taskifications start with {text}. Give more digits.")
    return UUID(str(found[0]["id"]))


def recent(connection: Connection, limit: int, node: UUID | None = None) -> list[Row]:
    """Results without their plans, the newest first."""
    return connection.execute(_SQL["list"], {"limit": limit, "node": node}).fetchall()


def steps(connection: Connection, taskification_id: UUID) -> list[Row]:
    """The runs that made a plan and carried it out."""
    return connection.execute(_SQL["steps"], {"id": taskification_id}).fetchall()


def counts(connection: Connection) -> dict[str, int]:
    """Results by how they ended, and ``rows`` in all."""
    row = connection.execute(_SQL["counts"]).fetchone() or {}
    return {name: int(number) for name, number in row.items()}
