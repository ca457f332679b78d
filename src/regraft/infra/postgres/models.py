"""The builds of models that answered, in PostgreSQL. Triggers of the runs keep the table."""

from __future__ import annotations

from regraft.domain.staleness import ModelSnapshot
from regraft.infra.postgres.pool import Connection
from regraft.infra.postgres.queries import queries


def snapshots(connection: Connection) -> list[ModelSnapshot]:
    """Every build of every model, the one seen last first."""
    return [ModelSnapshot(**row) for row in connection.execute(queries("models")["snapshots"]).fetchall()]
