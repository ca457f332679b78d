"""Where vectors belong that came after a fit: the nearest cluster of each layer, and a place on the map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from regraft.infra.statistics.arrays import from_bytes, matrix_of
from regraft.infra.statistics.clustering import Labels, Values, Vectors

_NEAREST = 3
_ROWS = 4_096
_SHARPNESS = 20.0  # with which a place keeps to the nearest centroid


@dataclass(frozen=True, slots=True, kw_only=True)
class Centroid:
    """A cluster of a fit. ``vector`` is little-endian 32-bit floats, of length 1; a cosine to it of ``floor`` or more
    makes a member; ``x`` and ``y`` are its place on the map."""

    cluster_id: str
    layer: int
    vector: bytes
    floor: float
    x: float
    y: float


def place(units: pa.Table, centroids: Sequence[Centroid], layers: int) -> pa.Table:
    """Place units, at least one, by their ``vector``.

    A row each: ``unit_id``, ``cluster_ids`` and ``strengths`` (one a layer; null and 0 where no centroid is near
    enough), and ``x`` and ``y``, null where the fit has no clusters.

    A place on the map is between those of the three nearest centroids of the finest layer, nearer to the more alike. It
    says which clusters a unit is near to, and nothing about single neighbours.
    """
    vectors = matrix_of(units.column("vector"))
    ids: list[list[str | None]] = []
    strengths = []
    points: list[tuple[float | None, float | None]] = [(None, None)] * len(vectors)
    for layer in range(layers):
        rows = [one for one in centroids if one.layer == layer]
        middles = from_bytes([one.vector for one in rows])
        if not rows:
            ids.append([None] * len(vectors))
            strengths.append(np.zeros(len(vectors), dtype=np.float32))
            continue
        nearest, cosines = _nearest(vectors, middles)
        taken = cosines[:, 0] >= np.array([one.floor for one in rows], dtype=np.float32)[nearest[:, 0]]
        ids.append([rows[at].cluster_id if fits else None for at, fits in zip(nearest[:, 0], taken, strict=True)])
        strengths.append(np.where(taken, cosines[:, 0], np.float32(0)))
        if points[0] == (None, None):
            places = np.array([(one.x, one.y) for one in rows], dtype=np.float32)
            points = [(x, y) for x, y in _between(nearest, cosines, places).tolist()]
    return pa.table(
        {
            "unit_id": units.column("unit_id"),
            "cluster_ids": pa.array([list(row) for row in zip(*ids, strict=True)], pa.list_(pa.string())),
            "strengths": pa.array(np.stack(strengths, axis=1).tolist(), pa.list_(pa.float32())),
            "x": pa.array([x for x, _ in points], pa.float32()),
            "y": pa.array([y for _, y in points], pa.float32()),
        }
    )


def _nearest(vectors: Vectors, centroids: Vectors) -> tuple[Labels, Values]:
    """The three nearest centroids of each vector, nearest first, and the cosines to them.

    A matrix product gives the last bits of a cosine by how many vectors there are, so it only chooses: the cosines are
    those that the vector has alone, and a workbench that is made again in other batches is the same.
    """
    nearest = np.empty((len(vectors), min(_NEAREST, len(centroids))), dtype=np.int64)
    cosines = np.empty(nearest.shape, dtype=np.float32)
    for start in range(0, len(vectors), _ROWS):
        rows = slice(start, start + _ROWS)
        some = vectors[rows]
        found = np.argsort(-(some @ centroids.T), axis=1, kind="stable")[:, :_NEAREST]
        exact = np.einsum("nd,nkd->nk", some, centroids[found])
        order = np.argsort(-exact, axis=1, kind="stable")
        nearest[rows] = np.take_along_axis(found, order, axis=1)
        cosines[rows] = np.take_along_axis(exact, order, axis=1)
    return nearest, cosines


def _between(nearest: Labels, cosines: Values, places: Values) -> Values:
    weights = np.exp((cosines - cosines[:, :1]) * _SHARPNESS)
    weights /= weights.sum(axis=1, keepdims=True)
    found: Values = np.einsum("nk,nkd->nd", weights, places[nearest]).astype(np.float32)
    return found
