"""What a replay reads from the truth."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from regraft.domain.ids import Digest, NodeId, SessionId, parse_json
from regraft.domain.replay import Origin
from regraft.infra.postgres.pool import Connection
from regraft.infra.postgres.queries import queries


def origins(connection: Connection, nodes: Collection[UUID]) -> list[Origin]:
    """What these nodes were asked; a session's root is not among them, since nothing was asked there."""
    rows = connection.execute(queries("replay")["origins"], {"nodes": list(nodes)}).fetchall()
    return [
        Origin(
            node_id=NodeId(row["node_id"]),
            session_id=SessionId(row["session_id"]),
            context_id=Digest(bytes(row["context_id"])),
            messages=parse_json(row["messages"]),
            model=row["model"],
            tools=parse_json(row["tools"]),
            sampling=parse_json(row["sampling"]),
            other=parse_json(row["other"]),
        )
        for row in rows
    ]


def finished(connection: Connection, sessions: Collection[UUID]) -> dict[str, UUID]:
    """The fingerprints that have an answer, and the run that gave it."""
    rows = connection.execute(queries("replay")["finished"], {"sessions": list(sessions)}).fetchall()
    found = {}
    for row in rows:
        variant = parse_json(row["variant"])
        if isinstance(variant, dict) and isinstance(variant.get("fingerprint"), str):
            found[variant["fingerprint"]] = row["run_id"]
    return found


def arrived(connection: Connection, events: Collection[UUID]) -> set[UUID]:
    """Which of these calls are stored."""
    rows = connection.execute(queries("replay")["arrived"], {"events": list(events)}).fetchall()
    return {row["event_id"] for row in rows}
