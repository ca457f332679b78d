"""What a rollout reads from the truth, and how it ended."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from regraft.domain.ids import Digest, NodeId, canonical_json, parse_json
from regraft.domain.replay.recording import RecordedNode
from regraft.infra.postgres.capture.inbox import storable
from regraft.infra.postgres.pool import Connection
from regraft.infra.queries import queries

_SQL = queries("postgres/replay/rollouts")

Row = dict[str, Any]


def below(connection: Connection, node: UUID) -> list[RecordedNode]:
    """A node and all below it, earliest first; empty for a root and for a node that is not there."""
    return [
        RecordedNode(
            node_id=NodeId(row["node_id"]),
            parent_id=NodeId(row["parent_node_id"]),
            session_id=row["session_id"],
            evidence=row["parent_evidence"],
            context_id=Digest(bytes(row["context_id"])),
            context_depth=row["context_depth"],
            context_projection=Digest(bytes(row["context_projection"])),
            answer_projection=Digest(bytes(row["answer_projection"])),
            finish_reason=row["finish_reason"],
            is_replay=row["is_replay"],
            answered=row["answered"],
        )
        for row in connection.execute(_SQL["below"], {"node": node}).fetchall()
    ]


def history(connection: Connection, context_id: bytes) -> list[tuple[Digest, Any]]:
    """Every step of a history: what it projects to, and its message."""
    rows = connection.execute(_SQL["history"], {"context": context_id}).fetchall()
    return [(Digest(bytes(row["projection_id"])), parse_json(row["body"])) for row in rows]


def answer(connection: Connection, node: UUID) -> Any:
    """The message that a node's first run gave; None: there is none."""
    row = connection.execute(_SQL["answer"], {"node": node}).fetchone()
    return parse_json(row["body"]) if row else None


def forest(connection: Connection, session: UUID) -> list[Row]:
    """Every step of every history of a session: ``context_id``, ``parent_id``, ``projection_id`` and ``message``.

    The message is None where it has nothing to do with tools.
    """
    rows = connection.execute(_SQL["forest"], {"session": session}).fetchall()
    return [
        {
            "context_id": bytes(row["context_id"]),
            "parent_id": bytes(row["parent_id"] or b""),
            "projection_id": bytes(row["projection_id"]),
            "message": None if row["body"] is None else parse_json(row["body"]),
        }
        for row in rows
    ]


def replay_histories(connection: Connection, session: UUID) -> list[tuple[bytes, Any]]:
    """The replays of a session: the history of each, and the variant in its call's headers."""
    rows = connection.execute(_SQL["replay_histories"], {"session": session}).fetchall()
    return [(bytes(row["context_id"]), parse_json(row["variant"])) for row in rows]


def save(connection: Connection, rollout: Row, now: datetime) -> None:
    """Store a rollout that has ended: the table's columns, with JSON as values."""
    connection.execute(
        _SQL["save"],
        {
            **rollout,
            "stop_detail": storable(rollout["stop_detail"]),
            "tool_sources": canonical_json(rollout["tool_sources"]),
            "drift": canonical_json([storable(note) for note in rollout["drift"]]),
            "first_divergence": _divergence(rollout["first_divergence"]),
            "created_at": now,
        },
    )


def _divergence(value: Row | None) -> str | None:
    if value is None:
        return None
    return canonical_json({key: storable(each) if isinstance(each, str) else each for key, each in value.items()})


def of_node(connection: Connection, node: UUID) -> list[Row]:
    """The rollouts that began at a node, or that one of its runs belongs to."""
    return [_read(row) for row in connection.execute(_SQL["of_node"], {"node": node}).fetchall()]


def of_turns(connection: Connection, turns: Collection[UUID]) -> list[Row]:
    """The rollouts that these calls belong to."""
    rows = connection.execute(_SQL["of_turns"], {"turns": list(turns)}).fetchall()
    return [_read(row) for row in rows]


def _read(row: Row) -> Row:
    for name in ("tool_sources", "drift", "first_divergence"):
        row[name] = None if row[name] is None else parse_json(row[name])
    return row
