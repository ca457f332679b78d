"""A whole tree in columns, as JSON that the database writes: no row of it is ever a Python object."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from regraft.domain.errors import NotFoundError
from regraft.infra.postgres.capture.inbox import storable
from regraft.infra.postgres.pool import Connection
from regraft.infra.queries import queries

_SQL = queries("postgres/lineage/shape")


def shape(connection: Connection, session_id: UUID) -> tuple[str, str]:
    """The names that its columns number, and the columns of a session's nodes, both as JSON."""
    connection.execute(_SQL["settings"])
    row = connection.execute(_SQL["shape"], {"session": session_id}).fetchone() or {}
    return row["names"], row["nodes"]


def words(connection: Connection, session_id: UUID) -> str:
    """What was asked and answered at each node, cut, as JSON columns in the order of ``shape``."""
    connection.execute(_SQL["settings"])
    row = connection.execute(_SQL["words"], {"session": session_id}).fetchone() or {}
    found: str = row["words"]
    return found


def find(connection: Connection, session_id: UUID, text: str, limit: int) -> list[UUID]:
    """Nodes of a session whose answer or last question holds the words, ``limit`` at most, as ``shape`` orders them."""
    given = {"session": session_id, "text": storable(text), "limit": limit}
    return [row["node_id"] for row in connection.execute(_SQL["find"], given).fetchall()]


def captured_call(connection: Connection, run_id: UUID, scope: str | None) -> dict[str, Any]:
    """The call of a run with its JSON as text. Raises NotFoundError."""
    row = connection.execute(_SQL["captured_call"], {"run": run_id, "scope": scope}).fetchone()
    if row is None:
        raise NotFoundError(f"There is no run {run_id}.")
    return row
