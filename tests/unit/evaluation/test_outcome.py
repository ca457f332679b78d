"""Rewards and ratings become parts of a score, with their sources kept separate."""

from __future__ import annotations

import pytest

from regraft.domain.evaluation.outcome import Outcome, OutcomeReport, outcome_of, part_of, worth


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        *[("reward", 0.25, 0.25), ("reward", -1.0, 0.0), ("reward", 7.0, 1.0)],
        *[("rating", 1.0, 0.0), ("rating", 3.0, 0.5), ("rating", 5.0, 1.0), ("rating", 9.0, 1.0)],
    ],
)
def test_rewards_and_ratings_are_worth_0_to_1(name: str, value: float, expected: float) -> None:
    assert worth(OutcomeReport(name, value, "client")) == expected


@pytest.mark.parametrize(
    ("source", "part"),
    [
        *[
            ("client", "outcome"),
            ("tau-bench", "outcome"),
            ("", "outcome"),
            ("pytest", "outcome"),
            ("modelling", "outcome"),
        ],
        *[("human", "human"), ("chatgpt user", "human"), ("Reviewer-7", "human")],
        *[("model", "judge"), ("llm_judge", "judge"), ("judge", "judge"), ("user simulating model", "judge")],
    ],
)
def test_a_source_says_whose_word_it_is(source: str, part: str) -> None:
    assert part_of(source) == part


def test_the_first_verdict_of_each_kind_counts_and_none_overwrites_another() -> None:
    said = [
        OutcomeReport("reward", 1, "judge"),
        OutcomeReport("reward", 0.5, "tests"),
        OutcomeReport("reward", 0, "tests"),
    ]
    assert outcome_of(said) == Outcome(human=None, outcome=0.5, judge=1.0, source="tests", judge_source="judge")
    assert outcome_of([*said, OutcomeReport("rating", 2, "human")]).human == 0.25
    assert outcome_of([]) == Outcome()
