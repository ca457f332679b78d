"""Estimates from the random sample: unbiased, whatever part of it was judged, and with intervals that hold."""

from __future__ import annotations

import random

import pytest

from regraft.domain.evaluation.prevalence import SampledStratum, estimate


def test_an_item_counts_as_the_inverse_of_its_probability() -> None:
    rare = SampledStratum(rate=0.1, drawn=2, values=[1.0, 0.0])  # each represents 10
    judged_half = SampledStratum(rate=0.5, drawn=4, values=[1.0, 1.0])  # each represents 4
    found = estimate([rare, judged_half])
    assert found is not None
    assert found.population == pytest.approx(28)
    assert found.mean == pytest.approx((10 + 8) / 28)
    assert found.judged == 4


def test_nothing_judged_is_no_estimate() -> None:
    assert estimate([]) is None
    assert estimate([SampledStratum(rate=0.5, drawn=10, values=[])]) is None


def test_a_whole_population_has_no_error() -> None:
    found = estimate([SampledStratum(rate=1.0, drawn=4, values=[1.0, 0.0, 0.0, 0.0])])
    assert found is not None
    assert (found.low, found.mean, found.high) == (0.25, 0.25, 0.25)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    rest = random.Random(11)
    population = [float(number % 10 < 3) for number in range(2000)]
    inside = total = 0.0
    for _ in range(400):
        sample = [value for value in population if rest.random() < 0.1]
        judged = sample[: len(sample) // 2 + 1]
        found = estimate([SampledStratum(rate=0.1, drawn=len(sample), values=judged)])
        assert found is not None
        inside += found.low <= 0.3 <= found.high
        total += found.mean
    assert total / 400 == pytest.approx(0.3, abs=0.01)
    assert inside / 400 > 0.9
