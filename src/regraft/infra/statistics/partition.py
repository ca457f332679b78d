"""What a set of vectors falls into: layers of clusters, and a map of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pyarrow as pa

from regraft.infra.statistics.arrays import matrix_of, to_bytes
from regraft.infra.statistics.clustering import (
    LEAST_WIDTH,
    NOISE,
    SMALL,
    Clustering,
    Labels,
    Layer,
    Values,
    Vectors,
    cluster,
    follow,
    neighbour_graph,
    parents,
    without_small,
)
from regraft.infra.statistics.mapping import map_points, trustworthiness_of


@dataclass(frozen=True, slots=True, kw_only=True)
class PartCluster:
    """A cluster of a partition: ``vector`` is its centroid (little-endian 32-bit floats, of length 1), ``parent`` the
    number of the cluster of the next layer that most of it is in (None: of none), ``x`` and ``y`` its middle."""

    layer: int
    parent: int | None
    units: int
    vector: bytes
    floor: float
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Partition:
    """The clusters of n vectors, and their ``points``, float32 (n, 2). ``trustworthiness`` is that of the map, 0 to 1;
    None for too few vectors."""

    clustering: Clustering
    points: Values
    trustworthiness: float | None

    def numbers(self) -> list[list[int]]:
        """By vector the number of its cluster at each layer, -1 for noise; clusters are numbered over all layers."""
        every, start = [], 0
        for layer in self.clustering.layers:
            every.append(np.where(layer.labels == NOISE, NOISE, layer.labels + start))
            start += len(layer.centroids)
        found: list[list[int]] = np.stack(every, axis=1).tolist()
        return found

    def strengths(self) -> list[list[float]]:
        """By vector its strength at each layer."""
        found: list[list[float]] = np.stack([layer.strengths for layer in self.clustering.layers], axis=1).tolist()
        return found

    def clusters(self) -> list[PartCluster]:
        """All clusters, from the finest layer, in the order of their numbers."""
        layers = self.clustering.layers
        above = [*(parents(fine, coarse) for fine, coarse in pairwise(layers)), ()]
        found: list[PartCluster] = []
        start = 0
        for depth, layer in enumerate(layers):
            start += len(layer.centroids)  # of the next layer
            for number, centroid in enumerate(layer.centroids):
                members = layer.labels == number
                parent = above[depth][number] if above[depth] else NOISE
                x, y = self.points[members].mean(axis=0).tolist()
                found.append(
                    PartCluster(
                        layer=depth,
                        parent=None if parent == NOISE else start + parent,
                        units=int(members.sum()),
                        vector=to_bytes(centroid),
                        floor=float(layer.floors[number]),
                        x=x,
                        y=y,
                    )
                )
        return found


@dataclass(frozen=True, slots=True)
class Former:
    """What the fit before said: by vector and layer the number of its cluster within the layer, -1 for noise and for
    vectors that were not ``seen``; and its default layer."""

    numbers: Sequence[Sequence[int]]
    seen: Sequence[bool]
    default: int


def partition(vectors: Vectors, *, seed: int, min_size: int, former: Former | None = None) -> Partition:
    """Cluster and map n vectors of length 1; the same input and seed give the same result on one machine.

    Equal vectors are one to the algorithms, which many at no distance from each other would mislead, and get the same
    clusters and the same point. ``min_size`` equal ones that are noise are their own cluster. Clusters of the
    ``former`` fit stay where they are about as clear as new ones.
    """
    first, same = _different(vectors)
    some = vectors[first]
    graph = neighbour_graph(some, seed) if len(some) >= SMALL else None
    found = cluster(some, seed=seed, min_size=min_size, graph=graph)
    if former is not None:
        known = np.asarray(former.numbers, dtype=np.int64)
        before = [without_small(known[first, layer], 1) for layer in range(known.shape[1])]
        seen = np.asarray(former.seen, dtype=np.int64)[first]
        found = follow(some, found, before, seen, former.default, seed=seed, min_size=min_size)
    points = map_points(some, seed=seed, graph=graph)
    copies = np.bincount(same, minlength=len(some))
    layers = tuple(_of_all(layer, some, copies, same, min_size) for layer in found.layers)
    return Partition(replace(found, layers=layers), points[same], trustworthiness_of(some, points, seed=seed))


def partition_column(vectors: pa.ChunkedArray, *, seed: int, min_size: int, former: Former | None = None) -> Partition:
    """The same of an Arrow column of vectors, at least one."""
    return partition(matrix_of(vectors), seed=seed, min_size=min_size, former=former)


def _different(vectors: Vectors) -> tuple[Labels, Labels]:
    """The row that each different vector is first in, and for each row the place of its vector among those."""
    places: dict[bytes, int] = {}
    first: list[int] = []
    same = np.zeros(len(vectors), dtype=np.int64)
    for row, vector in enumerate(np.ascontiguousarray(vectors)):
        place = places.setdefault(vector.tobytes(), len(first))
        if place == len(first):
            first.append(row)
        same[row] = place
    return np.array(first, dtype=np.int64), same


def _of_all(layer: Layer, vectors: Vectors, copies: Labels, same: Labels, min_size: int) -> Layer:
    """The layer of different vectors as one of all of them."""
    more = np.flatnonzero((layer.labels == NOISE) & (copies >= max(min_size, 2)))
    labels, strengths = layer.labels.copy(), layer.strengths.copy()
    labels[more] = len(layer.centroids) + np.arange(len(more))
    strengths[more] = 1.0
    centroids = np.concatenate([layer.centroids, vectors[more]])
    floors = np.concatenate([layer.floors, np.full(len(more), 1.0 - LEAST_WIDTH, dtype=np.float32)])
    return Layer(labels[same], centroids, strengths[same], floors)
