"""Finding nodes by their words (PostgreSQL full text, without stemming)."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from regraft.infra.postgres.capture.inbox import storable
from regraft.infra.postgres.pool import Connection
from regraft.infra.queries import queries

_SQL = queries("postgres/lineage/search")


def find(connection: Connection, text: str, limit: int, scope: str | None = None) -> list[dict[str, Any]]:
    """Nodes whose answer or last question holds the words: node_id, session_id, place, rank, started_at, excerpt.

    ``text`` is read like a web search: words, "phrases", ``or``, ``-not``.
    """
    return connection.execute(_SQL["find"], {"text": storable(text), "limit": limit, "scope": scope}).fetchall()


def ids(connection: Connection, digits: str, limit: int, scope: str | None = None) -> list[dict[str, Any]]:
    """Sessions and nodes whose ids, or whose turns' ids, start with these hexadecimal digits: kind, id, session_id,
    name, at."""
    bounds = {"low": UUID(digits.ljust(32, "0")), "high": UUID(digits.ljust(32, "f"))}
    return connection.execute(_SQL["ids"], {**bounds, "limit": limit, "scope": scope}).fetchall()


def names(connection: Connection, text: str, limit: int, scope: str | None = None) -> list[dict[str, Any]]:
    """Themes and sessions with these letters in their names: kind, id, session_id, name, at."""
    return connection.execute(_SQL["names"], {"text": storable(text), "limit": limit, "scope": scope}).fetchall()
