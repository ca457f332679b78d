"""What imports need of PostgreSQL beside the execution log: which calls are stored, and imported judgements."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import UTC, datetime, timedelta
from uuid import UUID

from regraft.domain.importing import Feedback
from regraft.infra.postgres.inbox import storable
from regraft.infra.postgres.pool import Connection
from regraft.infra.postgres.queries import queries

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TYPES = ("uuid", "text", "uuid", "uuid", "text", "float8", "text", "text", "timestamptz")


def known_events(connection: Connection, events: Collection[UUID]) -> set[UUID]:
    """Those of these calls that are stored already."""
    rows = connection.execute(queries("importing")["known_events"], {"events": list(events)}).fetchall()
    return {row["event_id"] for row in rows}


def store_judgements(connection: Connection, scope: str, judgements: Iterable[Feedback]) -> int:
    """Write judgements in the current transaction and return how many were new."""
    named = queries("importing")
    connection.execute(named["stage"])
    with connection.cursor().copy(b"COPY stage_judgement FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types(_TYPES)
        for each in judgements:
            said = each.judgement
            given = _EPOCH + timedelta(microseconds=each.given_ns // 1000)
            about = (each.turn_id, each.session_id)
            words = (storable(said.name), said.value, storable(said.comment), storable(said.source))
            copy.write_row((each.feedback_id, scope, *about, *words, given))
    stored = connection.execute(named["store_judgements"]).fetchone()
    return int(stored["judgements"]) if stored else 0
