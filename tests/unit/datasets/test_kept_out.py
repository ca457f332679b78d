"""What a recipe keeps out: calls outside its time, labels of models whose agreement with people is not known."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from regraft.domain.datasets.kinds.dpo import DpoKind
from regraft.domain.datasets.kinds.judged import JudgedUnit, JudgeTrust, judge_categories, judge_rating
from regraft.domain.datasets.kinds.kind import Candidates, Counts, PlannedRow, mismatch
from regraft.domain.datasets.recipe import Recipe, recipe_hash
from regraft.domain.errors import ConfigError
from regraft.domain.evaluation.calibration import Calibrations, JudgeFigures, Requirement
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


def pair(source: str, given_by: str | None = None, deciders: list[Any] | None = None) -> dict[str, Any]:
    """A legal pair in which a is better."""
    sides = {"model": "m", "purpose": "chat", "started": NOON, "human": None, "outcome": None, "judge": 0.5}
    both = {f"{name}_{side}": value for name, value in sides.items() for side in "ab"}
    ids = {f"{noun}_{side}": f"{noun} {side}" for noun in ("node", "turn") for side in "ab"}
    certificate = {
        "verdict": "legal",
        "reason": "",
        "source": source,
        "given_by": given_by,
        "deciders": json.dumps(deciders or []),
        "basis": None,
        "margin": 1.0,
    }
    more = {
        "pair_id": "1",
        "anchor_turn_id": "2",
        "theme": "",
        "chosen": "node a",
        "rejected": "node b",
        "signals_a": 0.5,
        "signals_b": 0.5,
    }
    return {**both, **ids, **certificate, **more}


JUDGES = [["good", "good@1", "preference", "a"], ["bad", "bad@1", "preference", "b"]]
LABELS = ("human", "imported", "model")


def figures(judge: str, version: str = "", **more: Any) -> JudgeFigures:
    """Of a judge that agrees with people by 0.8 on 60 items."""
    given = {"judge": judge, "judge_version": version, "task": "preference", "category": "", "theme": None, "stale": ""}
    rest = {field.name: None for field in fields(JudgeFigures) if field.name not in given}
    return JudgeFigures(**{**rest, **given, "items": 60, "agreement": 0.8, **more})


def planned(found: dict[str, Any], *known: JudgeFigures, **recipe: Any) -> tuple[list[PlannedRow], Counts]:
    counts = Counts()
    candidates = Candidates(list, list, lambda: [found], Calibrations(known))
    asked = Recipe(name="r", kind="dpo", labels=LABELS, **recipe)
    return list(DpoKind().plan(asked, candidates, counts)), counts


@pytest.mark.parametrize(
    ("source", "given_by", "taken"),
    [("model", None, False), ("imported", "model", False), ("imported", "person", True), ("imported", "", True),
     ("human", None, True)],
)  # fmt: skip
def test_a_model_whose_agreement_is_not_known_decides_no_pair(source, given_by, taken):
    found = pair(source, given_by)
    rows, counts = planned(found)
    assert len(rows) == taken
    assert counts.refused == ({} if taken else {"judge_not_calibrated": 1})
    (row,), _ = planned(found, min_agreement=0.0)
    assert row.agreement is None


@pytest.mark.parametrize(
    ("known", "recipe", "taken"),
    [
        ({}, {}, True),
        ({"agreement": 0.59}, {}, False),
        ({"agreement": 0.59}, {"min_agreement": 0.5}, True),
        ({"items": 49}, {}, False),
        ({"items": 49}, {"min_judged": 40}, True),
        ({"stale": "rubric"}, {}, False),
        ({"stale": "model"}, {}, False),
        ({"agreement": None}, {}, False),
        ({"judge_version": "good@2"}, {}, False),
        ({"theme": "one"}, {}, False),
        ({"task": "rating"}, {}, False),
    ],
)
def test_a_judge_decides_when_it_agrees_with_people_as_much_as_the_recipe_asks_for(known, recipe, taken):
    found = pair("model", "model", JUDGES[:1])
    rows, counts = planned(
        found, figures("good", **{"version": "good@1", **known} if "judge_version" not in known else known), **recipe
    )
    assert len(rows) == taken
    assert [row.agreement for row in rows] == ([known.get("agreement", 0.8)] if taken else [])
    assert counts.refused == ({} if taken else {"judge_not_calibrated": 1})


def test_votes_of_judges_that_are_not_admitted_are_not_counted():
    tied = {
        **pair("model", "model", JUDGES),
        "verdict": "refused",
        "reason": "judged_equal",
        "chosen": None,
        "margin": 0.0,
    }
    (row,), _ = planned(tied, figures("good", "good@1"))
    assert (row.turns, row.margin, row.agreement) == ({"chosen": "turn a", "rejected": "turn b"}, 1.0, 0.8)
    (other,), _ = planned(tied, figures("bad", "bad@1", agreement=0.7))
    assert (other.turns["chosen"], other.agreement) == ("turn b", 0.7)
    rows, counts = planned(tied, figures("good", "good@1"), figures("bad", "bad@1"))
    assert (rows, counts.refused) == ([], {"judged_equal": 1})


def test_models_that_decided_together_are_all_to_be_admitted_and_the_least_agreement_counts():
    two = [["set: gpt-4", "", "preference", ""], ["set: claude", "", "preference", ""]]
    found = pair("imported", "model", two)
    assert planned(found, figures("set: gpt-4"))[1].refused == {"judge_not_calibrated": 1}
    (row,), _ = planned(found, figures("set: gpt-4"), figures("set: claude", agreement=0.65))
    assert row.agreement == 0.65


def unit(**more: Any) -> dict[str, Any]:
    names = (
        "human_outcome",
        "outcome",
        "imported_human",
        "imported_outcome",
        "imported_rank",
        "quality",
        "judge_source",
    )
    said = {"judge_outcome": None, "imported_judge": None, "imported_judges": None}
    return {**dict.fromkeys(names), **said, **more}


def trusting(*known: JudgeFigures, agreement: float = 0.6) -> JudgeTrust:
    return JudgeTrust(Requirement(agreement), Calibrations(known))


def test_a_model_whose_agreement_is_not_known_counts_in_no_score():
    labels = ("imported", "model")
    found = unit(judge_outcome=0.1, judge_source="grader", imported_judge=0.2)
    assert JudgedUnit(found, None, trust=trusting(agreement=0.0)).allowed(labels)[1] == "model"
    strict = JudgedUnit(found, None, trust=trusting())
    assert strict.allowed(labels)[1] == "none"
    assert strict.outcome(labels) is None
    assert strict.parts.judge == 0.1
    known = JudgedUnit(found, None, trust=trusting(figures("grader", task="rating")))
    assert (known.allowed(labels)[0].judge, known.agreement(labels)) == (0.1, 0.8)
    assert (
        JudgedUnit(found, 1.0, trust=trusting(figures("grader", task="rating"))).agreement(("human", *labels)) is None
    )


def test_imported_judges_count_by_their_names_and_our_judges_by_their_ratings():
    found = unit(imported_judge=0.2, imported_judges='[["set: gpt-4", "", "preference"]]')
    assert JudgedUnit(found, None, trust=trusting(figures("set: gpt-4"))).allowed(("imported",))[1] == "imported"
    trust = trusting(figures("rates", "rates@1", task="rating"))
    ours = judge_rating(trust, [["rates", "rates@1", 5.0], ["other", "other@1", 1.0]])
    assert (ours.value, ours.shown, ours.agreement) == (1.0, 0.5, 0.8)
    judged = JudgedUnit(unit(), None, trust=trust, judged=ours)
    assert (judged.allowed(("model",))[1], judged.agreement(("model",)), judged.parts.judge) == ("model", 0.8, 0.5)


def test_a_category_counts_from_a_calibrated_judge_alone_whatever_the_recipe_asks_for():
    named = [["sorts", "sorts@1", "hallucination"]]
    assert judge_categories(trusting(agreement=0.0), named) == {}
    known = figures("sorts", "sorts@1", task="categories", category="hallucination", agreement=0.7)
    assert judge_categories(trusting(known), named)["hallucination"].agreement == 0.7
    assert judge_categories(trusting(replace(known, agreement=0.5)), named) == {}


def test_a_recipe_in_which_no_model_decides_means_the_same_whatever_it_asks_of_models():
    def meaning(labels: tuple[str, ...], **more: Any) -> bytes:
        return recipe_hash(Recipe(name="r", kind="dpo", labels=labels, **more))

    assert meaning(("human",)) == meaning(("human",), min_agreement=0.0)
    assert meaning(LABELS) != meaning(LABELS, min_agreement=0.0)
    assert meaning(LABELS) != meaning(LABELS, min_judged=60)


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
