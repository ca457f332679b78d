"""What feedback names is looked up."""

from __future__ import annotations

from uuid import UUID

from regraft.infra.postgres.pool import Connection
from regraft.infra.queries import queries

_SQL = queries("postgres/capture/feedback_targets")


def turn_is_stored(connection: Connection, scope: str, turn: UUID) -> bool:
    """Whether a tenant's turn or node is stored, or its call waits for another."""
    row = connection.execute(_SQL["turn_is_stored"], {"scope": scope, "turn": turn}).fetchone()
    return row is not None and bool(row["stored"])


def session_is_stored(connection: Connection, scope: str, session: UUID | None, claim: UUID | None) -> bool:
    """Whether a tenant's session of one of these ids is stored."""
    row = connection.execute(_SQL["session_is_stored"], {"scope": scope, "session": session, "claim": claim}).fetchone()
    return row is not None and bool(row["stored"])
