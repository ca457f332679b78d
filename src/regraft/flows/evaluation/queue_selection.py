"""Paths and pairs that a person selected, put first in the review queue, and items that are asked for again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from regraft.domain.errors import ConflictError
from regraft.domain.evaluation.review_queue import (
    Candidate,
    PairSides,
    QueueItem,
    Stratum,
    item_id,
    permanent_draw,
)
from regraft.flows.evaluation.desk import ReviewDesk
from regraft.flows.evaluation.queue import ask_again, resolve_item
from regraft.flows.evaluation.review import new_id
from regraft.infra.duckdb.evaluation.workbench import Workbench
from regraft.infra.postgres.evaluation import leases
from regraft.infra.postgres.evaluation import queue as store
from regraft.infra.postgres.pool import Connection

SELECTED = 1_000.0  # the weight of a pivot that a selection has: it comes before every pivot


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """The result of a selection: new items, existing items that now ask more people, and nodes that are not a path
    or pair that the reviewer may see."""

    queued: int
    again: int
    unknown: int


def queue_units(
    desk: ReviewDesk, nodes: Sequence[UUID], *, reviewers: int = 1, now: datetime | None = None
) -> Selected:
    """Put the paths that end with these nodes first in the queue, each for so many reviewers."""
    with desk.transaction() as connection:
        found = store.rows(connection, "selected_units", nodes=list(nodes), scope=desk.scope)
        known = [row["item_id"] for row in found if row["item_id"] is not None]
        new = [
            _candidate("unit", row["node_id"], row["session_id"], row["scope"], row["theme"])
            for row in found
            if row["item_id"] is None
        ]
        added = _put_first(connection, desk.reviewer, known, new, reviewers, now or datetime.now(UTC))
    return Selected(queued=added, again=len(known), unknown=len(set(nodes)) - len(found))


def queue_pairs(
    desk: ReviewDesk,
    workbench: Path,
    pairs: Sequence[tuple[UUID, UUID]],
    *,
    reviewers: int = 1,
    now: datetime | None = None,
) -> Selected:
    """Put the pairs of two answers each, by their nodes, first in the queue. Only those that the workbench proposes."""
    by_id = {row["pair_id"]: row for row in Workbench(workbench).pairs_between(pairs)}
    sessions = [row["session_id"] for row in by_id.values()]
    with desk.transaction() as connection:
        found = store.rows(connection, "selected_pairs", pairs=list(by_id), sessions=sessions, scope=desk.scope)
        known = [row["item_id"] for row in found if row["item_id"] is not None]
        new = []
        for row in found:
            if row["item_id"] is None:
                pair = by_id[row["pair_id"]]
                sides = PairSides(**{name: pair[name] for name in PairSides.__slots__})
                new.append(
                    _candidate("pair", row["pair_id"], pair["session_id"], row["scope"], pair["theme"] or "", sides)
                )
        added = _put_first(connection, desk.reviewer, known, new, reviewers, now or datetime.now(UTC))
    unknown = len({(min(each), max(each)) for each in pairs}) - len(found)
    return Selected(queued=added, again=len(known), unknown=unknown)


def queue_again(desk: ReviewDesk, item: str, *, more: int = 1, note: str = "") -> UUID:
    """Open an item again for ``more`` people, by a prefix of its id, or of its path's or pair's. Raises
    NotFoundError, and ConflictError for what was erased."""
    with desk.transaction() as connection:
        found = resolve_item(connection, item, desk.scope)
        if not ask_again(connection, [found], desk.reviewer, more=more, note=note):
            raise ConflictError("What this item is about was erased.")
    return found


def _candidate(
    kind: str, subject_id: UUID, session_id: UUID, scope: str, theme: str, sides: PairSides | None = None
) -> Candidate:
    return Candidate(
        kind=kind,
        subject_id=subject_id,
        session_id=session_id,
        scope=scope,
        stratum=Stratum(theme),
        uncertainty=1.0,
        leaves=1,
        pivot=SELECTED,
        sides=sides,
    )


def _put_first(
    connection: Connection, by: str, known: Sequence[UUID], new: Sequence[Candidate], reviewers: int, now: datetime
) -> int:
    """Ask for known items again, and add new ones; how many were added."""
    seeds = [row["seed"] for row in store.rows(connection, "samples")]
    leases.lock(connection, known)
    store.requeue(connection, known, reviewers)
    store.rows(connection, "prefer", items=list(known), priority=SELECTED)
    items = []
    for candidate in new:
        identity = item_id(candidate.kind, candidate.subject_id)
        draw = permanent_draw(seeds[0] if seeds else 0, identity)
        items.append(QueueItem(item_id=identity, candidate=candidate, share="priority", draw=draw, needed=reviewers))
    added = store.save_items(connection, items, now)
    for identity in [*known, *(each.item_id for each in items)]:
        leases.add_act(connection, new_id(), "requeued", item_id=identity, reviewer=by, at=now)
    return added
