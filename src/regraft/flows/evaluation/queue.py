"""The review queue: fill it from the workbench, see how full it is, and open items again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import randbits
from typing import Any
from uuid import UUID

from regraft.domain.errors import NotFoundError, UsageError
from regraft.domain.evaluation.review_queue import (
    KINDS,
    Candidate,
    PairSides,
    QueueFilter,
    QueueItem,
    Stratum,
    choose,
    items_of,
    needed_reviewers,
    sampling_rate,
)
from regraft.domain.evaluation.trajectory import printable
from regraft.flows.evaluation.pairs import propose_pairs
from regraft.flows.evaluation.review import new_id
from regraft.flows.evaluation.trajectories import materialise_units
from regraft.infra.config.review import ReviewSection
from regraft.infra.duckdb.evaluation.candidates import ReviewCandidates
from regraft.infra.postgres.evaluation import leases
from regraft.infra.postgres.evaluation import queue as store
from regraft.infra.postgres.pool import Connection, Source, reading_from, transaction

STATES = ("open", "closed", "leased", "skipped", "flagged", "all")
_BATCH = 1_000  # items in one transaction: reviewers pass over items that are locked
_SIDES = ("anchor_turn_id", "node_a", "node_b", "turn_a", "turn_b")


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSize:
    """How full the queue should be: ``size`` open items of each kind, judged by ``reviewers`` people each and a share
    ``overlap`` of them by one more; ``random_share`` of all items is a random sample."""

    size: int = 500
    reviewers: int = 1
    overlap: float = 0.2
    random_share: float = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """What filling did: candidates seen, items added, items of subjects that are gone, and open items now."""

    candidates: int
    added: int
    gone: int
    open: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareCount:
    """Items of a tenant, kind, theme and share; ``judgements`` and ``leased`` count people, ``oldest_open`` is when the
    oldest open one was queued."""

    scope: str
    kind: str
    theme: str
    share: str
    items: int
    open: int
    complete: int
    skipped: int
    judgements: int
    leased: int
    oldest_open: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """An item of the queue, with how far it is."""

    item_id: UUID
    kind: str
    subject_id: UUID
    session_id: UUID
    scope: str
    theme: str
    cluster_id: str | None
    category: str | None
    share: str
    priority: float
    place: float
    needed: int
    done: int
    leased: int
    skips: int
    flags: int
    created_at: datetime
    closed_at: datetime | None
    closed_because: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What a reviewer did with an item."""

    act_id: UUID
    act: str
    reviewer: str
    label_id: UUID | None
    reason: str | None
    note: str
    undone: bool
    at: datetime


def queue_size(review: ReviewSection) -> QueueSize:
    """What the settings say of how full the queue should be."""
    return QueueSize(
        size=review.size, reviewers=review.reviewers, overlap=review.overlap, random_share=review.random_share
    )


def fill_queue(
    dsn: str,
    workbench: Path,
    how: QueueSize,
    *,
    kinds: Sequence[str] = KINDS,
    scope: str | None = None,
    seed: int | None = None,
    refresh: bool = True,
    now: datetime | None = None,
) -> Filled:
    """Fill the queue up, change the places of what is queued, and close items whose path or pair is gone.

    ``scope``: only for this tenant. ``seed`` is for the random samples of tenants that have none yet. ``refresh``:
    measure paths and pairs first. The queue can be used meanwhile.
    """
    now = now or datetime.now(UTC)
    if refresh:
        materialise_units(dsn, workbench)
        propose_pairs(dsn, workbench)
    with transaction(dsn) as connection:
        scopes = {row["session_id"]: row["scope"] for row in store.rows(connection, "session_scopes")}
        samples = {(row["scope"], row["kind"]): row for row in store.rows(connection, "samples")}
        queued = {(row["kind"], row["subject_id"]): row for row in store.rows(connection, "queued")}
        judged = {row["subject_id"]: row["people"] for row in store.rows(connection, "judged_subjects")}
    seeds = {row["seed"] for row in samples.values()}
    drawn = next(iter(seeds)) if seeds else (randbits(31) if seed is None else seed)
    added = gone = seen = 0
    for kind in kinds:
        present = list(_candidates(ReviewCandidates(workbench), kind, scopes))
        candidates = [each for each in present if scope in (None, each.scope)]
        seen += len(candidates)
        there = [row for row in queued.values() if row["kind"] == kind and row["share"] != "gold"]
        there = [row for row in there if scope in (None, row["scope"])]
        open_items = sum(row["open"] for row in there)
        wanted = max(0, how.size - open_items)
        rates = _rates(candidates, samples, kind, len(there) + wanted, how.random_share)
        with transaction(dsn) as connection:
            for (scope, _), (rate, population) in rates.items():
                store.save_sample(connection, scope, kind, drawn, rate, population, now)
        new = [each for each in candidates if (each.kind, each.subject_id) not in queued]
        chosen = choose(
            [each for each in new if judged.get(each.subject_id, 0) < how.reviewers],
            wanted,
            seed=drawn,
            rates={key: rate for key, (rate, _) in rates.items()},
        )
        enough = [each for each in new if judged.get(each.subject_id, 0) >= how.reviewers]
        chosen += choose(enough, 0, seed=drawn, rates={key: rate for key, (rate, _) in rates.items()})
        items = items_of(chosen, seed=drawn, reviewers=how.reviewers, overlap=how.overlap)
        items += _known(candidates, queued, drawn, how)
        for start in range(0, len(items), _BATCH):
            with transaction(dsn) as connection:
                added += store.save_items(connection, items[start : start + _BATCH], now)
        with transaction(dsn) as connection:
            store.widen_samples(connection)
            gone += store.close_gone(connection, [kind], [each.subject_id for each in present], now)
    with transaction(dsn) as connection:
        leases.expire(connection, now)
        shares = store.rows(connection, "shares", scope=scope)
    return Filled(candidates=seen, added=added, gone=gone, open=sum(row["open"] for row in shares))


def queue_shares(source: Source, scope: str | None = None) -> list[ShareCount]:
    """How full the queue is, by tenant, kind, theme and share."""
    with reading_from(source) as connection:
        return [ShareCount(**row) for row in store.rows(connection, "shares", scope=scope)]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueAge:
    """Open items, those of them that wait for too long, and the one that waits longest; gold items left out."""

    open: int
    old: int
    oldest: str


def queue_age(source: Source, longest: timedelta, *, now: datetime | None = None) -> QueueAge:
    """How many items wait for longer than ``longest``."""
    with reading_from(source) as connection:
        row = store.rows(connection, "age", before=(now or datetime.now(UTC)) - longest)[0]
    return QueueAge(open=row["open"], old=row["old"], oldest=row["oldest"] or "")


def queue_items(
    source: Source,
    wanted: QueueFilter | None = None,
    *,
    scope: str | None = None,
    share: str | None = None,
    state: str = "open",
    limit: int = 50,
    blind: bool = False,
) -> list[Item]:
    """Items by their place: those that are next first. ``blind``: items of known answer look like others."""
    if state not in STATES:
        raise UsageError(f"A state is one of {', '.join(STATES)}, not {state!r}.")
    with reading_from(source) as connection:
        rows = store.items(
            connection, wanted or QueueFilter(), scope=scope, share=share, state=state, limit=limit, blind=blind
        )
    return [Item(**row) for row in rows]


def item_acts(source: Source, item: UUID) -> list[Act]:
    """What was done with an item, in order."""
    with reading_from(source) as connection:
        return [Act(**row) for row in store.rows(connection, "item_acts", item_id=item)]


def resolve_item(source: Source, text: str, scope: str | None = None) -> UUID:
    """The item whose id, or whose path or pair, begins so. Raises NotFoundError unless exactly one does."""
    with reading_from(source) as connection:
        found = store.rows(connection, "resolve_items", start=text.strip().casefold(), scope=scope)
    if len(found) != 1:
        several = "Give more of its id." if found else "`regraft queue show` lists them."
        raise NotFoundError(f"{'Several' if found else 'No'} items of the queue start with {text!r}. {several}")
    identity: UUID = found[0]["item_id"]
    return identity


def requeue(
    dsn: str, items: Sequence[UUID], by: str, *, more: int = 1, note: str = "", now: datetime | None = None
) -> int:
    """Ask ``more`` people for items, closed ones too; how many were queued again."""
    with transaction(dsn) as connection:
        return ask_again(connection, items, by, more=more, note=note, now=now)


def ask_again(
    connection: Connection,
    items: Sequence[UUID],
    by: str,
    *,
    more: int = 1,
    note: str = "",
    now: datetime | None = None,
) -> int:
    """The same in the caller's transaction."""
    now = now or datetime.now(UTC)
    leases.lock(connection, items)
    found = store.requeue(connection, items, more)
    for item in found:
        leases.add_act(connection, new_id(), "requeued", item_id=item, reviewer=by, at=now, note=printable(note))
    return len(found)


def release_leases(dsn: str, reviewer: str | None, *, now: datetime | None = None) -> int:
    """Give back what a reviewer holds, or what everyone does; how many leases ended."""
    now = now or datetime.now(UTC)
    with transaction(dsn) as connection:
        held = leases.rows(connection, "held_leases", reviewer=reviewer)
        items = sorted({row["item_id"] for row in held})
        leases.lock(connection, items)
        ended = leases.run(connection, "release", leases=[row["lease_id"] for row in held], now=now)
        leases.recount(connection, items, now)
    return ended


def _candidates(bench: ReviewCandidates, kind: str, scopes: Mapping[UUID, str]) -> Iterator[Candidate]:
    for row in bench.candidates(kind):
        scope = scopes.get(row["session_id"])
        if scope is None:  # the graph changed since the workbench was made
            continue
        yield Candidate(
            kind=kind,
            subject_id=row[f"{kind}_id"],
            session_id=row["session_id"],
            scope=scope,
            stratum=Stratum(row["theme"], row["cluster_id"], row["category"]),
            uncertainty=row["uncertainty"],
            leaves=row["leaves"],
            pivot=row["pivot"],
            sides=PairSides(**{name: row[name] for name in _SIDES}) if kind == "pair" else None,
        )


def _rates(
    candidates: Sequence[Candidate],
    samples: Mapping[tuple[str, str], Mapping[str, Any]],
    kind: str,
    queued: int,
    random_share: float,
) -> dict[tuple[str, str], tuple[float, int]]:
    """By tenant and kind: the rate of the random sample, and the population."""
    populations = Counter(each.scope for each in candidates)
    whole = sum(populations.values())
    return {
        (scope, kind): (
            sampling_rate(
                population,
                round(queued * population / whole),
                random_share,
                samples[scope, kind]["rate"] if (scope, kind) in samples else 0.0,
            ),
            population,
        )
        for scope, population in populations.items()
    }


def _known(
    candidates: Sequence[Candidate], queued: Mapping[tuple[str, UUID], Mapping[str, Any]], seed: int, how: QueueSize
) -> list[QueueItem]:
    """Items that are queued already and open, or were closed because their subject was gone: they may have another
    priority or stratum now."""
    found = []
    for each in candidates:
        row = queued.get((each.kind, each.subject_id))
        if row is None or not (row["open"] or row["closed_because"] == "gone"):
            continue
        identity = row["item_id"]  # of the id that the node had when it was queued
        found.append(
            QueueItem(
                item_id=identity,
                candidate=each,
                share=row["share"],
                draw=row["draw"],
                needed=needed_reviewers(seed, identity, how.reviewers, how.overlap),
            )
        )
    return found
