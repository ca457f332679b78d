"""Leases of review items in the truth, and what reviewers did with them.

An item is always locked before its leases, and several items in the order of their ids, so nothing waits in a circle.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from regraft.domain.evaluation.review_queue import MAX_SKIPS, QueueFilter
from regraft.infra.postgres.evaluation.queue import filter_values
from regraft.infra.postgres.pool import Connection
from regraft.infra.queries import queries

_SQL = queries("postgres/evaluation/leases")

Record = dict[str, Any]


def rows(connection: Connection, name: str, **parameters: Any) -> list[Record]:
    """The rows of a query."""
    return connection.execute(_SQL[name], parameters, prepare=False).fetchall()


def run(connection: Connection, name: str, **parameters: Any) -> int:
    """Run a statement; how many rows it changed."""
    return connection.execute(_SQL[name], parameters).rowcount


def settle(
    connection: Connection, items: Sequence[UUID], reviewer: str, label_id: UUID, now: datetime, *, counts: bool = True
) -> None:
    """A reviewer judged locked items by their subject; with ``counts`` they need not judge them again."""
    if items and counts:
        values = {"items": list(items), "reviewer": reviewer, "label_id": label_id, "now": now}
        run(connection, "settle_held", **values)
        run(connection, "settle", **values)
    recount(connection, items, now)


def begin_claim(connection: Connection, reviewer: str, now: datetime) -> bool:
    """Begin a claim of a reviewer, who makes one at a time; whether a lease of anyone has run out."""
    return is_true(connection, "begin_claim", reviewer=reviewer, now=now)


def expire(connection: Connection, now: datetime) -> int:
    """End leases that have run out and give their items back; how many ran out."""
    found = rows(connection, "expired", now=now)
    if not found:
        return 0
    items = sorted({row["item_id"] for row in found})
    lock(connection, items)
    ended = run(connection, "expire", leases=[row["lease_id"] for row in found], now=now)
    recount(connection, items, now)
    return ended


def claim(
    connection: Connection,
    wanted: QueueFilter,
    *,
    scope: str | None,
    share: str,
    reviewer: str,
    lease_id: UUID,
    shown_first: str,
    now: datetime,
    expires_at: datetime,
) -> Record | None:
    """Give the reviewer the next item of a share: the item and its lease, None when there is none."""
    # Parameters are folded into the plan: a filter that is not given costs nothing.
    found = connection.execute(
        _SQL["claim"],
        {
            **filter_values(wanted),
            "scope": scope,
            "share": share,
            "reviewer": reviewer,
            "lease_id": lease_id,
            "shown_first": shown_first,
            "now": now,
            "expires_at": expires_at,
        },
        prepare=False,
    )
    return found.fetchone()


def waiting(connection: Connection, wanted: QueueFilter, *, scope: str | None, reviewer: str) -> list[Record]:
    """By kind and theme, how many items a reviewer may be given: ``kind``, ``theme``, ``waiting``."""
    return rows(connection, "waiting", **filter_values(wanted), scope=scope, reviewer=reviewer)


def held(connection: Connection, reviewer: str, scope: str | None) -> list[Record]:
    """Leases that the reviewer holds with their items, the oldest first."""
    return rows(connection, "held", reviewer=reviewer, scope=scope)


def locked_lease(connection: Connection, lease_id: UUID, scope: str | None) -> Record | None:
    """A lease with its item, both locked; None when there is no such lease of the tenant."""
    found = rows(connection, "item_of_lease", lease_id=lease_id)
    if not found or (scope is not None and found[0]["scope"] != scope):
        return None
    lock(connection, [found[0]["item_id"]])
    return rows(connection, "lease", lease_id=lease_id)[0]


def lock(connection: Connection, items: Sequence[UUID]) -> None:
    """Lock items until the transaction ends."""
    connection.execute(_SQL["lock_items"], {"items": list(items)})


def lock_subject(connection: Connection, kind: str, subject_id: UUID) -> list[UUID]:
    """Lock the items for a subject; which they are."""
    return [row["item_id"] for row in rows(connection, "lock_subject", kind=kind, subject_id=subject_id)]


def recount(connection: Connection, items: Sequence[UUID], now: datetime) -> None:
    """Count judgements, leases and skips of locked items again, and close or open them by that."""
    if items:
        run(connection, "recount", items=list(items), max_skips=MAX_SKIPS, now=now)


def add_act(
    connection: Connection,
    act_id: UUID,
    act: str,
    *,
    item_id: UUID | None,
    reviewer: str,
    at: datetime,
    lease_id: UUID | None = None,
    label_id: UUID | None = None,
    reason: str | None = None,
    note: str = "",
) -> None:
    """Record what a reviewer did."""
    values = {"act_id": act_id, "act": act, "item_id": item_id, "lease_id": lease_id, "label_id": label_id}
    run(connection, "add_act", **values, reviewer=reviewer, reason=reason, note=note, at=at)


def is_true(connection: Connection, name: str, **parameters: Any) -> bool:
    """The one truth value that a query finds."""
    return bool(rows(connection, name, **parameters)[0]["found"])
