"""The builds of models that answered, in PostgreSQL. Triggers of the runs keep the table."""

from __future__ import annotations

from regraft.domain.replay.staleness import ModelSnapshot
from regraft.infra.postgres.pool import Connection
from regraft.infra.queries import queries

_SQL = queries("postgres/replay/models")


def snapshots(connection: Connection) -> list[ModelSnapshot]:
    """Every build of every model, the one seen last first."""
    return [ModelSnapshot(**row) for row in connection.execute(_SQL["snapshots"]).fetchall()]
