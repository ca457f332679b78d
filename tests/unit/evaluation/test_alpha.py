"""Krippendorff's alpha equals the `krippendorff` package on random data with missing values, and its own examples."""

from __future__ import annotations

import random
from typing import Any, get_args

import krippendorff
import numpy as np
import pytest

from regraft.domain.evaluation.alpha import Level, alpha, domain_of, pattern_of
from regraft.infra.statistics.alpha_interval import alpha_interval


def random_judgements(seed: int, values: int, missing: float, noise: float) -> list[list[float | None]]:
    """By subject, what each of five people said."""
    rest = random.Random(seed)
    found = []
    for _ in range(40):
        true = rest.randrange(values)
        said = [true if rest.random() > noise else rest.randrange(values) for _ in range(5)]
        found.append([None if rest.random() < missing else float(each) for each in said])
    return found


def reference(judgements: list[list[float | None]], level: str) -> float:
    data: Any = np.array([[np.nan if each is None else each for each in row] for row in judgements]).T
    return float(krippendorff.alpha(reliability_data=data, level_of_measurement=level))


@pytest.mark.parametrize("level", get_args(Level))
@pytest.mark.parametrize("seed", range(12))
def test_alpha_equals_the_reference(level: Level, seed: int) -> None:
    judgements = random_judgements(seed, values=2 + seed % 5, missing=0.1 * (seed % 7), noise=0.1 * (seed % 9))
    ours = alpha([[each for each in row if each is not None] for row in judgements], level)
    assert ours.alpha == pytest.approx(reference(judgements, level), abs=1e-9)
    assert ours.subjects == sum(sum(each is not None for each in row) > 1 for row in judgements)


def test_the_textbook_example() -> None:
    """Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), section C: four observers, twelve units."""
    rows = ["11.1", "2232", "3333", "3333", "2222", "1234", "4444", "1121", "2222", ".555", "..11", ".3.."]
    subjects = [[int(each) for each in row if each != "."] for row in rows]
    assert alpha(subjects, "nominal").alpha == pytest.approx(0.743, abs=5e-4)
    assert alpha(subjects, "ordinal").alpha == pytest.approx(0.815, abs=5e-4)
    assert alpha(subjects, "interval").alpha == pytest.approx(0.849, abs=5e-4)


def test_words_are_values_of_a_nominal_scale() -> None:
    subjects = [["a", "a"], ["b", "b"], ["a", "equal"], ["b"]]
    found = alpha(subjects, "nominal")
    assert (found.subjects, found.labels) == (3, 6)
    codes = {"a": 0.0, "b": 1.0, "equal": 2.0}
    padded: list[list[float | None]] = [[codes[each] for each in row] + [None] * (2 - len(row)) for row in subjects]
    assert found.alpha == pytest.approx(reference(padded, "nominal"), abs=1e-12)


@pytest.mark.parametrize("subjects", [[], [["a"]], [["a", "a"], ["a", "a"]]])
def test_without_anything_to_tell_apart_there_is_no_alpha(subjects: list[list[str]]) -> None:
    assert alpha(subjects, "nominal").alpha is None


@pytest.mark.parametrize("level", get_args(Level))
def test_the_interval_holds_alpha_and_narrows_with_more_subjects(level: Level) -> None:
    widths = []
    for copies in (1, 16):
        judgements = [row for seed in range(copies) for row in random_judgements(seed, 4, 0.2, 0.3)]
        subjects = [[each for each in row if each is not None] for row in judgements]
        subjects = [values for values in subjects if len(values) > 1]
        domain = domain_of(subjects)
        patterns = [pattern_of(values, domain) for values in subjects]
        found = alpha_interval(range(len(subjects)), patterns, domain, level)
        value = alpha(subjects, level).alpha
        assert found is not None
        assert value is not None
        assert found.low < value < found.high
        assert alpha_interval(range(len(subjects)), patterns, domain, level) == found
        widths.append(found.high - found.low)
    assert widths[1] < widths[0] / 2


def test_subjects_of_one_component_are_drawn_together() -> None:
    subjects = [[1, 1], [2, 2], [3, 3], [1, 3]] * 10
    domain = domain_of(subjects)
    patterns = [pattern_of(values, domain) for values in subjects]
    alone = alpha_interval(range(40), patterns, domain, "ordinal")
    together = alpha_interval([number // 4 for number in range(40)], patterns, domain, "ordinal")
    assert alone is not None
    assert together is not None
    assert together.high - together.low < 1e-9 < alone.high - alone.low  # every component has the same counts
