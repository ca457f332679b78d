"""The quarantine in PostgreSQL: calls that could not be read, and calls that wait for another."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from regraft.infra.postgres.capture.inbox import storable
from regraft.infra.postgres.pool import Connection
from regraft.infra.queries import queries

_SQL = queries("postgres/capture/quarantine")


@dataclass(frozen=True, slots=True)
class QuarantinedCall:
    """One call in quarantine, locked by this transaction."""

    event_id: UUID
    event: bytes
    received_at: datetime


@dataclass(slots=True)
class RetryOutcome:
    """The outcome of calls that were retried."""

    resolved: list[UUID] = field(default_factory=list)
    postponed: list[tuple[UUID, str, str]] = field(default_factory=list)
    refused: list[tuple[UUID, str]] = field(default_factory=list)


def any_waits(connection: Connection) -> bool:
    """Whether any call waits for another."""
    row = connection.execute(_SQL["any_waits"]).fetchone()
    return bool(row and row["waits"])


def waiting_for(connection: Connection, keys: Collection[str], limit: int) -> list[QuarantinedCall]:
    """Calls that wait for one of these."""
    names = [storable(key) for key in keys]
    return _kept(connection, "waiting_for", {"keys": names, "limit": limit})


def due(connection: Connection, limit: int) -> list[QuarantinedCall]:
    """Waiting calls whose time for another try has come."""
    return _kept(connection, "due", {"limit": limit})


def unresolved(connection: Connection, after: UUID, limit: int, *, everything: bool) -> list[QuarantinedCall]:
    """Calls in quarantine behind an id, in the order of ids: all of them, or only those that wait."""
    return _kept(connection, "unresolved", {"after": after, "limit": limit, "everything": everything})


def any_slow(connection: Connection) -> bool:
    """Whether any call is to be read with more time."""
    row = connection.execute(_SQL["any_slow"]).fetchone()
    return bool(row and row["slow"])


def take_slow(connection: Connection) -> QuarantinedCall | None:
    """The next call that is to be read with more time; not locked once the transaction ends."""
    kept = _kept(connection, "take_slow", {})
    return kept[0] if kept else None


def _kept(connection: Connection, name: str, given: dict[str, Any]) -> list[QuarantinedCall]:
    rows = connection.execute(_SQL[name], given).fetchall()
    return [QuarantinedCall(row["event_id"], bytes(row["event"]), row["received_at"]) for row in rows]


def settle(connection: Connection, outcome: RetryOutcome) -> None:
    """Store the results of retried calls; one that still waited at first may be stored by now."""
    named = _SQL
    if outcome.postponed:
        events, reasons, keys = zip(*outcome.postponed, strict=True)
        given = {"events": list(events), "reasons": list(map(storable, reasons)), "keys": list(map(storable, keys))}
        connection.execute(named["postpone"], given)
    if outcome.resolved:
        connection.execute(named["resolve"], {"events": outcome.resolved})
    if outcome.refused:
        refused, whys = zip(*outcome.refused, strict=True)
        connection.execute(named["refuse"], {"events": list(refused), "reasons": list(map(storable, whys))})


def dismiss(connection: Connection, events: Collection[UUID] | None, because: str) -> int:
    """Count these calls, or all that cannot be read, no longer. Return how many that are."""
    given = {"events": None if events is None else list(events), "because": storable(because)}
    return connection.execute(_SQL["dismiss"], given).rowcount


def with_start(connection: Connection, start: str) -> list[UUID]:
    """Calls that cannot be read, by the start of their id; two at most."""
    return [row["event_id"] for row in connection.execute(_SQL["resolve_id"], {"start": start}).fetchall()]


def listing(
    connection: Connection, limit: int, *, waiting: bool = False, dismissed: bool = False
) -> list[dict[str, Any]]:
    """What is in quarantine, or was dismissed from it, the latest first; the calls themselves are not read."""
    given = {"limit": limit, "waiting": waiting, "dismissed": dismissed}
    return connection.execute(_SQL["listing"], given).fetchall()


def reasons(connection: Connection) -> dict[str, int]:
    """How many calls are in quarantine, by the code that their reason begins with."""
    return {row["code"]: row["calls"] for row in connection.execute(_SQL["reasons"]).fetchall()}
