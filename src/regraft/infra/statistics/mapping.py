"""A map: vectors as points in two dimensions, near ones near, and how far it can be trusted."""

from __future__ import annotations

from typing import Any

import numpy as np

from regraft.infra.statistics.clustering import SMALL, Values, Vectors, neighbour_graph, node_embedding

_SAMPLE = 2_000  # vectors whose neighbours are compared: the cost grows with the square of their number
_PERPLEXITY = 30.0


def map_points(vectors: Vectors, *, seed: int, graph: Any = None) -> Values:
    """Points of n different vectors of length 1: float32 (n, 2), within -1 and 1.

    One seed gives one result on one machine.
    From 300 vectors on the node embedding of their neighbour ``graph`` (evoc), which is made if none is given;
    otherwise exact t-SNE (van der Maaten and Hinton 2008, "Visualizing Data using t-SNE").
    """
    if len(vectors) < 4:
        return np.stack([np.linspace(-1, 1, len(vectors)), np.zeros(len(vectors))], axis=1).astype(np.float32)
    if len(vectors) >= SMALL:
        found = node_embedding(neighbour_graph(vectors, seed) if graph is None else graph, vectors, 2, seed)
    else:
        from sklearn.manifold import TSNE

        tsne = TSNE(
            metric="cosine",
            method="exact",
            init="random",
            random_state=seed,
            perplexity=min(_PERPLEXITY, (len(vectors) - 1) / 3),
        )
        found = tsne.fit_transform(vectors)
    return _within(np.nan_to_num(found))


def _within(points: Values) -> Values:
    """Points around 0, the farthest at 1; the proportions of the axes are kept."""
    points = points - (points.max(axis=0) + points.min(axis=0)) / 2
    scaled: Values = (points / max(float(np.abs(points).max()), 1e-9)).astype(np.float32)
    return scaled


def trustworthiness_of(vectors: Vectors, points: Values, *, seed: int) -> float | None:
    """How far neighbours on the map are neighbours in truth, 0 to 1; None for too few vectors to say.

    The trustworthiness of Venna and Kaski 2001, "Neighborhood preservation in nonlinear projection methods", over 15
    neighbours, or fewer where there are few vectors, on a sample of at most 2,000 vectors.
    """
    from sklearn.manifold import trustworthiness

    if len(vectors) < 10:
        return None
    rows = np.arange(len(vectors))
    if len(vectors) > _SAMPLE:
        rows = np.sort(np.random.default_rng(seed).choice(len(vectors), _SAMPLE, replace=False))
    neighbours = min(15, (len(rows) - 1) // 3)
    return float(trustworthiness(vectors[rows], points[rows], n_neighbors=neighbours, metric="cosine"))
