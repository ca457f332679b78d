"""How many rows of each stratum are taken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from regraft.domain.datasets.kinds.kind import Limit, PlannedRow


class Quota:
    """Counts rows against limits, when they are taken in the order of their rank."""

    def __init__(self, limits: Sequence[Limit]) -> None:
        self._limits = [(limit, Counter[str | None]()) for limit in limits if limit.rows]

    def has_room(self, planned: PlannedRow) -> bool:
        """Whether a row more of its strata is within every limit."""
        return all(taken[limit.stratum(planned)] < limit.rows for limit, taken in self._limits)

    def take(self, planned: PlannedRow) -> None:
        """Count a row that is kept."""
        for limit, taken in self._limits:
            taken[limit.stratum(planned)] += 1
