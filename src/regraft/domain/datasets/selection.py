"""How many rows of each stratum are taken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from regraft.domain.datasets.kinds.kind import Limit, PlannedRow


@dataclass(slots=True)
class _Count:
    limit: Limit
    taken: Counter[str | None] = field(default_factory=Counter)
    offered: int = 0  # rows of the stratum that the limit is relative to

    def may_have_room(self, stratum: str | None) -> bool:
        if not self.limit.of:
            return self.taken[stratum] < self.limit.rows
        if stratum == self.limit.of:
            self.offered += 1
        return stratum in (None, self.limit.of) or self.taken[stratum] < self.limit.ratio * self.offered

    def has_room(self, stratum: str | None) -> bool:
        if not self.limit.of:
            return self.taken[stratum] < self.limit.rows
        return stratum in (None, self.limit.of) or self.taken[stratum] < self.limit.ratio * self.taken[self.limit.of]


class Quota:
    """Counts rows against limits, when they are offered and taken in the order of their rank."""

    def __init__(self, limits: Sequence[Limit]) -> None:
        self._counts = [_Count(limit) for limit in limits if limit.rows or limit.of]

    def offer(self, planned: PlannedRow) -> bool:
        """Whether a row may be within every limit, before it is known which of the rows before it are taken."""
        rooms = [
            each.may_have_room(each.limit.stratum(planned)) for each in self._counts
        ]  # each of them counts the offer
        return all(rooms)

    def has_room(self, planned: PlannedRow) -> bool:
        """Whether a row more of its strata is within every limit."""
        return all(each.has_room(each.limit.stratum(planned)) for each in self._counts)

    def take(self, planned: PlannedRow) -> None:
        """Count a row that is kept."""
        for each in self._counts:
            each.taken[each.limit.stratum(planned)] += 1
