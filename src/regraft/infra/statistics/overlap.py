"""How the clusters of two fits overlap, and which pairs of them are most alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

Counts: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]

_SAME_LAYER = 1e-6  # added to the Jaccard index of clusters of one layer: it decides between equal ones


@dataclass(frozen=True, slots=True)
class Overlaps:
    """``shared`` counts, int64 (fresh clusters, previous clusters); ``fresh`` and ``previous`` count their units."""

    shared: Counts
    fresh: Counts
    previous: Counts


def overlaps_of(fresh: Counts, previous: Counts, fresh_clusters: int, previous_clusters: int) -> Overlaps:
    """Overlaps over n units: ``fresh`` and ``previous`` are int64 (n, layers) of the numbers of clusters, numbered over
    all layers of a fit, -1 where a unit is in none."""
    from scipy.sparse import csr_matrix

    def incidence(numbers: Counts, clusters: int) -> Any:
        rows, layers = np.nonzero(numbers >= 0)
        ones = np.ones(len(rows), dtype=np.int64)
        return csr_matrix((ones, (rows, numbers[rows, layers])), shape=(len(numbers), clusters))

    ours, theirs = incidence(fresh, fresh_clusters), incidence(previous, previous_clusters)
    return Overlaps(
        np.asarray((ours.T @ theirs).todense(), dtype=np.int64),
        np.asarray(ours.sum(axis=0), dtype=np.int64).ravel(),
        np.asarray(theirs.sum(axis=0), dtype=np.int64).ravel(),
    )


def best_pairs(overlaps: Overlaps, fresh_layers: Counts, previous_layers: Counts) -> list[tuple[int, int]]:
    """Pairs of one fresh and one previous cluster, each in at most one, whose Jaccard indexes add up to the most (Kuhn
    1955, "The Hungarian method for the assignment problem"). Layers decide between equal ones."""
    from scipy.optimize import linear_sum_assignment

    either = overlaps.fresh[:, None] + overlaps.previous[None, :] - overlaps.shared
    alike = overlaps.shared / np.maximum(either, 1)
    alike = alike + _SAME_LAYER * (fresh_layers[:, None] == previous_layers[None, :])
    rows, columns = linear_sum_assignment(alike, maximize=True)
    return [(int(row), int(column)) for row, column in zip(rows, columns, strict=True) if overlaps.shared[row, column]]
