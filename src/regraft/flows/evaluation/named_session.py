"""The session that a caller names, by its id or the beginning of it."""

from __future__ import annotations

from regraft.infra.postgres.lineage.reading import resolve_session
from regraft.infra.postgres.pool import transaction


def session_id(dsn: str, session: str | None) -> str | None:
    """Its whole id; None where none is named. Raises NotFoundError."""
    if session is None:
        return None
    with transaction(dsn) as connection:
        return str(resolve_session(connection, session))
