"""What comparing reads of the truth."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from regraft.domain.errors import NotFoundError
from regraft.domain.ids import parse_json
from regraft.infra.postgres.pool import Connection
from regraft.infra.queries import queries

_SQL = queries("postgres/replay/comparison")

Row = dict[str, Any]


def answers(connection: Connection, node: UUID) -> list[Row]:
    """All answers under a node's anchor, by branch index; JSON columns are text. Raises NotFoundError for a root."""
    rows = connection.execute(_SQL["answers"], {"node": node}).fetchall()
    if not rows:
        raise NotFoundError(f"Node {node} has no answers that could be compared (it is a root, or unknown).")
    return rows


def trajectory(connection: Connection, node: UUID) -> list[Any]:
    """The messages from the root to a node's answer. Raises NotFoundError."""
    row = connection.execute(_SQL["whole_path"], {"node": node}).fetchone()
    if row is None:
        raise NotFoundError(f"There is no node {node}.")
    return [*parse_json(row["history"]), *([parse_json(row["answer"])] if row["answer"] else [])]
