"""Which paths and pairs people should judge next: a random sample for estimates, and the most useful of each stratum.

The random sample has permanent random numbers: each subject's draw, from 0 to 1, follows from its id and a seed, and
the subject is in the sample when its draw is below the rate. So the probability of being in it is the rate, whatever
was queued or judged before; raising the rate only adds to it; and a label that was made for another reason counts too.
(E. Ohlsson, Coordination of samples using permanent random numbers, in Business Survey Methods, 1995.)
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple
from uuid import UUID

from regraft.domain.ids import digest, uuid_of

KINDS = ("unit", "pair")
SHARES = ("priority", "random", "gold")
SKIP_REASONS = ("unclear", "too_long", "not_qualified", "broken", "sensitive", "other")
MAX_SKIPS = 3  # an item that so many would not judge is closed
PIVOT_FIRST = 100.0  # what being at a pivot adds to a priority: more than uncertainty and leaves can


class Stratum(NamedTuple):
    """What an item is one of: cluster and category are None where none is known."""

    theme: str
    cluster_id: str | None = None
    category: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PairSides:
    """The two answers of a pair; node ``a`` is the smaller id."""

    anchor_turn_id: UUID
    node_a: UUID
    node_b: UUID
    turn_a: UUID
    turn_b: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A path or a pair that may be judged. ``uncertainty`` is 0 to 1, ``leaves`` how many paths hang on it, and
    ``pivot`` the weight of the pivot that it is at, 0 where it is at none."""

    kind: str
    subject_id: UUID
    session_id: UUID
    scope: str
    stratum: Stratum
    uncertainty: float
    leaves: int
    pivot: float = 0.0
    sides: PairSides | None = None

    @property
    def priority(self) -> float:
        """Uncertainty times the logarithm of the dependent paths, pivots before everything else."""
        useful = min(1.0, max(0.0, self.uncertainty)) * math.log2(1 + max(1, self.leaves))
        return useful + (PIVOT_FIRST + self.pivot if self.pivot > 0 else 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueItem:
    """A candidate with its place in the queue. ``draw`` is its permanent random number, ``needed`` how many people
    should judge it."""

    item_id: UUID
    candidate: Candidate
    share: str
    draw: float
    needed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueFilter:
    """Which items a reviewer wants; None is any. ``cluster_id`` may be a prefix of an id."""

    kind: str | None = None
    theme: str | None = None
    session_id: UUID | None = None
    cluster_id: str | None = None
    category: str | None = None


def item_id(kind: str, subject_id: UUID) -> UUID:
    """The id of the item for a subject."""
    return uuid_of(digest(b"review item", kind.encode(), subject_id.bytes))


def permanent_draw(seed: int, item: UUID) -> float:
    """The permanent random number of an item: uniform from 0 to below 1."""
    return int.from_bytes(digest(b"review sample", str(seed).encode(), item.bytes)[:7], "big") / (1 << 56)


def needed_reviewers(seed: int, item: UUID, reviewers: int, overlap: float) -> int:
    """How many people should judge an item: ``reviewers``, and one more for a share ``overlap`` of all items."""
    drawn = int.from_bytes(digest(b"review overlap", str(seed).encode(), item.bytes)[:7], "big") / (1 << 56)
    return reviewers + (1 if drawn < overlap else 0)


def sampling_rate(population: int, queued: int, random_share: float, rate: float) -> float:
    """The rate of the random sample that makes ``random_share`` of ``queued`` items random.

    It never falls below ``rate``, that of before.
    """
    if population <= 0:
        return rate
    return max(rate, min(1.0, random_share * min(queued, population) / population))


def allocate(sizes: Mapping[Stratum, int], total: int) -> dict[Stratum, int]:
    """How many of ``total`` each stratum gets: in proportion to the square root of its size, so that small ones are not
    lost, and never more than it has. Largest remainders get what rounding leaves.

    (Power allocation: M. Bankier, Power allocations, The American Statistician 42, 1988.)
    """
    given = dict.fromkeys(sizes, 0)
    left = min(total, sum(sizes.values()))
    while left > 0:
        roots = {each: math.sqrt(sizes[each]) for each in sizes if given[each] < sizes[each]}
        whole = sum(roots.values())
        wanted = {each: left * root / whole for each, root in roots.items()}
        gained = 0
        for each, amount in wanted.items():
            more = min(int(amount), sizes[each] - given[each])
            given[each] += more
            gained += more
        left -= gained
        if gained == 0:
            for each in sorted(wanted, key=lambda one: (-wanted[one], _key(one)))[:left]:
                given[each] += 1
                left -= 1
    return given


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """A candidate that belongs in the queue: in the ``random`` sample, or by its ``priority``; and its draw."""

    candidate: Candidate
    share: Literal["random", "priority"]
    draw: float


def choose(
    candidates: Sequence[Candidate], wanted: int, *, seed: int, rates: Mapping[tuple[str, str], float]
) -> list[Chosen]:
    """The candidates that belong in the queue; at most ``wanted`` by priority.

    Every one whose draw is below the rate of its scope and kind is in the random sample; those do not count against
    ``wanted``. The rest is allocated over the strata, and each stratum gives those of the highest priority.
    """
    chosen: list[Chosen] = []
    strata: dict[Stratum, list[tuple[Candidate, float]]] = defaultdict(list)
    for each in candidates:
        draw = permanent_draw(seed, item_id(each.kind, each.subject_id))
        if draw < rates.get((each.scope, each.kind), 0.0):
            chosen.append(Chosen(candidate=each, share="random", draw=draw))
        else:
            strata[each.stratum].append((each, draw))
    shares = allocate({stratum: len(those) for stratum, those in strata.items()}, max(0, wanted))
    for stratum, those in strata.items():
        those.sort(key=lambda one: (-one[0].priority, one[1]))
        chosen += [Chosen(candidate=each, share="priority", draw=draw) for each, draw in those[: shares[stratum]]]
    return chosen


def items_of(chosen: Iterable[Chosen], *, seed: int, reviewers: int, overlap: float) -> list[QueueItem]:
    """Items for what was chosen."""
    found = []
    for one in chosen:
        identity = item_id(one.candidate.kind, one.candidate.subject_id)
        needed = needed_reviewers(seed, identity, reviewers, overlap)
        found.append(
            QueueItem(item_id=identity, candidate=one.candidate, share=one.share, draw=one.draw, needed=needed)
        )
    return found


def shares_in_order(chance: float, gold_share: float, random_share: float) -> tuple[str, ...]:
    """In which order a reviewer's next item is searched among the shares, by a ``chance`` from 0 to 1. Gold items are
    searched for only at their turn: without other items there is nothing to watch."""
    if chance < gold_share:
        return ("gold", "priority", "random")
    if chance < gold_share + random_share:
        return ("random", "priority")
    return ("priority", "random")


def _key(stratum: Stratum) -> tuple[str, str, str]:
    return stratum.theme, stratum.cluster_id or "", stratum.category or ""
