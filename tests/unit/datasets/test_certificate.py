"""Sentences of a certificate, values that admitted a row, and trained messages."""

from __future__ import annotations

import pytest

from regraft.domain.datasets.admission import admission
from regraft.domain.datasets.certificate import UNCALIBRATED, statements
from regraft.domain.datasets.recipe import Recipe
from regraft.domain.datasets.training_mask import effect
from support.rows import ANSWER, SYSTEM, USER, pair, row, says, sft

CLEAN = {"sessions_in_two_splits": 0, "contents_in_two_splits": 0}


def by_standing(leakage: dict[str, int], report: dict[str, object], rows: int = 10) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in statements(leakage, report, rows):
        found.setdefault(one.standing, []).append(one.text)
    return found


def test_nothing_is_claimed_that_was_not_looked_at() -> None:
    said = by_standing(CLEAN, {"labels": {"human": 10}})
    assert len(said["proven"]) == 3
    assert [one.split()[0] for one in said["open"]] == ["No", "Rows", "Nothing"]
    assert "warning" not in said


def test_a_leak_and_an_uncalibrated_judge_are_warned_of() -> None:
    said = by_standing({**CLEAN, "sessions_in_two_splits": 2}, {"labels": {UNCALIBRATED: 4, "signals": 6}})
    assert said["warning"][0].startswith("2 times the same conversation")
    assert said["warning"][1].startswith("4 of 10 rows were decided by a model")
    assert "6 of 10 rows have no judgement: they were only measured." in said["open"]


def test_what_filters_did_is_proven() -> None:
    filters = {
        "near_duplicates": {"threshold": 0.8},
        "decontamination": {"ngram": 13, "files": {"mmlu.jsonl": {}}},
        "redaction": {"what": "pii", "replaced": {"EMAIL": 2, "KEY": 1}},
    }
    said = by_standing(CLEAN, {"labels": {"human": 1}, "filters": filters})
    assert "open" not in said
    assert any("80%" in one for one in said["proven"])
    assert any("mmlu.jsonl" in one for one in said["proven"])
    assert any(one.startswith("Secrets and personal data") and "3 in all" in one for one in said["proven"])


def test_the_figures_of_a_row_stand_beside_what_the_recipe_demands() -> None:
    recipe = Recipe(name="r", kind="dpo", min_margin=0.25, min_score=0.5)
    made = pair((USER,), label_source="model", margin=0.5, score=0.75, agreement=0.8)
    found = {one.name: (one.value, one.demanded) for one in admission(recipe, made)}
    assert found["margin between the sides"] == ("0.500", "at least 0.25")
    assert found["score"] == ("0.750", "at least 0.5")
    assert found["decided by"] == ("model", "one of human, imported")
    assert found["agreement of the judge with people"][0] == "0.80"
    assert "margin between the sides" not in {one.name for one in admission(recipe, sft(USER, ANSWER))}


@pytest.mark.parametrize(
    ("kind", "label", "part", "message", "expected"),
    [
        ("sft", None, "messages", ANSWER, "learn"),
        ("sft", None, "messages", says("assistant", "No.", weight=0.0), ""),
        ("sft", None, "messages", USER, ""),
        ("sft", None, "messages", SYSTEM, ""),
        ("dpo", None, "prompt", ANSWER, ""),
        ("dpo", None, "chosen", ANSWER, "learn"),
        ("dpo", None, "rejected", ANSWER, "avoid"),
        ("suppression", "true", "completion", ANSWER, "learn"),
        ("suppression", "false", "completion", ANSWER, "avoid"),
        ("unlearning", "forget", "completion", ANSWER, "avoid"),
        ("unlearning", "forget", "alternate", ANSWER, "learn"),
        ("unlearning", "retain", "completion", ANSWER, "learn"),
    ],
)
def test_what_training_does_with_a_message(kind, label, part, message, expected):
    assert effect(row(kind, label=label), part, message) == expected
