"""Which version of the projection the log is in: one row, which every writer of the log shares until its commit."""

from __future__ import annotations

from regraft.domain.errors import IntegrityError
from regraft.domain.lineage.projection import PROJECTION_VERSION, PROJECTIONS
from regraft.infra.postgres.pool import Connection
from regraft.infra.queries import queries

_SQL = queries("postgres/lineage/projection")


def held(connection: Connection) -> int:
    """The version that the log is in, held there until the current transaction ends; an empty log starts with the
    newest. Raises IntegrityError for one that this version of Regraft does not know."""
    named = _SQL
    row = connection.execute(named["held"]).fetchone()
    if row is None:
        connection.execute(named["begin"], {"version": PROJECTION_VERSION})
        row = connection.execute(named["held"]).fetchone()
    version = int(row["version"]) if row else PROJECTION_VERSION
    if version not in PROJECTIONS:
        raise IntegrityError(
            f"The log is in version {version} of the projection, and this version of Regraft supports only "
            f"{known_versions()}. Use the version of Regraft that wrote it, or a newer one."
        )
    return version


def known_versions() -> str:
    """The versions of the projection that there are, in words."""
    return ", ".join(str(each) for each in sorted(PROJECTIONS))
