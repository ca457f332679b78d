"""What the demo looks up, so that it never asks twice."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from regraft.domain.ids import Digest
from regraft.infra.postgres.pool import Connection
from regraft.infra.queries import queries

_SQL = queries("postgres/demo")


def stored_answer(connection: Connection, session: UUID, projection: Digest) -> str | None:
    """The JSON text of the first answer to a history; None when it was never asked."""
    given = {"session": session, "projection": projection}
    row = connection.execute(_SQL["stored_answer"], given).fetchone()
    return row["body"] if row else None


def replayable(connection: Connection, sessions: Collection[UUID]) -> dict[UUID, UUID]:
    """By session the node of its first answer."""
    rows = connection.execute(_SQL["replayable"], {"sessions": list(sessions)}).fetchall()
    return {row["session_id"]: row["node_id"] for row in rows}
