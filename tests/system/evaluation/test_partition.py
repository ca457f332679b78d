"""Vectors fall into the clusters that they were drawn from, and each run of the same gives the same."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from regraft.infra.statistics.clustering import NOISE, assign, parents, silhouette, without_small
from regraft.infra.statistics.partition import Former, Partition, partition


def mixture(vectors, clusters, *, seed, dimensions=128, cosine=0.5, noise=0.05):
    """Unit vectors around random directions, at a mean cosine between two of one cluster; and -1 for random ones."""
    random = np.random.default_rng(seed)
    centers = random.normal(size=(clusters, dimensions))
    centers /= np.linalg.norm(centers, axis=1, keepdims=True)
    labels = random.choice(clusters, size=vectors, p=random.dirichlet(np.full(clusters, 4.0)))
    spread = np.sqrt((1 - cosine) / cosine / dimensions)
    found = centers[labels] + random.normal(size=(vectors, dimensions)) * spread
    lost = random.random(vectors) < noise
    found[lost] = random.normal(size=(int(lost.sum()), dimensions))
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found.astype(np.float32), np.where(lost, NOISE, labels)


def best(found: Partition):
    return found.clustering.layers[found.clustering.default]


@pytest.mark.parametrize("vectors", [200, 2_000])
def test_a_mixture_is_found_again_with_its_noise(vectors):
    data, truth = mixture(vectors, 8, seed=1)
    found = partition(data, seed=0, min_size=5)
    layer = best(found)
    assert adjusted_rand_score(truth, layer.labels) >= 0.9
    assert ((layer.labels == NOISE) & (truth == NOISE)).sum() >= 0.8 * (truth == NOISE).sum()
    again = partition(data, seed=0, min_size=5)
    assert all(
        (a.labels == b.labels).all() for a, b in zip(found.clustering.layers, again.clustering.layers, strict=True)
    )
    assert (found.points == again.points).all()
    assert np.abs(found.points).max() == pytest.approx(1)
    assert found.trustworthiness is not None
    assert found.trustworthiness > 0.8


@pytest.mark.parametrize("vectors", [120, 1_000])
def test_vectors_without_structure_are_all_noise(vectors):
    data, _ = mixture(vectors, 2, seed=2, noise=1.1)
    found = partition(data, seed=0, min_size=5)
    assert [len(layer.centroids) for layer in found.clustering.layers] == [0]
    assert (best(found).labels == NOISE).all()


def test_layers_are_coarser_from_one_to_the_next_and_have_parents():
    data, _ = mixture(1_000, 12, seed=1)
    layers = partition(data, seed=0, min_size=5).clustering.layers
    counts = [len(layer.centroids) for layer in layers]
    assert len(counts) > 1
    assert counts == sorted(counts, reverse=True)
    above = parents(layers[0], layers[1])
    for cluster, parent in enumerate(above):
        members = layers[1].labels[layers[0].labels == cluster]
        assert (members == parent).sum() * 2 >= (members != NOISE).sum() or parent == NOISE


def test_equal_vectors_are_in_one_cluster_at_one_point():
    data, truth = mixture(600, 4, seed=3)
    alone = int(np.flatnonzero(truth == NOISE)[0])
    data = np.concatenate([data, np.repeat(data[alone][None], 9, axis=0)])
    found = partition(data, seed=0, min_size=5)
    copies = [alone, *range(600, 609)]
    assert len(set(best(found).labels[copies])) == 1
    assert (best(found).labels == best(found).labels[alone]).sum() == 10
    assert (found.points[copies] == found.points[alone]).all()
    assert best(partition(np.repeat(data[:1], 30, axis=0), seed=0, min_size=5)).labels.tolist() == [0] * 30


def test_a_later_vector_goes_to_its_cluster_and_a_foreign_one_to_none():
    data, truth = mixture(2_200, 8, seed=4)
    layer = best(partition(data[:2_000], seed=0, min_size=5))
    found, cosines = assign(data[2_000:], layer.centroids, layer.floors)
    later = truth[2_000:]
    assert adjusted_rand_score(later, found) >= 0.9
    assert (found[later == NOISE] == NOISE).all()
    assert (cosines[found != NOISE] >= layer.floors[found[found != NOISE]]).all()


def test_strengths_are_cosines_to_the_other_members():
    data, _ = mixture(100, 3, seed=5)
    layer = best(partition(data, seed=0, min_size=5))
    unit = int(np.flatnonzero(layer.labels == 0)[0])
    others = data[(layer.labels == 0) & (np.arange(100) != unit)].astype(np.float64).sum(axis=0)
    assert layer.strengths[unit] == pytest.approx(data[unit] @ others / np.linalg.norm(others), abs=1e-5)
    assert (layer.strengths[layer.labels == NOISE] == 0).all()
    assert 0 < silhouette(data, layer) <= 1


def test_few_vectors_have_a_map_and_no_clusters():
    data, _ = mixture(3, 1, seed=6)
    found = partition(data, seed=0, min_size=5)
    assert (best(found).labels == NOISE).all()
    assert found.points.shape == (3, 2)
    assert found.trustworthiness is None


def test_clusters_are_numbered_densely():
    assert without_small(np.array([4, 4, 2, 7, 7, -1]), 2).tolist() == [0, 0, -1, 1, 1, -1]


def test_a_new_fit_keeps_the_clusters_of_the_former_one_and_finds_what_is_new():
    data, truth = mixture(900, 8, seed=7)
    told = truth != 0  # the former fit saw nothing of one direction
    first = partition(data[told], seed=0, min_size=5)
    numbers = np.full((900, len(first.clustering.layers)), NOISE)
    numbers[told] = np.stack([layer.labels for layer in first.clustering.layers], axis=1)
    former = Former(numbers.tolist(), told.tolist(), first.clustering.default)
    found = best(partition(data, seed=0, min_size=5, former=former))
    assert adjusted_rand_score(best(first).labels, found.labels[told]) >= 0.95
    assert adjusted_rand_score(truth, found.labels) >= 0.9
    assert (found.labels[truth == 0] != NOISE).mean() >= 0.9


def test_clusters_that_are_much_less_clear_than_new_ones_are_given_up():
    data, _ = mixture(600, 6, seed=8)
    poor = Former([[number % 2] for number in range(600)], [True for _ in range(600)], 0)
    fresh = partition(data, seed=0, min_size=5)
    assert (best(partition(data, seed=0, min_size=5, former=poor)).labels == best(fresh).labels).all()
