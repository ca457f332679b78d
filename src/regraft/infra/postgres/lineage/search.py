"""Finding nodes by their words (PostgreSQL full text, without stemming)."""

from __future__ import annotations

from typing import Any

from regraft.infra.postgres.capture.inbox import storable
from regraft.infra.postgres.pool import Connection
from regraft.infra.queries import queries

_SQL = queries("postgres/lineage/search")


def find(connection: Connection, text: str, limit: int, scope: str | None = None) -> list[dict[str, Any]]:
    """Nodes whose answer or last question holds the words: node_id, session_id, place, rank, started_at, excerpt.

    ``text`` is read like a web search: words, "phrases", ``or``, ``-not``.
    """
    return connection.execute(_SQL["find"], {"text": storable(text), "limit": limit, "scope": scope}).fetchall()
