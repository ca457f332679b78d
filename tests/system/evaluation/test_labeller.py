"""The learned labeller beats the majority class where there is something to learn, and says so where there is not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from regraft.domain.evaluation.learned import REASONS, hindrance, verdict
from regraft.infra.statistics import labeller


@dataclass(frozen=True)
class Planted:
    """Vectors of which one direction tells the label, by ``signal``; paths of a component have the same label."""

    rows: Any
    labels: Any
    components: Any


def planted(
    count: int, signal: float, *, seed: int = 0, positive: float = 0.4, size: int = 2, spread: float = 1.0
) -> Planted:
    rng = np.random.default_rng(seed)
    components = np.arange(count) // size
    labels = (rng.random(components[-1] + 1) < positive)[components]
    direction = rng.normal(size=64)
    centres = rng.normal(size=(components[-1] + 1, 64))[components]
    vectors = centres + spread * rng.normal(size=(count, 64))
    vectors += np.outer(np.where(labels, 1.0, -1.0), direction) * signal
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Planted(labeller.features(vectors, rng.normal(size=(count, 5))), labels, components)


def judged(case: Planted) -> tuple[float, float, float]:
    """Accuracy on held-out labels, that of the majority class, and the certainty that the first is greater."""
    with labeller.one_thread():
        guessed = labeller.held_out(case.rows, case.labels, case.components).probabilities > 0.5
    right = guessed == case.labels
    majority = bool(case.labels.mean() > 0.5)
    sure = labeller.certainty(right, case.labels == majority, case.components)
    return float(right.mean()), float((case.labels == majority).mean()), sure


@pytest.mark.parametrize("seed", range(4))
def test_it_beats_the_majority_from_some_dozens_of_labels(seed: int) -> None:
    accuracy, majority, sure = judged(planted(60, 0.5, seed=seed))
    assert accuracy > majority + 0.1
    assert verdict(accuracy, majority, sure) == ""


def test_labels_that_nothing_tells_are_not_learned() -> None:
    said = [verdict(*judged(planted(40, 0.0, seed=seed))) for seed in range(12)]
    assert said.count("not_better_than_majority") >= 11


def test_paths_that_are_alike_do_not_teach_each_others_labels() -> None:
    """Eight near-copies of each conversation, with labels that nothing but the copies tells."""
    case = planted(160, 0.0, seed=3, size=8, spread=0.05)
    accuracy, majority, sure = judged(case)
    assert verdict(accuracy, majority, sure) == "not_better_than_majority"
    with labeller.one_thread():
        leaking = labeller.held_out(case.rows, case.labels, np.arange(160)).probabilities > 0.5
    assert (leaking == case.labels).mean() > 0.95  # as it would seem without components


def test_the_same_labels_give_the_same_probabilities() -> None:
    case = planted(60, 0.5)
    with labeller.one_thread():
        one, other = (labeller.held_out(case.rows, case.labels, case.components) for _ in range(2))
        model = labeller.fit(case.rows, case.labels, one.strength)
    assert np.array_equal(one.probabilities, other.probabilities)
    found = labeller.probabilities(case.rows, model)
    assert ((found >= 0) & (found <= 1)).all()
    assert (found[case.labels].mean(), found[~case.labels].mean()) == pytest.approx((1.0, 0.0), abs=0.3)


def test_one_label_alone_is_its_share_and_no_error() -> None:
    rows = np.zeros((4, 3), np.float32)
    model = labeller.fit(rows, np.ones(4, bool), 1.0)
    assert labeller.probabilities(rows, model) == pytest.approx(5 / 6, abs=1e-6)


def test_certainty_counts_components_and_not_paths() -> None:
    right = np.array([True] * 50 + [False] * 5)
    other = ~right
    alone = np.arange(55)
    together = np.array([0] * 50 + [1, 2, 3, 4, 5])
    assert labeller.certainty(right, other, alone) > 0.99
    assert labeller.certainty(right, other, together) < 0.8


@pytest.mark.parametrize(
    ("labels", "positives", "components", "reason"),
    [
        (29, 15, 20, "too_few_labels"),
        (30, 4, 20, "one_sided"),
        (30, 26, 20, "one_sided"),
        (30, 15, 3, "too_few_components"),
        (30, 15, 20, ""),
    ],
)
def test_what_hinders_learning_has_a_name(labels: int, positives: int, components: int, reason: str) -> None:
    assert hindrance(labels, positives, components) == reason
    assert reason in REASONS


def test_a_labeller_that_is_only_luckily_better_decides_nothing() -> None:
    assert verdict(0.8, 0.7, 0.99) == ""
    assert verdict(0.8, 0.7, 0.9) == "not_better_than_majority"
    assert verdict(0.7, 0.7, 0.99) == "not_better_than_majority"
