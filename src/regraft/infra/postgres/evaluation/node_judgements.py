"""What people and judges say of one node."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from regraft.infra.postgres.pool import Connection
from regraft.infra.queries import queries

_SQL = queries("postgres/evaluation/node_judgements")
Row = dict[str, Any]


def ratings(connection: Connection, node: UUID) -> list[Row]:
    """Ratings of the path that ends at a node: source, by, rating, categories, note, adjudicates, at, votes."""
    return connection.execute(_SQL["ratings"], {"node": node}).fetchall()


def preferences(connection: Connection, node: UUID, limit: int) -> list[Row]:
    """Comparisons of a node's answer: source, by, other_node_id, outcome, note, at."""
    return connection.execute(_SQL["preferences"], {"node": node, "limit": limit}).fetchall()


def feedback(connection: Connection, node: UUID, limit: int) -> list[Row]:
    """Outcomes that were reported for a node's runs: name, value, comment, source, at."""
    return connection.execute(_SQL["feedback"], {"node": node, "limit": limit}).fetchall()
