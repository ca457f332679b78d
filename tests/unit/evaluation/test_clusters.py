"""A cluster keeps its id over fits; the fate of other clusters is recorded; a fit is due when units drift."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, fisher_exact

from regraft.domain.evaluation.clusters import (
    ClusterDrift,
    ClusterOverlap,
    ClusterRule,
    lower_bound,
    name_of_words,
    succession,
)
from regraft.domain.evaluation.over_representation import FeatureCount, fisher_greater, over_represented
from regraft.infra.statistics.overlap import compare

OLD = [UUID(int=number) for number in range(1, 5)]
NEW = [UUID(int=number) for number in range(101, 106)]


def follow(previous, fresh):
    """The succession of two fits of one layer, each given as the cluster number of each unit."""
    old, new = OLD[: max(previous) + 1], NEW[: max(fresh) + 1]
    found = compare([[one] for one in fresh], [[one] for one in previous], [0] * len(new), [0] * len(old))
    overlaps = [
        ClusterOverlap(
            fresh=new[one.fresh],
            previous=old[one.previous],
            shared=one.shared,
            fresh_units=one.fresh_units,
            previous_units=one.previous_units,
        )
        for one in found.pairs
    ]
    return succession(new, old, overlaps, {new[a]: old[b] for a, b in found.best})


def fates(found):
    return {(match.fate, match.cluster_id, match.previous_id) for match in found.matches}


def test_a_cluster_that_is_found_again_keeps_its_id_whatever_its_number():
    found = follow([0] * 10 + [1] * 10, [1] * 9 + [0] * 11)
    assert found.ids == {NEW[0]: OLD[1], NEW[1]: OLD[0]}
    assert fates(found) == {("kept", OLD[0], OLD[0]), ("kept", OLD[1], OLD[1])}
    assert found.matches[0].jaccard == pytest.approx(10 / 11)


def test_of_a_cluster_in_two_parts_the_larger_is_it_and_the_other_is_split_off():
    found = follow([0] * 10, [0] * 7 + [1] * 3)
    assert found.ids == {NEW[0]: OLD[0], NEW[1]: NEW[1]}
    assert fates(found) == {("kept", OLD[0], OLD[0]), ("split", NEW[1], OLD[0])}


def test_a_cluster_within_another_one_was_merged_into_it():
    found = follow([0] * 8 + [1] * 4, [0] * 12)
    assert found.ids == {NEW[0]: OLD[0]}
    assert fates(found) == {("kept", OLD[0], OLD[0]), ("merged", OLD[0], OLD[1])}


def test_a_cluster_of_noise_is_new_and_one_that_became_noise_is_gone():
    found = follow([-1] * 5 + [0] * 5, [0] * 5 + [-1] * 5)
    assert fates(found) == {("new", NEW[0], None), ("gone", None, OLD[0])}


def test_a_coarser_layer_neither_splits_nor_takes_in_a_finer_one():
    overlap = ClusterOverlap(
        fresh=NEW[0], previous=OLD[0], shared=5, fresh_units=5, previous_units=100, same_layer=False
    )
    assert fates(succession([NEW[0]], [OLD[0]], [overlap], {NEW[0]: OLD[0]})) == {
        ("new", NEW[0], None),
        ("gone", None, OLD[0]),
    }


@given(st.lists(st.tuples(st.integers(-1, 3), st.integers(-1, 4)), min_size=1, max_size=60))
def test_every_cluster_has_one_fate_and_no_id_is_given_twice(pairs):
    previous, fresh = [one for one, _ in pairs] + list(range(4)), [one for _, one in pairs] + [0, 1, 2, 3]
    found = follow([*previous, -1], [*fresh, 4])
    assert len(set(found.ids.values())) == len(found.ids) == 5
    assert sum(match.fate in ("kept", "split", "new") for match in found.matches) == 5
    assert {m.previous_id for m in found.matches if m.fate in ("kept", "merged", "gone")} == set(OLD)


def test_equal_clusters_of_two_layers_keep_their_layers():
    numbers = [[0, 1]] * 5
    assert set(compare(numbers, [[1, 0]] * 5, [0, 1], [1, 0]).best) == {(0, 1), (1, 0)}


def test_strangers_are_drift_when_there_are_enough_of_them():
    rule = ClusterRule(drift=0.1)
    few = ClusterDrift(units=1_000, noise=50, later=5, unassigned=3)
    assert few.share == pytest.approx(0.6)
    assert not ClusterDrift(units=1_000, noise=50, later=5, unassigned=2).calls_for_a_fit(rule)
    assert ClusterDrift(units=1_000, noise=50, later=100, unassigned=40).calls_for_a_fit(rule)
    assert not ClusterDrift(units=1_000, noise=400, later=100, unassigned=45).calls_for_a_fit(rule)
    assert ClusterDrift(units=1_000, noise=0, later=1_000, unassigned=0).calls_for_a_fit(rule)
    assert not ClusterDrift(units=1_000, noise=1_000, later=0, unassigned=0).calls_for_a_fit(rule)
    assert ClusterDrift(units=100, noise=100, later=10, unassigned=10).calls_for_a_fit(rule)


@given(st.integers(0, 50), st.integers(0, 50))
def test_the_lower_bound_is_that_of_wilson(found, more):
    of = found + more
    if of:
        low = binomtest(found, of).proportion_ci(0.95, "wilson").low
        assert lower_bound(found, of) == pytest.approx(low, abs=1e-4)


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 200), st.integers(0, 200))
def test_the_exact_test_is_that_of_fisher(here, rest, elsewhere, others):
    expected = fisher_exact([[here, rest], [elsewhere, others]], alternative="greater").pvalue
    assert fisher_greater(here, here + rest, elsewhere, elsewhere + others) == pytest.approx(expected, abs=1e-9)


def test_what_is_over_represented_is_reported_with_its_lift_and_chance_is_not():
    def count(value, here, elsewhere):
        return FeatureCount(
            feature="model", value=value, here=here, here_units=40, elsewhere=elsewhere, elsewhere_units=400
        )

    found = over_represented([count("a", 30, 40), count("b", 5, 40), count("c", 20, 0), count("d", 3, 100)])
    assert [(one.value, one.lift) for one in found] == [("a", pytest.approx(7.5)), ("c", None)] or [
        (one.value, one.lift) for one in found
    ] == [("c", None), ("a", pytest.approx(7.5))]
    assert all(one.p < 1e-10 for one in found)
    assert over_represented([count("b", 5, 40)]) == []


def test_a_cluster_is_called_by_its_most_telling_words():
    assert name_of_words(["card", "refund", "bank", "block"]) == "card, refund, bank"
    assert name_of_words([]) == "no telling words"
