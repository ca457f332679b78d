"""Bootstrap intervals of figures of confusion matrices. Whole components are drawn, never single items: answers of one
conversation are correlated, and correlated items contain less information than independent ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

RESAMPLES = 1_000
LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """The central ``LEVEL`` interval of a figure over resamples (percentile method, Efron 1979)."""

    low: float
    high: float


def intervals(
    component: Any, cell: Any, cells: int, figures: dict[str, Callable[[Any], Any]], *, seed: int = 0
) -> dict[str, Interval | None]:
    """An interval for each figure.

    ``component`` and ``cell`` are integer arrays of one length, an item each: its component, and its place in a list of
    ``cells`` counts. A figure takes counts of shape [resamples, cells] and gives one value for each, NaN where it is
    not defined; None is returned where most are not. Equal arguments give equal intervals.
    """
    import numpy as np

    component, cell = np.asarray(component, np.int64), np.asarray(cell, np.int64)
    if not len(cell):
        return dict.fromkeys(figures)
    _, component = np.unique(component, return_inverse=True)
    # Components with the same counts are drawn together: there are few such kinds, however many components there are.
    pairs, times = np.unique(component * cells + cell, return_counts=True)
    counts = _kinds(pairs // cells, pairs % cells, times, cells)
    rng = np.random.default_rng(seed)
    total = int(counts.weights.sum())
    drawn = rng.multinomial(total, counts.weights / total, size=RESAMPLES)
    resampled = drawn @ counts.kinds
    found: dict[str, Interval | None] = {}
    for name, figure in figures.items():
        with np.errstate(all="ignore"):
            values = np.asarray(figure(resampled), float)
        values = values[np.isfinite(values)]
        edge = (1.0 - LEVEL) / 2.0
        found[name] = None
        if len(values) * 2 > RESAMPLES:
            low, high = np.quantile(values, [edge, 1.0 - edge])
            found[name] = Interval(float(low), float(high))
    return found


@dataclass(frozen=True, slots=True)
class _Kinds:
    kinds: Any  # [kinds, cells]
    weights: Any  # how many components are of each kind


def _kinds(component: Any, cell: Any, times: Any, cells: int) -> _Kinds:
    import numpy as np

    sizes = np.bincount(component, minlength=int(component[-1]) + 1)
    # Most components have one filled cell: those are distinguished by (cell, count) alone.
    alone = sizes[component] == 1
    single, weight = np.unique(np.stack([cell[alone], times[alone]], axis=1), axis=0, return_counts=True)
    kinds = np.zeros((len(single), cells), np.int64)
    kinds[np.arange(len(single)), single[:, 0]] = single[:, 1]
    rest, place = np.unique(component[~alone], return_inverse=True)
    if not len(rest):
        return _Kinds(kinds, weight)
    table = np.zeros((len(rest), cells), np.int64)
    table[place, cell[~alone]] = times[~alone]
    several, more = np.unique(table, axis=0, return_counts=True)
    return _Kinds(np.concatenate([kinds, several]), np.concatenate([weight, more]))


def kappas(counts: Any, cost: Any) -> Any:
    """Cohen's kappa of matrices, shape [n, k * k], with the weights of disagreement ``cost``, shape [k, k]."""
    import numpy as np

    cost = np.asarray(cost, float)
    size = len(cost)
    tables = np.asarray(counts, float).reshape(-1, size, size)
    total = tables.sum(axis=(1, 2))
    observed = np.einsum("nij,ij->n", tables, cost)
    expected = np.einsum("ni,nj,ij->n", tables.sum(axis=2), tables.sum(axis=1), cost) / total
    return 1.0 - observed / np.where(expected == 0.0, np.nan, expected)


def macro_f1s(counts: Any, size: int) -> Any:
    """The mean F1 of the labels that are in each matrix, shape [n, size * size]."""
    import numpy as np

    tables = np.asarray(counts, float).reshape(-1, size, size)
    both = tables.sum(axis=2) + tables.sum(axis=1)
    hits = np.diagonal(tables, axis1=1, axis2=2)
    return np.nanmean(np.where(both > 0, 2.0 * hits / np.where(both == 0, 1.0, both), np.nan), axis=1)


def f1s(counts: Any, size: int, label: int) -> Any:
    """The F1 of one label in each matrix, shape [n, size * size]."""
    import numpy as np

    tables = np.asarray(counts, float).reshape(-1, size, size)
    both = tables.sum(axis=2)[:, label] + tables.sum(axis=1)[:, label]
    return 2.0 * tables[:, label, label] / np.where(both == 0.0, np.nan, both)
