"""The review queue in the truth: its items, and the random samples that they are drawn for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from regraft.domain.evaluation.review_queue import QueueFilter, QueueItem
from regraft.infra.postgres.pool import Connection
from regraft.infra.queries import queries

_SQL = queries("postgres/evaluation/queue")
_COLUMNS = (
    *("item_id", "kind", "subject_id", "session_id", "theme", "cluster_id", "category", "anchor_turn_id", "node_a"),
    *("node_b", "turn_a", "turn_b", "share", "priority", "draw", "needed"),
)
_COPY = f"COPY staged_item ({', '.join(_COLUMNS)}) FROM STDIN".encode()

Record = dict[str, Any]


def rows(connection: Connection, name: str, **parameters: Any) -> list[Record]:
    """The rows of a query."""
    return connection.execute(_SQL[name], parameters or None).fetchall()


def save_sample(
    connection: Connection, scope: str, kind: str, seed: int, rate: float, population: int, now: datetime
) -> None:
    """Record the rate of a random sample; it never falls."""
    values = {"scope": scope, "kind": kind, "seed": seed, "rate": rate, "population": population, "now": now}
    connection.execute(_SQL["save_sample"], values)


def save_items(connection: Connection, items: Sequence[QueueItem], now: datetime) -> int:
    """Add items, and change open ones that are there; how many are new."""
    connection.execute(_SQL["stage"])
    with connection.cursor().copy(_COPY) as copy:
        for each in items:
            candidate, sides = each.candidate, each.candidate.sides
            copy.write_row(
                (
                    *(each.item_id, candidate.kind, candidate.subject_id, candidate.session_id),
                    *candidate.stratum,
                    *((sides.anchor_turn_id, sides.node_a, sides.node_b) if sides else (None, None, None)),
                    *((sides.turn_a, sides.turn_b) if sides else (None, None)),
                    *(each.share, candidate.priority, each.draw, each.needed),
                )
            )
    saved = connection.execute(_SQL["save_items"], {"now": now}).fetchall()
    connection.execute("DROP TABLE staged_item")
    connection.execute(_SQL["settle_judged"], {"items": [row["item_id"] for row in saved]})
    return sum(row["added"] for row in saved)


def widen_samples(connection: Connection) -> int:
    """Items whose draw is below a rate that rose are in its random sample now; how many."""
    return connection.execute(_SQL["widen_samples"]).rowcount


def close_gone(connection: Connection, kinds: Sequence[str], present: Sequence[UUID], now: datetime) -> int:
    """Close open items of subjects that are not present; how many."""
    values = {"kinds": list(kinds), "present": list(present), "now": now}
    return connection.execute(_SQL["close_gone"], values).rowcount


def items(
    connection: Connection,
    wanted: QueueFilter,
    *,
    scope: str | None,
    share: str | None,
    state: str,
    limit: int,
    blind: bool,
) -> list[Record]:
    """Items by their place; ``state`` is open, closed, leased, skipped, flagged or all."""
    values = {**filter_values(wanted), "scope": scope, "share": share, "state": state, "limit": limit, "blind": blind}
    return rows(connection, "items", **values)


def requeue(connection: Connection, wanted: Sequence[UUID], more: int) -> list[UUID]:
    """Open items again and ask for ``more`` people; which of them."""
    return [row["item_id"] for row in rows(connection, "requeue", items=list(wanted), more=more)]


def filter_values(wanted: QueueFilter) -> Record:
    """A filter as parameters of queries."""
    return {
        "kind": wanted.kind,
        "theme": wanted.theme,
        "session_id": wanted.session_id,
        "cluster_id": wanted.cluster_id,
        "category": wanted.category,
    }
