"""Agreement of judges with people: the figures that scikit-learn gives, and intervals that keep components whole."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score, f1_score, precision_score, recall_score

from regraft.domain.evaluation.agreement import (
    accuracy,
    class_figures,
    cohens_kappa,
    confusion,
    corrected_prevalence,
    disagreement,
    macro_f1,
)
from regraft.infra.statistics.bootstrap import RESAMPLES, f1s, intervals, kappas, macro_f1s

LABELS = ("a", "b", "equal", "both_bad")
rated = st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from(LABELS)), min_size=2, max_size=60)


@given(rated, st.sampled_from(["none", "linear", "quadratic"]))
def test_kappa_is_that_of_scikit_learn(pairs, weights):
    theirs, judged = zip(*pairs, strict=True)
    mine = cohens_kappa(confusion(pairs, LABELS).counts, weights)
    if mine is None:
        assert len({*theirs, *judged}) == 1
        return
    wanted = cohen_kappa_score(theirs, judged, labels=list(LABELS), weights=None if weights == "none" else weights)
    assert mine == pytest.approx(wanted, abs=1e-9)


@given(rated)
def test_f1_precision_and_recall_are_those_of_scikit_learn(pairs):
    theirs, judged = zip(*pairs, strict=True)
    counts = confusion(pairs, LABELS).counts
    for place, label in enumerate(LABELS):
        mine = class_figures(counts, place)
        named = {"labels": [label], "average": "micro", "zero_division": 0.0}
        assert mine.f1 == pytest.approx(f1_score(theirs, judged, **named), abs=1e-9)
        assert mine.precision == pytest.approx(precision_score(theirs, judged, **named), abs=1e-9)
        assert mine.recall == pytest.approx(recall_score(theirs, judged, **named), abs=1e-9)
    assert macro_f1(counts) == pytest.approx(f1_score(theirs, judged, average="macro", zero_division=0.0), abs=1e-9)
    assert accuracy(counts) == pytest.approx(sum(a == b for a, b in pairs) / len(pairs))


@given(rated)
def test_the_figures_of_many_matrices_at_once_are_those_of_each(pairs):
    matrix = np.array(confusion(pairs, LABELS).counts).reshape(1, -1)
    one = cohens_kappa(confusion(pairs, LABELS).counts, "quadratic")
    with np.errstate(all="ignore"):
        several = kappas(matrix, disagreement(4, "quadratic"))
    assert np.isnan(several[0]) if one is None else several[0] == pytest.approx(one, abs=1e-9)
    assert macro_f1s(matrix, 4)[0] == pytest.approx(macro_f1(confusion(pairs, LABELS).counts), abs=1e-9)


def test_nothing_to_compare_gives_no_figure():
    empty = confusion([], LABELS).counts
    assert (cohens_kappa(empty), accuracy(empty), macro_f1(empty)) == (None, None, None)
    assert cohens_kappa(confusion([("a", "a")] * 9, LABELS).counts) is None


def test_a_judge_that_says_one_thing_only_agrees_by_chance():
    pairs = [("a", "a")] * 80 + [("b", "a")] * 20
    assert cohens_kappa(confusion(pairs, LABELS).counts) == 0.0
    assert accuracy(confusion(pairs, LABELS).counts) == 0.8


@pytest.mark.parametrize(("truth", "sensitivity", "specificity"), [(0.1, 0.9, 0.8), (0.5, 0.7, 0.95), (0.03, 1.0, 0.9)])
def test_a_prevalence_is_found_behind_known_errors(truth, sensitivity, specificity):
    apparent = truth * sensitivity + (1 - truth) * (1 - specificity)
    assert corrected_prevalence(apparent, sensitivity, specificity) == pytest.approx(truth, abs=1e-9)


def test_nothing_follows_from_a_judge_that_is_no_better_than_chance():
    assert corrected_prevalence(0.4, 0.5, 0.5) is None
    assert corrected_prevalence(0.0, 0.9, 0.9) == 0.0


def drawn(items: int, components: int, seed: int = 1):
    """Items of two labels each, 80 % of them with the same one, as component and cell."""
    dice = random.Random(seed)
    component = [dice.randrange(components) for _ in range(items)]
    cell = [dice.choice((0, 3)) if dice.random() < 0.8 else dice.choice((1, 2)) for _ in range(items)]
    return component, cell


KAPPA = {"kappa": lambda counts: kappas(counts, disagreement(2, "none"))}


def test_an_interval_is_the_same_again_and_narrower_with_more_items():
    few, many = (intervals(*drawn(items, items), 4, KAPPA, seed=7)["kappa"] for items in (100, 2_000))
    assert few == intervals(*drawn(100, 100), 4, KAPPA, seed=7)["kappa"]
    assert many.high - many.low < (few.high - few.low) / 3
    assert many.low < 0.6 < many.high


def test_an_interval_is_that_of_drawing_components_one_by_one():
    component, cell = drawn(600, 60)
    tables = np.zeros((60, 4), int)
    np.add.at(tables, (component, cell), 1)
    rng = np.random.default_rng(3)
    direct = [
        kappas(tables[rng.integers(0, 60, 60)].sum(axis=0)[None], disagreement(2, "none"))[0] for _ in range(4_000)
    ]
    found = intervals(component, cell, 4, KAPPA)["kappa"]
    assert [found.low, found.high] == pytest.approx(list(np.quantile(direct, [0.025, 0.975])), abs=0.015)


def test_components_that_repeat_an_item_make_an_interval_wider():
    component, cell = drawn(200, 200)
    alone = intervals(component, cell, 4, KAPPA)["kappa"]
    repeated = intervals(component * 10, cell * 10, 4, KAPPA)["kappa"]
    assert repeated.high - repeated.low == pytest.approx(alone.high - alone.low, abs=0.02)
    apart = intervals(list(range(2_000)), cell * 10, 4, KAPPA)["kappa"]
    assert apart.high - apart.low < (alone.high - alone.low) / 2


def test_a_figure_that_is_mostly_not_defined_has_no_interval():
    assert intervals([1], [0], 4, KAPPA) == {"kappa": None}
    assert intervals([], [], 4, KAPPA) == {"kappa": None}
    assert intervals([1] * 3, [3] * 3, 4, {"f1": lambda counts: f1s(counts, 2, 1)})["f1"].low == 1.0
    assert RESAMPLES >= 1_000
