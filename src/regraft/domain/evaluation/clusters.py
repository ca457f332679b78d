"""Clusters of trajectories over time: which cluster of a new fit is which of the last one, and when to fit again."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

from regraft.domain.ids import Digest, digest, uuid_of

Fate = Literal["kept", "split", "merged", "new", "gone"]
Assigned = Literal["fit", "nearest", "none"]

SAME = 0.3  # least Jaccard index of two clusters that are the same one
_Z = 1.96  # of a 95 % interval


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterRule:
    """How to cluster. ``min_size`` is the least number of units in a cluster; ``drift`` is by how much the share of
    units without a cluster may grow, 0 to 1, before a new fit is made."""

    min_size: int = 5
    seed: int = 0
    drift: float = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterOverlap:
    """Two clusters of two fits, in units that both fits saw: how many are in both, and in each."""

    fresh: UUID
    previous: UUID
    shared: int
    fresh_units: int
    previous_units: int
    same_layer: bool = True

    @property
    def jaccard(self) -> float:
        """Those in both over those in either, 0 to 1."""
        return self.shared / (self.fresh_units + self.previous_units - self.shared)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterMatch:
    """What became of a cluster. ``cluster_id`` is its id in the new fit, None where it is gone; ``previous_id`` is that
    of the last fit, None where it is new."""

    cluster_id: UUID | None
    previous_id: UUID | None
    jaccard: float
    fate: Fate


@dataclass(frozen=True, slots=True)
class ClusterSuccession:
    """``ids``: by the id that each new cluster would have alone, the id that it gets."""

    ids: Mapping[UUID, UUID]
    matches: tuple[ClusterMatch, ...]


def fresh_id(run: Digest, number: int) -> UUID:
    """The id of a cluster of a fit that nothing came before, by its number in the fit."""
    return uuid_of(digest(run, b"cluster", str(number).encode()))


def succession(
    fresh: Sequence[UUID],
    previous: Sequence[UUID],
    overlaps: Iterable[ClusterOverlap],
    best: Mapping[UUID, UUID],
) -> ClusterSuccession:
    """Ids for the clusters of a fit, and what became of those of the last one.

    ``best`` pairs clusters one to one (``fresh`` -> ``previous``) so that their Jaccard indexes add up to the most: a
    pair with an index of 0.3 or more is one cluster, with the previous id. Of the others, a new cluster that has at
    least half of its units from one of the same layer is split off from it, and a previous one that has at least half
    of its units in one of the same layer was merged into it.
    """
    by_pair = {(one.fresh, one.previous): one for one in overlaps}
    kept: dict[UUID, ClusterOverlap] = {}
    for new, old in best.items():
        found = by_pair.get((new, old))
        if found is not None and found.jaccard >= SAME:
            kept[new] = found
    ids = {new: kept[new].previous if new in kept else new for new in fresh}
    origins, targets = _Largest(), _Largest()
    for one in by_pair.values():
        if one.same_layer:
            origins.see(one.fresh, one, one.fresh_units)
            targets.see(one.previous, one, one.previous_units)
    matches = []
    for new in fresh:
        if new in kept:
            matches.append(
                ClusterMatch(cluster_id=ids[new], previous_id=ids[new], jaccard=kept[new].jaccard, fate="kept")
            )
        elif (origin := origins.found.get(new)) is not None:
            matches.append(
                ClusterMatch(cluster_id=new, previous_id=origin.previous, jaccard=origin.jaccard, fate="split")
            )
        else:
            matches.append(ClusterMatch(cluster_id=new, previous_id=None, jaccard=0.0, fate="new"))
    left = {found.previous for found in kept.values()}
    for old in previous:
        if old in left:
            continue
        if (target := targets.found.get(old)) is not None:
            into = ids[target.fresh]
            matches.append(ClusterMatch(cluster_id=into, previous_id=old, jaccard=target.jaccard, fate="merged"))
        else:
            matches.append(ClusterMatch(cluster_id=None, previous_id=old, jaccard=0.0, fate="gone"))
    return ClusterSuccession(ids, tuple(matches))


@dataclass(slots=True)
class _Largest:
    """For each cluster the overlap that has at least half of its units."""

    found: dict[UUID, ClusterOverlap] = field(default_factory=dict)

    def see(self, cluster: UUID, overlap: ClusterOverlap, units: int) -> None:
        """Consider one overlap of a cluster of so many units."""
        known = self.found.get(cluster)
        more = known is None or (overlap.shared, overlap.previous.int) > (known.shared, known.previous.int)
        if 2 * overlap.shared >= units and more:
            self.found[cluster] = overlap


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterDrift:
    """How well a fit still describes the units. ``later`` units came after it, ``unassigned`` of them fit nowhere."""

    units: int
    noise: int
    later: int
    unassigned: int

    @property
    def share(self) -> float:
        """Of the units that came later, how many fit nowhere, 0 to 1."""
        return self.unassigned / self.later if self.later else 0.0

    @property
    def noise_share(self) -> float:
        """Of the units of the fit, how many are noise, 0 to 1. 0 where it found no clusters: any would be better."""
        return self.noise / self.units if self.noise < self.units else 0.0

    def calls_for_a_fit(self, rule: ClusterRule) -> bool:
        """Whether a new fit is due: units fit nowhere more often than noise and ``rule.drift`` explain, or as many
        units came later as were in the fit.

        A share counts by the lower end of its 95 % interval (Wilson 1927, "Probable inference, the law of succession,
        and statistical inference"), so that a few strangers are no drift.
        """
        if self.later and self.later >= self.units:
            return True
        return lower_bound(self.unassigned, self.later) > self.noise_share + rule.drift


def lower_bound(found: int, of: int) -> float:
    """The lower end of Wilson's 95 % interval of a share, 0 to 1."""
    if not of:
        return 0.0
    share, spread = found / of, _Z * _Z / of
    middle = share + spread / 2
    return max(0.0, (middle - _Z * math.sqrt(share * (1 - share) / of + spread / of / 4)) / (1 + spread))


def name_of_words(words: Sequence[str]) -> str:
    """The name of a cluster without its own name: its three most telling words."""
    return ", ".join(words[:3]) or "no telling words"
