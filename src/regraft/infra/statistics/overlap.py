"""How the clusters of two fits overlap, and which pairs of them are most alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

_SAME_LAYER = 0.25  # added to the Jaccard index of clusters of one layer: nested layers have nearly equal ones


@dataclass(frozen=True, slots=True)
class Overlap:
    """Two clusters that have units in common, by their numbers: how many, and how many each has."""

    fresh: int
    previous: int
    shared: int
    fresh_units: int
    previous_units: int


@dataclass(frozen=True, slots=True)
class Overlaps:
    """All pairs that have units in common, and the pairs, each cluster in at most one, that are most alike."""

    pairs: tuple[Overlap, ...]
    best: tuple[tuple[int, int], ...]


def compare(
    fresh: Sequence[Sequence[int]],
    previous: Sequence[Sequence[int]],
    fresh_layers: Sequence[int],
    previous_layers: Sequence[int],
) -> Overlaps:
    """Compare two fits over n units that both saw, at least one.

    ``fresh`` and ``previous`` have for each unit the number of its cluster at each layer, -1 for none; clusters are
    numbered over all layers, and ``fresh_layers`` and ``previous_layers`` say of each which layer it is of. The best
    pairs are those whose Jaccard indexes add up to the most (Kuhn 1955, "The Hungarian method for the assignment
    problem"), where an index counts a quarter more between clusters of one layer.
    """
    from scipy.optimize import linear_sum_assignment

    ours, theirs = _incidence(fresh, len(fresh_layers)), _incidence(previous, len(previous_layers))
    shared = (ours.T @ theirs).toarray()
    fresh_units, previous_units = (np.asarray(one.sum(axis=0)).ravel() for one in (ours, theirs))
    alike = shared / np.maximum(fresh_units[:, None] + previous_units[None, :] - shared, 1)
    same = np.asarray(fresh_layers)[:, None] == np.asarray(previous_layers)[None, :]
    rows, columns = linear_sum_assignment(alike + _SAME_LAYER * same, maximize=True)
    return Overlaps(
        tuple(
            Overlap(int(one), int(other), int(shared[one, other]), int(fresh_units[one]), int(previous_units[other]))
            for one, other in zip(*np.nonzero(shared), strict=True)
        ),
        tuple((int(one), int(other)) for one, other in zip(rows, columns, strict=True) if shared[one, other]),
    )


def _incidence(numbers: Sequence[Sequence[int]], clusters: int) -> Any:
    """Which unit is in which clusters: a sparse matrix of 0 and 1 (n, clusters)."""
    from scipy.sparse import csr_matrix

    every = np.asarray(numbers, dtype=np.int64)
    rows, layers = np.nonzero(every >= 0)
    ones = np.ones(len(rows), dtype=np.int64)
    return csr_matrix((ones, (rows, every[rows, layers])), shape=(len(every), clusters))
