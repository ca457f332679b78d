"""The best candidates of each stratum."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Scored(Generic[Item]):
    """Something that can be chosen: ``score`` orders it within ``stratum``, ``id`` breaks ties."""

    id: str
    stratum: Hashable
    score: float
    item: Item


def top(candidates: Iterable[Scored[Item]], k: int) -> list[Scored[Item]]:
    """The best ``k`` of each stratum (all when ``k`` is 0), best first, ties by id."""
    taken: dict[Hashable, int] = {}
    chosen = []
    for candidate in sorted(candidates, key=lambda one: (-one.score, one.id)):
        count = taken.get(candidate.stratum, 0)
        if k == 0 or count < k:
            taken[candidate.stratum] = count + 1
            chosen.append(candidate)
    return chosen
