"""The bootstrap interval of Krippendorff's alpha. Whole components of subjects are drawn."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from regraft.domain.evaluation.alpha import Level, Pattern, Value
from regraft.infra.statistics.bootstrap import Interval, intervals


def alpha_interval(
    components: Sequence[Hashable], patterns: Sequence[Pattern], domain: Sequence[Value], level: Level, *, seed: int = 0
) -> Interval | None:
    """The interval of alpha over subjects, each with its component and how often each value of the domain was given to
    it. None where most resamples have no alpha."""
    import numpy as np

    known = sorted(set(patterns))
    if not known:
        return None
    place = {pattern: number for number, pattern in enumerate(known)}
    number = {component: number for number, component in enumerate(dict.fromkeys(components))}
    cells = np.array([place[each] for each in patterns])
    size = len(domain)
    coincidences = np.zeros((len(known), size * size))
    for row, pattern in enumerate(known):
        counts = np.array(pattern, float)
        if counts.sum() >= 2:
            pairs = np.outer(counts, counts) - np.diag(counts)
            coincidences[row] = (pairs / (counts.sum() - 1)).ravel()

    def alphas(drawn: Any) -> Any:
        observed = (drawn @ coincidences).reshape(-1, size, size)
        totals = observed.sum(axis=2)
        distances = _distances(totals, domain, level)
        found = (observed * distances).sum(axis=(1, 2))
        expected = (totals[:, :, None] * totals[:, None, :] * distances).sum(axis=(1, 2))
        return 1.0 - (totals.sum(axis=1) - 1.0) * found / np.where(expected > 0, expected, np.nan)

    of = np.array([number[each] for each in components])
    return intervals(of, cells, len(known), {"alpha": alphas}, seed=seed)["alpha"]


def _distances(totals: Any, domain: Sequence[Value], level: Level) -> Any:
    """Squared differences by resample: [resamples, values, values]."""
    import numpy as np

    size = len(domain)
    if level == "nominal":
        return np.broadcast_to(1.0 - np.eye(size), (len(totals), size, size))
    if level == "interval":
        values = np.array([float(value) for value in domain])
        return np.broadcast_to((values[:, None] - values[None, :]) ** 2, (len(totals), size, size))
    middle = np.cumsum(totals, axis=1) - totals / 2  # the mean rank of each value
    return (middle[:, :, None] - middle[:, None, :]) ** 2
