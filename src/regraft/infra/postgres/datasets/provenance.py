"""Where a row of a frozen dataset came from, and what was judged of it."""

from __future__ import annotations

from typing import Any

from regraft.infra.postgres.pool import Connection
from regraft.infra.queries import queries

_SQL = queries("postgres/datasets/provenance")

Record = dict[str, Any]


def row_nodes(connection: Connection, snapshot_id: str, row_id: str) -> list[Record]:
    """The nodes of a row with what the graph says of them, from the root down."""
    return connection.execute(_SQL["row_nodes"], {"snapshot_id": snapshot_id, "row_id": row_id}).fetchall()


def row_judgements(connection: Connection, snapshot_id: str, row_id: str) -> list[Record]:
    """Judgements that count today of the nodes that a row was made from, the latest first."""
    return connection.execute(_SQL["row_judgements"], {"snapshot_id": snapshot_id, "row_id": row_id}).fetchall()
