"""What imports ask of PostgreSQL: which of their calls and judgements are stored already."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from regraft.infra.postgres.pool import Connection
from regraft.infra.queries import queries

_SQL = queries("postgres/capture/imports")


def known_calls(connection: Connection, events: Collection[UUID]) -> set[UUID]:
    """Those of these calls that are stored."""
    rows = connection.execute(_SQL["known_calls"], {"ids": list(events)}).fetchall()
    return {row["event_id"] for row in rows}


def known_feedback(connection: Connection, given: Collection[UUID]) -> set[UUID]:
    """Those of these judgements that are stored."""
    if not given:
        return set()
    rows = connection.execute(_SQL["known_feedback"], {"ids": list(given)}).fetchall()
    return {row["feedback_id"] for row in rows}
