"""What deriving the log's joining ids again asks of PostgreSQL: pages to read, staging tables, a few set updates."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from regraft.domain.ids import Digest
from regraft.infra.postgres.copy import copy_rows
from regraft.infra.postgres.pool import Connection
from regraft.infra.queries import queries

_SQL = queries("postgres/lineage/reprojection")

Row = dict[str, Any]

_ROUNDS = 64  # of halving chains of claims: more than any chain needs, and an end for circles


@dataclass(slots=True, kw_only=True)
class DerivedContext:
    """The ids of a context under the new version."""

    context_id: Digest
    projection_id: Digest
    opening: Digest | None
    awaited: Digest | None
    system_digest: bytes
    user_digest: bytes


@dataclass(slots=True, kw_only=True)
class DerivedTurn:
    """``session_id`` is None while it depends on the session of a claimed turn; ``named``: the session by its name."""

    turn_id: UUID
    answer_projection: Digest
    session_id: UUID | None
    named: UUID | None


@dataclass(slots=True, kw_only=True)
class DerivedNode:
    """The node of a turn under the new version."""

    turn_id: UUID
    node_id: UUID


def _rows(connection: Connection, name: str, **given: Any) -> list[Row]:
    return connection.execute(_SQL[name], given).fetchall()


def _run(connection: Connection, *names: str, **given: Any) -> None:
    for name in names:
        connection.execute(_SQL[name], given)


def unanchored(connection: Connection, after: bytes, limit: int) -> list[Row]:
    """Messages without anchors: ``message_id``, ``body``."""
    return _rows(connection, "unanchored", after=after, limit=limit)


def save_anchors(connection: Connection, found: Collection[tuple[bytes, Sequence[int]]]) -> None:
    """Store what messages can be recognised by."""
    texts = ["{" + ",".join(map(str, anchors)) + "}" for _, anchors in found]
    _run(connection, "save_anchors", messages=[message for message, _ in found], anchors=texts)


def turn_to(connection: Connection, version: int) -> None:
    """Keep every writer of the log out until the transaction ends; from then on they write under this version."""
    _run(connection, "turn_to", version=version)


def prepare(connection: Connection) -> list[str]:
    """Make the staging tables; returns the tenants."""
    _run(connection, "stage_steps", "stage_index", "stage_contexts", "stage_turns", "stage_nodes", "analyze")
    return [row["scope"] for row in _rows(connection, "scopes")]


def roots(connection: Connection, after: bytes, limit: int) -> list[Row]:
    """First steps of histories: ``context_id``, ``message_id``."""
    return _rows(connection, "roots", after=after, limit=limit)


def next_steps(connection: Connection, parents: Sequence[bytes], after: bytes, limit: int) -> list[Row]:
    """The steps after the given ones, which are in ascending order; a page after a step of the first of them."""
    return _rows(connection, "next_steps", parents=list(parents), after=after, limit=limit)


def bodies(connection: Connection, messages: Collection[bytes]) -> dict[bytes, str]:
    """The canonical JSON of messages by id."""
    rows = _rows(connection, "bodies", messages=list(messages)) if messages else []
    return {bytes(row["message_id"]): row["body"] for row in rows}


def turns(connection: Connection, after: UUID, limit: int) -> list[Row]:
    """Turns by id, with what is derived of their histories."""
    return _rows(connection, "turns", after=after, limit=limit)


def filed(connection: Connection, after: UUID, limit: int) -> list[Row]:
    """Turns by id, with their sessions: ``turn_id``, ``session_id``, ``answer_projection``."""
    return _rows(connection, "filed", after=after, limit=limit)


def stage_contexts(connection: Connection, rows: Iterable[DerivedContext]) -> None:
    """Add the ids that contexts have under the new version."""
    copy_rows(connection, "again_context", DerivedContext, rows)


def stage_turns(connection: Connection, rows: Iterable[DerivedTurn]) -> None:
    """Add what turns have under the new version."""
    copy_rows(connection, "again_turn", DerivedTurn, rows)


def stage_nodes(connection: Connection, rows: Iterable[DerivedNode]) -> None:
    """Add the nodes that turns have under the new version."""
    copy_rows(connection, "again_node", DerivedNode, rows)


def file_by_claims(connection: Connection) -> None:
    """Find the sessions of turns that are where something else is."""
    _run(connection, "analyze_derived", "remember_nodes", "remember_sessions", "stage_claims")
    for _ in range(_ROUNDS):
        if not connection.execute(_SQL["follow_claims"]).rowcount:
            break
    _run(connection, "file_claims")


def compared(connection: Connection, noun: str, limit: int) -> list[Row]:
    """What split and what merged: ``what``, ``one``, ``parts``, ``total``; ``noun`` is ``sessions`` or ``nodes``."""
    return _rows(connection, f"compare_{noun}", limit=limit)


def changes(connection: Connection) -> Row:
    """How much has other ids than before."""
    (row,) = _rows(connection, "changes")
    return row


def apply(connection: Connection, version: int) -> tuple[dict[str, int], dict[str, int]]:
    """Write all of it. Returns how many rows now name other ids, by column, and how many keep naming former ones."""
    _run(connection, "save_sessions", "save_contexts", "save_turns", "save_lineage", "unqueue")
    _run(connection, "save_events", version=version)
    _run(connection, "forget_current", "forget_current_sessions")
    followed = {row["place"]: int(row["rows"]) for row in _rows(connection, "follow") if row["rows"]}
    _run(connection, "follow_subjects")
    (left,) = _rows(connection, "left_behind")
    return followed, {name: int(count) for name, count in left.items()}


def drop_sessions(connection: Connection) -> None:
    """Delete sessions that are empty after the old graph was removed."""
    _run(connection, "drop_sessions")


def fingerprint(connection: Connection) -> dict[str, tuple[int, str]]:
    """By layer of the graph: its rows, and a sum that tells them from any others."""
    return {row["layer"]: (int(row["rows"]), row["sum"]) for row in _rows(connection, "print")}
