"""What stored calls say of the traces that they are in."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from regraft.infra.postgres.pool import Connection
from regraft.infra.queries import queries

_SQL = queries("postgres/capture/traces")


@dataclass(frozen=True, slots=True)
class TracedCall:
    """What the span of a call follows from. ``traceparent`` is the client's, unchanged."""

    event_id: UUID
    operation_id: UUID | None
    traceparent: str


def of_claims(connection: Connection, claims: Collection[UUID]) -> dict[UUID, TracedCall]:
    """By node or turn: the call that it is of."""
    return _by_claim(connection.execute(_SQL["of_claims"], {"claims": list(claims)}))


def of_events(connection: Connection, events: Collection[UUID]) -> dict[UUID, TracedCall]:
    """Those of these calls that began within the last hour, by their ids."""
    return _by_claim(connection.execute(_SQL["of_events"], {"events": list(events)}))


def _by_claim(rows: Iterable[Mapping[str, Any]]) -> dict[UUID, TracedCall]:
    return {row["claimed"]: TracedCall(row["event_id"], row["operation_id"], row["traceparent"]) for row in rows}
