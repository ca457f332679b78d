"""Scores and the choice of the best."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regraft.domain.datasets.kinds.kind import Limit, PlannedRow
from regraft.domain.datasets.recipe import recipe_hash
from regraft.domain.datasets.selection import Quota
from regraft.domain.errors import ConfigError
from regraft.domain.evaluation.score import ScoreParts, Weights, answer_quality, human_part, score
from regraft.domain.evaluation.trajectory import AnswerSignals
from regraft.infra.files.recipes import parse_recipe

SHARE = st.floats(0, 1)
WEIGHTS = Weights()


def signals(**facts: object) -> AnswerSignals:
    base = {
        "status": "ok",
        "finish_reason": "stop",
        "empty": False,
        "length": 10,
        "relative_length": 1.0,
        "repetition": 0.0,
    }
    return AnswerSignals(**{**base, **facts})  # type: ignore[arg-type]


@given(SHARE, SHARE, SHARE, SHARE, SHARE, SHARE)
def test_what_people_say_outweighs_everything_else(
    outcome: float, judge: float, measured: float, other: float, third: float, fourth: float
) -> None:
    best = score(ScoreParts(human=1.0, outcome=outcome, judge=judge, signals=measured), WEIGHTS)
    worst = score(ScoreParts(human=0.0, outcome=other, judge=third, signals=fourth), WEIGHTS)
    assert best > worst


def test_an_unknown_part_is_neutral_and_a_forbidden_one_too() -> None:
    assert score(ScoreParts(), WEIGHTS) == 0.5
    assert score(ScoreParts(human=1.0), WEIGHTS, ["signals"]) == 0.5
    assert score(ScoreParts(human=1.0), WEIGHTS) > score(ScoreParts(signals=1.0), WEIGHTS) > 0.5


def test_weights_are_the_recipes() -> None:
    only_signals = Weights(human=0, outcome=0, judge=0, signals=3)
    assert score(ScoreParts(human=1.0, signals=0.25), only_signals) == 0.25
    with pytest.raises(ConfigError):
        Weights(human=-1)
    with pytest.raises(ConfigError):
        Weights(human=0, outcome=0, judge=0, signals=0)


def test_ratings_become_a_share() -> None:
    assert human_part([]) is None
    assert (human_part([1]), human_part([5]), human_part([2, 4])) == (0.0, 1.0, 0.5)


def test_signals_take_worth_away() -> None:
    assert answer_quality(signals()) == 1.0
    assert answer_quality(signals(empty=True)) == answer_quality(signals(status="error")) == 0.0
    assert answer_quality(signals(finish_reason="length")) == 0.7
    assert answer_quality(signals(repetition=0.5)) == 0.75
    assert answer_quality(signals(relative_length=4.0)) == 0.9


def test_a_quota_counts_the_rows_of_each_stratum_against_every_limit() -> None:
    quota = Quota([Limit(lambda row: row.stratum, 2), Limit(lambda row: row.anchor, 1), Limit(lambda row: row.kind, 0)])
    rows = [("1", "a", "x"), ("2", "a", "x"), ("3", "a", "y"), ("4", "a", "z"), ("5", "b", "w")]
    kept = []
    for row_id, stratum, anchor in rows:
        planned = PlannedRow(row_id=row_id, kind="sft", turns={}, stratum=stratum, anchor=anchor)
        if quota.has_room(planned):
            quota.take(planned)
            kept.append(row_id)
    assert kept == ["1", "3", "5"]


RECIPE = """
name = "one"  # a name
kind = "dpo"
[source]
themes = ["x"]
min_score = 0.5
[select]
min_margin = 0.1
[splits]
train = 0.5
validation = 0.5
"""


def test_a_recipe_is_read_and_its_hash_is_its_meaning() -> None:
    recipe = parse_recipe(RECIPE)
    assert (recipe.themes, recipe.min_score, recipe.min_margin, dict(recipe.splits)) == (
        ("x",),
        0.5,
        0.1,
        {"train": 0.5, "validation": 0.5},
    )
    assert recipe_hash(parse_recipe(RECIPE.replace("# a name", ""))) == recipe_hash(recipe)
    assert recipe_hash(parse_recipe(RECIPE.replace("0.1", "0.2"))) != recipe_hash(recipe)


def test_a_recipe_keeps_its_hash_unless_it_asks_for_fidelity() -> None:
    asked = parse_recipe(RECIPE.replace("[source]", "[source]\nmin_fidelity = 0.9", 1))
    nothing = parse_recipe(RECIPE.replace("[source]", "[source]\nmin_fidelity = 0.0", 1))
    assert asked.min_fidelity == 0.9
    assert recipe_hash(asked) != recipe_hash(parse_recipe(RECIPE)) == recipe_hash(nothing)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("kind", "knid"), "knid"),
        (("themes", "theme"), "theme is unknown"),
        (('"dpo"', '"kto"'), "kind"),
        (('"one"', '"One!"'), "lower-case letters"),
        (("train = 0.5", "train = 0.6"), "sum to 1"),
        (("min_score = 0.5", "min_score = 5"), "at most 1, not 5"),
        (("min_score = 0.5", 'labels = ["astrology"]'), "astrology"),
        (('["x"]', '"x"'), "list"),
        (("[select]", "[select"), "not valid TOML"),
    ],
)
def test_a_wrong_recipe_is_told_what_is_wrong(change: tuple[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_recipe(RECIPE.replace(*change))
