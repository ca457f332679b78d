"""Paths that somebody selected, put first in the review queue: without the workbench, from the graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from regraft.domain.evaluation.review_queue import Candidate, QueueItem, Stratum, item_id, permanent_draw
from regraft.flows.evaluation.desk import ReviewDesk
from regraft.flows.evaluation.review import new_id
from regraft.infra.postgres.evaluation import leases
from regraft.infra.postgres.evaluation import queue as store

SELECTED = 1_000.0  # the weight of a pivot that a selection has: it comes before every pivot


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """What became of a selection: new items, items that were there and ask more people now, and nodes that end no path
    that the reviewer may see."""

    queued: int
    again: int
    unknown: int


def queue_units(
    desk: ReviewDesk, nodes: Sequence[UUID], *, reviewers: int = 1, now: datetime | None = None
) -> Selected:
    """Put the paths that end with these nodes first in the queue, each for so many reviewers."""
    now = now or datetime.now(UTC)
    with desk.transaction() as connection:
        found = store.rows(connection, "selected_units", nodes=list(nodes), scope=desk.scope)
        seeds = [row["seed"] for row in store.rows(connection, "samples")]
        known = [row["item_id"] for row in found if row["item_id"] is not None]
        leases.lock(connection, known)
        store.requeue(connection, known, reviewers)
        store.rows(connection, "prefer", items=known, priority=SELECTED)
        items = []
        for row in found:
            if row["item_id"] is not None:
                continue
            identity = item_id("unit", row["node_id"])
            candidate = Candidate(
                kind="unit",
                subject_id=row["node_id"],
                session_id=row["session_id"],
                scope=row["scope"],
                stratum=Stratum(row["theme"]),
                uncertainty=1.0,
                leaves=1,
                pivot=SELECTED,
            )
            draw = permanent_draw(seeds[0] if seeds else 0, identity)
            items.append(
                QueueItem(item_id=identity, candidate=candidate, share="priority", draw=draw, needed=reviewers)
            )
        added = store.save_items(connection, items, now)
        for identity in [*known, *(each.item_id for each in items)]:
            leases.add_act(connection, new_id(), "requeued", item_id=identity, reviewer=desk.reviewer, at=now)
    return Selected(queued=added, again=len(known), unknown=len(set(nodes)) - len(found))
