"""What a recipe keeps out: calls outside its time, labels of models whose agreement with people is not known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from regraft.domain.datasets.kinds.dpo import DpoKind
from regraft.domain.datasets.kinds.judged import JudgedUnit, calibrated_pairs
from regraft.domain.datasets.kinds.kind import Candidates, Counts, mismatch
from regraft.domain.datasets.recipe import Recipe
from regraft.domain.errors import ConfigError
from regraft.infra.files.recipes import parse_recipe

FIRST = 'name = "few"\nkind = "dpo"\n[source]\n'
NOON = datetime(2026, 1, 2, 12)


@pytest.mark.parametrize(
    ("times", "cause"),
    [
        ([NOON], ""),
        ([datetime(2026, 1, 2)], ""),
        ([datetime(2026, 1, 1, 23, 59, 59)], "other_time"),
        ([datetime(2026, 1, 3)], "other_time"),
        ([NOON, datetime(2026, 1, 4)], "other_time"),
        ([datetime(2026, 1, 3, 1, tzinfo=timezone(timedelta(hours=2)))], ""),
    ],
)
def test_a_row_is_of_the_time_of_a_recipe_when_all_its_calls_are(times, cause):
    recipe = parse_recipe(FIRST + "since = 2026-01-02\nuntil = 2026-01-03\npurposes = []\n")
    assert mismatch(recipe, "", [], [], times) == cause


@pytest.mark.parametrize(
    "written", ["2026-01-02", "2026-01-02T00:00:00", "2026-01-02T02:00:00+02:00", '"2026-01-02"', '"2026-01-02T00:00Z"']
)
def test_a_time_without_a_zone_is_utc_however_it_is_written(written):
    assert parse_recipe(f"{FIRST}since = {written}\n").since == datetime(2026, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize("written", ["2026", "true", "07:30:00", '"yesterday"', "[2026-01-02]"])
def test_what_is_no_time_is_refused(written):
    with pytest.raises(ConfigError, match=r"source\.since"):
        parse_recipe(f"{FIRST}since = {written}\n")


def test_a_period_that_ends_before_it_begins_is_refused():
    with pytest.raises(ConfigError, match="since must be before until"):
        parse_recipe(f"{FIRST}since = 2026-02-01\nuntil = 2026-01-01\n")


def pair(source: str, given_by: str | None = None) -> dict[str, Any]:
    """A legal pair in which a is better."""
    sides = {"model": "m", "purpose": "chat", "started": NOON, "human": None, "outcome": None, "judge": 0.5}
    both = {f"{name}_{side}": value for name, value in sides.items() for side in "ab"}
    ids = {f"{noun}_{side}": f"{noun} {side}" for noun in ("node", "turn") for side in "ab"}
    certificate = {
        "verdict": "legal",
        "reason": "",
        "source": source,
        "given_by": given_by,
        "basis": None,
        "margin": 1.0,
    }
    more = {"pair_id": "1", "anchor_turn_id": "2", "theme": "", "chosen": "node a", "signals_a": 0.5, "signals_b": 0.5}
    return {**both, **ids, **certificate, **more}


@pytest.mark.parametrize(
    ("source", "given_by", "taken"),
    [("model", None, False), ("imported", "model", False), ("imported", "person", True), ("imported", "", True),
     ("human", None, True)],
)  # fmt: skip
def test_a_model_whose_agreement_is_not_known_decides_no_pair_where_agreement_is_asked_for(source, given_by, taken):
    labels = ("human", "imported", "model")
    found = pair(source, given_by)
    candidates = Candidates(list, list, lambda: [found])
    strict, counts = Recipe(name="r", kind="dpo", labels=labels, min_agreement=0.6), Counts()
    assert len(list(DpoKind().plan(strict, candidates, counts))) == taken
    assert counts.refused == ({} if taken else {"judge_not_calibrated": 1})
    assert len(list(calibrated_pairs(strict, [found]))) == taken
    assert len(list(DpoKind().plan(Recipe(name="r", kind="dpo", labels=labels), candidates, Counts()))) == 1


def test_a_model_whose_agreement_is_not_known_counts_in_no_score_where_agreement_is_asked_for():
    names = ("human_outcome", "outcome", "imported_human", "imported_outcome", "imported_rank", "quality")
    unit = {**dict.fromkeys(names), "judge_outcome": 0.1, "imported_judge": 0.2}
    labels = ("imported", "model")
    assert JudgedUnit(unit, None).allowed(labels)[1] == "model"
    strict = JudgedUnit(unit, None, judges=False)
    assert strict.allowed(labels)[1] == "none"
    assert strict.outcome(labels) is None
    assert strict.parts.judge == 0.1


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ('targets = ["nosuch"]', "'nosuch', which takes no sft; these do: trl"),
        ('targets = ["open-unlearning"]', "'open-unlearning', which takes no sft"),
        ("[select]\nk_per_stratum = 99999999999999999999", "select.k_per_stratum must be at most"),
        ("[select]\nper_context = -1", "select.per_context must be at least 0"),
    ],
)
def test_a_recipe_that_cannot_be_meant_is_refused_with_what_may_stand_there(more, said):
    with pytest.raises(ConfigError, match=said):
        parse_recipe(f'name = "few"\nkind = "sft"\n{more}\n')
