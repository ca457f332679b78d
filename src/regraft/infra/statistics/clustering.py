"""Density clusters of unit vectors: which belong together at several depths, and which belong to nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, TypeAlias

import numpy as np

Vectors: TypeAlias = np.ndarray[Any, np.dtype[np.float32]]
Labels: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]
Values: TypeAlias = np.ndarray[Any, np.dtype[np.float32]]

NOISE = -1
NEIGHBOURS = 15
SMALL = 300  # below it the neighbour graph says little, and every pair can be compared
_DIMENSIONS = (4, 8)  # of the space that evoc searches for densities in; which serves better depends on the data
_CHANCE = 1.6  # over the root of the dimensions: the best silhouettes of random directions, measured, are below it
_MOST_NOISE = 0.5  # of a layer that is worth keeping,
_CLEAR = 1 / 3  # and how clear it is at least, over the clearest one
_AS_CLEAR = 0.9  # how clear the clusters of the fit before must be, over those of a fresh one, to be kept
_NEW = 1 / 3  # of the members of a new cluster, who were not in the fit before
_MADS = 3.0
_MOST_MERGES = 32
LEAST_WIDTH = 0.02  # of a cluster of equal texts, as cosine
_ROWS = 4_096  # compared with all centroids at a time


@dataclass(frozen=True, slots=True)
class Layer:
    """One partition of n vectors into k clusters.

    ``labels`` is int64 (n,), -1 for noise; ``centroids`` float32 (k, d), of length 1; ``strengths`` float32 (n,), the
    cosine of each member to the centroid of the other members, so that small clusters do not look denser than they
    are, 0 for noise; ``floors`` float32 (k,), the least cosine that makes a member.
    """

    labels: Labels
    centroids: Vectors
    strengths: Values
    floors: Values


@dataclass(frozen=True, slots=True)
class Clustering:
    """Layers from fine to coarse, at least one. ``default`` is the one with the clearest clusters; ``algorithm`` names
    what made them, with its version."""

    layers: tuple[Layer, ...]
    default: int
    algorithm: str


def cluster(vectors: Vectors, *, seed: int, min_size: int, graph: Any = None) -> Clustering:
    """Cluster n different vectors of length 1; the same input and seed give the same result on one machine.

    From 300 vectors on by evoc, on their neighbour ``graph``, otherwise by average linkage. Of all partitions found,
    the one with the best simplified silhouette (Hruschka, de Castro and Campello 2004, "Evolutionary algorithms for
    clustering gene-expression data") is the default layer. A member whose cosine to its centroid is far below that of
    the others becomes noise, and noise that is as near to a centroid as its members are becomes a member: the rule by
    which ``assign`` treats new vectors.
    """
    if len(vectors) < SMALL:
        found, algorithm = _by_linkage(vectors, min_size)
    else:
        found, algorithm = _by_density(
            vectors, neighbour_graph(vectors, seed) if graph is None else graph, seed, min_size
        )
    if not found:
        return Clustering((_layer(vectors, np.full(len(vectors), NOISE)),), 0, algorithm)
    layers = [_layer(vectors, labels, min_size) for labels in found]
    scores = [silhouette(vectors, layer) for layer in layers]
    best = int(np.argmax(scores))
    if scores[best] < _CHANCE / vectors.shape[1] ** 0.5:
        return Clustering((_layer(vectors, np.full(len(vectors), NOISE)),), 0, algorithm)
    layers[best] = _merged(vectors, layers[best], scores[best], min_size)
    kept = [
        place
        for place, layer in enumerate(layers)
        if place == best or (scores[place] >= _CLEAR * scores[best] and (layer.labels == NOISE).mean() <= _MOST_NOISE)
    ]
    return Clustering(tuple(layers[place] for place in kept), kept.index(best), algorithm)


def follow(
    vectors: Vectors,
    fresh: Clustering,
    before: Sequence[Labels],
    seen: Labels,
    default: int,
    *,
    seed: int,
    min_size: int,
) -> Clustering:
    """The clustering of the fit before over n vectors, brought up to them, unless a ``fresh`` one is clearly better.

    ``before`` are its layers, -1 for noise and for vectors that it did not see (``seen`` is 0). Those join the nearest
    cluster; of the rest, those that the fit did not see may be new clusters, with noise that belongs to them. Densities
    of nearly the same vectors differ at many small borders: without this, a little more data would give many clusters
    another extent for no reason.
    """
    layers = []
    for labels in before:
        layer = _layer(vectors, labels, min_size)
        rest = np.flatnonzero(layer.labels == NOISE)
        if (seen[rest] == 0).sum() >= min_size:
            others = cluster(vectors[rest], seed=seed, min_size=min_size)
            found = others.layers[others.default].labels
            for number in range(int(found.max(initial=NOISE)) + 1):
                if (seen[rest][found == number] == 0).mean() < _NEW:
                    found = np.where(found == number, NOISE, found)
            joined = layer.labels.copy()
            joined[rest] = np.where(found == NOISE, NOISE, found + len(layer.centroids))
            layer = _layer(vectors, without_small(joined, 1), min_size)
        layers.append(layer)
    kept, new = (silhouette(vectors, one) for one in (layers[default], fresh.layers[fresh.default]))
    if kept < _AS_CLEAR * new:
        return fresh
    return Clustering(tuple(layers), default, fresh.algorithm)


def assign(vectors: Vectors, centroids: Vectors, floors: Values) -> tuple[Labels, Values]:
    """The nearest centroid of each vector and the cosine to it; -1 where that is below the centroid's floor."""
    labels = np.full(len(vectors), NOISE, dtype=np.int64)
    cosines = np.zeros(len(vectors), dtype=np.float32)
    if len(centroids):
        for rows, near in _cosines(vectors, centroids):
            # Of the centroids that would take the vector; a wide cluster does not take what a narrow one refuses.
            labels[rows] = near.argmax(axis=1)
            cosines[rows] = near.max(axis=1)
        labels[cosines < floors[labels]] = NOISE
    return labels, cosines


def silhouette(vectors: Vectors, layer: Layer) -> float:
    """The mean over all vectors of (b - a) / max(a, b), where a is the cosine distance to the centroid of the other
    members and b that to the nearest other centroid; noise counts 0. -1 for fewer than two clusters."""
    if len(layer.centroids) < 2:
        return -1.0
    total = 0.0
    for rows, near in _cosines(vectors, layer.centroids):
        labels = layer.labels[rows]
        members = labels != NOISE
        distances = 1.0 - near[members]
        distances[np.arange(len(distances)), labels[members]] = np.inf
        own, other = 1.0 - layer.strengths[rows][members], distances.min(axis=1)
        total += float(((other - own) / np.maximum(np.maximum(own, other), 1e-6)).sum())
    return total / len(vectors)


def single_threaded() -> None:
    """Let numba use one thread: evoc's result depends on their number."""
    os.environ.setdefault("NUMBA_NUM_THREADS", "1")
    import numba

    numba.set_num_threads(1)


def neighbour_graph(vectors: Vectors, seed: int) -> Any:
    """The symmetric graph of each vector's 15 nearest ones, weighted: a SciPy sparse matrix (n, n)."""
    single_threaded()
    from evoc.graph_construction import neighbor_graph_matrix
    from evoc.knn_graph import knn_graph

    near, distances = knn_graph(vectors, n_neighbors=NEIGHBOURS, random_state=np.random.RandomState(seed))
    return neighbor_graph_matrix(float(NEIGHBOURS), near, distances, True)


def node_embedding(graph: Any, vectors: Vectors, dimensions: int, seed: int) -> Vectors:
    """The nodes of a neighbour graph in a space of few dimensions, near ones near; float32 (n, dimensions)."""
    single_threaded()
    from evoc.label_propagation import label_propagation_init
    from evoc.node_embedding import node_embedding as embed

    random = np.random.RandomState(seed)
    start = label_propagation_init(
        graph,
        n_components=dimensions,
        approx_n_parts=int(np.clip(int(8 * np.sqrt(len(vectors))), 256, 16_384)),
        random_scale=0.1,
        scaling=0.5,
        random_state=random,
        data=vectors,
    )
    found: Vectors = embed(
        graph,
        n_components=dimensions,
        n_epochs=50,
        initial_embedding=start,
        random_state=random,
        reproducible_flag=True,
        initial_alpha=0.1,
    )
    return found


def _by_density(vectors: Vectors, graph: Any, seed: int, min_size: int) -> tuple[list[Labels], str]:
    """The layers of the tree of densities (evoc) that has the clearest one, fine to coarse."""
    single_threaded()
    from evoc.clustering import build_cluster_layers

    best: tuple[float, list[Labels]] = (-2.0, [])
    for dimensions in _DIMENSIONS:
        embedded = node_embedding(graph, vectors, dimensions, seed)
        for size in sorted({min_size, max(min_size, len(vectors) // 200)}):
            layers, _, _ = build_cluster_layers(
                embedded, min_samples=5, base_min_cluster_size=size, reproducible_flag=True
            )
            labels = [np.asarray(one, dtype=np.int64) for one in layers if one.max() > 0]
            score = max((silhouette(vectors, _plain(vectors, one)) for one in labels), default=-2.0)
            if score > best[0]:
                best = score, labels
    return best[1], f"evoc {version('evoc')}"


def _by_linkage(vectors: Vectors, min_size: int) -> tuple[list[Labels], str]:
    """The clearest cut of the tree of average cosine distances, with a finer and a coarser one where they are clear."""
    import scipy
    from scipy.cluster.hierarchy import fcluster, linkage

    algorithm = f"average-linkage scipy {scipy.__version__}"
    least = min(min_size, max(2, len(vectors) // 20))
    if len(vectors) < 2 * least:
        return [], algorithm
    near = np.clip(1.0 - vectors.astype(np.float64) @ vectors.astype(np.float64).T, 0.0, 2.0)
    upper = np.triu_indices(len(vectors), 1)
    tree = linkage(near[upper], "average")
    cuts: dict[int, tuple[float, Labels]] = {}
    for height in np.unique(tree[:, 2])[::-1]:
        labels = without_small(fcluster(tree, height, "distance").astype(np.int64) - 1, least)
        clusters = int(labels.max(initial=NOISE)) + 1
        if clusters < 2:
            continue
        score = silhouette(vectors, _plain(vectors, labels))
        if clusters not in cuts or score > cuts[clusters][0]:
            cuts[clusters] = score, labels
    if not cuts:
        return [], algorithm
    best = max(cuts, key=lambda clusters: (cuts[clusters][0], -clusters))
    chosen = [best]
    for side in ([k for k in cuts if k >= 2 * best], [k for k in cuts if 2 * k <= best]):
        if side:
            chosen.append(max(side, key=lambda clusters: (cuts[clusters][0], -clusters)))
    return [cuts[clusters][1] for clusters in sorted(chosen, reverse=True)], algorithm


def _merged(vectors: Vectors, layer: Layer, score: float, min_size: int) -> Layer:
    """The layer with its two most alike clusters as one, for as long as that makes it clearer: density alone cuts a
    large cluster in two where it happens to be thin."""
    for _ in range(_MOST_MERGES):
        alike = layer.centroids @ layer.centroids.T
        np.fill_diagonal(alike, -2.0)
        one, other = divmod(int(alike.argmax()), len(alike))
        labels = without_small(np.where(layer.labels == other, one, layer.labels), 1)
        merged = _layer(vectors, labels, min_size)
        better = silhouette(vectors, merged)
        if better <= score:
            break
        layer, score = merged, better
    return layer


def without_small(labels: Labels, least: int) -> Labels:
    """Clusters of fewer than ``least`` members become noise; the others are numbered 0, 1, 2 and so on."""
    names, places, counts = np.unique(labels, return_inverse=True, return_counts=True)
    kept = (names != NOISE) & (counts >= least)
    numbers = np.where(kept, np.cumsum(kept) - 1, NOISE)
    return numbers[places].astype(np.int64)


def _plain(vectors: Vectors, labels: Labels) -> Layer:
    """A partition as it is."""
    clusters = int(labels.max(initial=NOISE)) + 1
    centroids = np.zeros((clusters, vectors.shape[1]), dtype=np.float32)
    strengths = np.zeros(len(vectors), dtype=np.float32)
    members = labels != NOISE
    if members.any():
        own = labels[members]
        sums = _sums(vectors, labels, clusters)
        lengths = np.linalg.norm(sums, axis=1)
        centroids = (sums / np.maximum(lengths, 1e-12)[:, None]).astype(np.float32)
        along = np.einsum("nd,nd->n", vectors[members], sums[own])
        others = np.sqrt(np.maximum(lengths[own] ** 2 - 2 * along + 1, 1e-12))
        strengths[members] = np.where(np.bincount(own)[own] > 1, (along - 1) / others, 0.0)
    return Layer(labels, centroids, strengths, _floors(strengths, labels, clusters))


def _sums(vectors: Vectors, labels: Labels, clusters: int) -> Any:
    """The sum of each cluster's members; float64 (clusters, d)."""
    from scipy.sparse import csr_matrix

    members = np.flatnonzero(labels != NOISE)
    ones = np.ones(len(members))
    return csr_matrix((ones, (labels[members], members)), shape=(clusters, len(vectors))) @ vectors.astype(np.float64)


def _layer(vectors: Vectors, labels: Labels, min_size: int = 1) -> Layer:
    """A partition whose members are all near to their centroid, and whose noise is not."""
    for _ in range(2):
        found = _plain(vectors, labels)
        if not len(found.centroids):
            return found
        kept = np.where((labels == NOISE) | (found.strengths < found.floors[labels]), NOISE, labels)
        nearest, _ = assign(vectors, found.centroids, found.floors)
        labels = without_small(np.where(labels == NOISE, nearest, kept), min(min_size, 2))
    return _plain(vectors, labels)


def _floors(cosines: Values, labels: Labels, clusters: int) -> Values:
    """Per cluster the median of its members' cosines less three scaled median absolute deviations (Leys et al. 2013,
    "Detecting outliers: Do not use standard deviation around the mean, use absolute deviation around the median")."""
    floors = np.zeros(clusters, dtype=np.float32)
    order = np.argsort(labels, kind="stable")
    starts = np.searchsorted(labels[order], np.arange(clusters + 1))
    for cluster in range(clusters):
        own = cosines[order[starts[cluster] : starts[cluster + 1]]]
        middle = np.median(own)
        width = max(_MADS * 1.4826 * float(np.median(np.abs(own - middle))), LEAST_WIDTH)
        floors[cluster] = middle - width
    return floors


def _cosines(vectors: Vectors, centroids: Vectors) -> Iterator[tuple[slice, Values]]:
    for start in range(0, len(vectors), _ROWS):
        rows = slice(start, start + _ROWS)
        yield rows, vectors[rows] @ centroids.T


def parents(fine: Layer, coarse: Layer) -> Sequence[int]:
    """Per cluster of ``fine`` the cluster of ``coarse`` that most of its members are in; -1 where most are noise."""
    both = np.zeros((len(fine.centroids), len(coarse.centroids) + 1), dtype=np.int64)
    members = fine.labels != NOISE
    np.add.at(both, (fine.labels[members], coarse.labels[members]), 1)
    most = both.argmax(axis=1)
    return [int(place) if place < len(coarse.centroids) else NOISE for place in most]
