"""Typed negatives name their evidence, and only the types that a recipe asks for reach suppression and unlearning."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from regraft.domain.datasets.kinds import KINDS
from regraft.domain.datasets.kinds.kind import Candidates, Counts, Limit, PlannedRow
from regraft.domain.datasets.negatives import BY_PEOPLE, SiblingFacts, findings_of, sibling_facts
from regraft.domain.datasets.recipe import Recipe
from regraft.domain.datasets.selection import Quota

UNIT: dict[str, Any] = {
    **dict.fromkeys(
        ("human_outcome", "outcome", "judge_outcome", "fidelity", "task_key", "outcome_source", "imported_human")
    ),
    **dict.fromkeys(("imported_outcome", "imported_judge", "imported_rank", "judge_source", "imported_judges")),
    "unit_id": "n1",
    "started_at": datetime(2026, 1, 1),
    "turn_id": "t1",
    "anchor": "a",
    "path_anchors": ["a"],
    "path_nodes": ["n1"],
    "theme": "",
    "model": "m",
    "purpose": "chat",
    "turns": 1,
    "quality": 0.9,
    "node_status": "ok",
    "finish_reasons": ["stop"],
    "answer_empty": False,
    "tool_calls": 0,
    "tool_errors": 0,
    "repeated_calls": 0,
    "repetition": 0.0,
    "garbled": 0.0,
}
PAIR: dict[str, Any] = {
    **{f"{part}_{side}": None for part in ("human", "outcome", "judge") for side in "ab"},
    "pair_id": "p1",
    "anchor_turn_id": "t0",
    "theme": "",
    "node_a": "n1",
    "node_b": "n2",
    "turn_a": "t1",
    "turn_b": "t2",
    "started_a": datetime(2026, 1, 1),
    "started_b": datetime(2026, 1, 1),
    "given_by": "",
    "deciders": "[]",
    "model_a": "m",
    "model_b": "m",
    "purpose_a": "chat",
    "purpose_b": "chat",
    "verdict": "legal",
    "reason": "",
    "source": "human",
    "basis": "preference",
    "margin": 1.0,
    "chosen": "n2",
    "signals_a": 0.9,
    "signals_b": 0.8,
    "similarity": None,
}


def types(unit: dict[str, Any], *pairs: dict[str, Any], human: float | None = None, **more: Any) -> list[str]:
    facts = sibling_facts(pairs)
    found = findings_of({**UNIT, **unit}, human=human, categories=more.get("categories", {}), facts=facts)
    assert all(one.evidence for one in found)
    return [one.type for one in found]


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ({}, []),
        ({"answer_empty": True}, ["noise_reject"]),
        ({"finish_reasons": ["length"]}, ["noise_reject"]),
        ({"node_status": "interrupted"}, ["noise_reject"]),
        ({"repetition": 0.7}, ["noise_reject"]),
        ({"garbled": 0.2}, ["noise_reject"]),
        ({"tool_calls": 3, "tool_errors": 1}, ["tool_misuse"]),
        ({"tool_calls": 3, "repeated_calls": 1}, ["tool_misuse"]),
    ],
)
def test_what_is_wrong_with_a_path_is_named_by_what_was_measured(unit: dict[str, Any], expected: list[str]) -> None:
    assert types(unit) == expected


def test_measured_repetition_makes_no_noise_of_what_people_like() -> None:
    assert types({"repetition": 0.7}, human=1.0) == []
    assert types({"repetition": 0.7}, human=0.5) == ["noise_reject"]
    assert types({"answer_empty": True}, human=1.0) == ["noise_reject"]


def test_what_people_say_makes_candidates_for_suppression() -> None:
    assert types({}, human=0.25) == ["suppression_candidate"]
    assert types({}, human=0.5) == []
    assert types({}, categories={"suppress": BY_PEOPLE}) == ["suppression_candidate"]
    assert types({}, {**PAIR, "verdict": "refused", "reason": "both_bad", "chosen": None}) == ["suppression_candidate"]
    assert types({}, categories={"hallucination": BY_PEOPLE}) == ["hallucination"]


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        ({}, ["hard_negative"]),
        ({"similarity": 0.9}, ["hard_negative"]),
        ({"similarity": 0.3}, []),
        ({"signals_b": 0.3}, []),
        ({"source": "signals"}, []),
        ({"source": "model"}, []),
        ({"chosen": "n1"}, []),
    ],
)
def test_a_hard_negative_lost_to_a_sibling_that_looks_alike(pair: dict[str, Any], expected: list[str]) -> None:
    assert types({}, {**PAIR, **pair}) == expected


def test_a_sibling_with_other_tools_and_a_better_outcome_shows_misuse() -> None:
    pair = {**PAIR, "verdict": "refused", "reason": "tools_differ", "chosen": None, "outcome_a": 0.0, "outcome_b": 1.0}
    assert types({"tool_calls": 1}, pair) == ["tool_misuse"]
    assert types({}, pair) == []
    assert types({"tool_calls": 1}, {**pair, "outcome_b": 0.0}) == []


def planned(
    kind: str, units: list[dict[str, Any]], pairs: list[dict[str, Any]], ratings: dict[str, int], **more: Any
) -> tuple[list[PlannedRow], Counts]:
    rated = [{"unit_id": unit, "ratings": json.dumps([each]), "categories": "[]"} for unit, each in ratings.items()]
    recipe, counts = Recipe(name="r", kind=kind, **more), Counts()  # type: ignore[arg-type]
    found = KINDS[kind].plan(recipe, Candidates(lambda: units, lambda: rated, lambda: pairs), counts)
    return list(found), counts


def unit(name: str, **more: Any) -> dict[str, Any]:
    return {**UNIT, "unit_id": name, "turn_id": f"t-{name}", "path_nodes": [name], **more}


def test_suppression_takes_judged_paths_and_never_noise() -> None:
    units = [unit("good"), unit("bad"), unit("cut", finish_reasons=["length"]), unit("unknown"), unit("middling")]
    rows, counts = planned("suppression", units, [], {"good": 5, "bad": 1, "cut": 1, "middling": 2})
    labels = {row.row_id: (row.label, row.negative) for row in rows}
    assert labels == {
        "good": ("true", ""),
        "bad": ("false", "suppression_candidate"),
        "middling": ("false", "suppression_candidate"),
    }
    assert counts.refused == {"noise_reject": 1}
    assert counts.passed_over == {"not_judged_good": 1}


def test_types_that_a_recipe_does_not_name_are_no_negatives() -> None:
    units = [unit("broken", tool_calls=1, tool_errors=1)]
    assert planned("suppression", units, [], {})[0] == []
    rows, _ = planned("suppression", units, [], {}, negatives=("tool_misuse",))
    assert [(row.negative, row.evidence) for row in rows] == [("tool_misuse", "1 of 1 calls failed")]


def test_unlearning_forgets_with_an_alternate_and_retains_as_much_as_the_recipe_wants() -> None:
    units = [unit("bad"), *(unit(f"kept{number}") for number in range(5))]
    pairs = [{**PAIR, "node_a": "bad", "node_b": "kept0", "turn_b": "t-kept0", "chosen": "kept0"}]
    rows, _ = planned("unlearning", units, pairs, {"bad": 1}, retain_per_forget=2.0)
    forget = next(row for row in rows if row.label == "forget")
    assert dict(forget.turns) == {"answer": "t-bad", "alternate": "t-kept0"}
    quota, kept = Quota(KINDS["unlearning"].limits(Recipe(name="r", kind="unlearning", retain_per_forget=2.0))), []
    for row in sorted(rows, key=lambda row: (-row.rank, row.row_id)):
        if quota.has_room(row):
            quota.take(row)
            kept.append(row.label)
    assert kept == ["forget", "retain", "retain"]


def test_a_limit_relative_to_another_stratum_leaves_others_alone() -> None:
    quota = Quota([Limit(lambda row: row.label, of="forget", ratio=0.5)])
    row = PlannedRow(row_id="r", kind="unlearning", turns={})
    assert quota.has_room(row)
    assert not quota.has_room(replace(row, label="retain"))
    quota.take(replace(row, label="forget"))
    assert quota.has_room(replace(row, label="retain"))


def test_a_reward_row_prefers_the_sibling_whose_continuations_came_to_more() -> None:
    units = [
        unit("x", path_nodes=["n1", "x"], outcome=1.0),
        unit("y", path_nodes=["n1", "y"], outcome=0.0),
        unit("z", path_nodes=["n2", "z"], outcome=0.0),
    ]
    undecided = {
        **PAIR,
        "verdict": "refused",
        "reason": "no_preference",
        "chosen": None,
        "source": "none",
        "margin": 0.0,
    }
    (row,), _ = planned("reward", units, [undecided], {}, labels=("outcome",))
    assert (dict(row.turns), row.margin, row.label_source) == ({"chosen": "t1", "rejected": "t2"}, 0.5, "outcome")
    assert "0.5 of 2 paths" in row.evidence
    assert planned("reward", units, [undecided], {}, labels=("human",))[0] == []
    assert planned("reward", units, [undecided], {}, labels=("outcome",), min_margin=0.6)[0] == []


def test_a_decided_pair_is_a_reward_row_as_it_is_a_preference() -> None:
    (row,), _ = planned("reward", [], [PAIR], {})
    assert (row.kind, dict(row.turns), row.margin) == ("reward", {"chosen": "t2", "rejected": "t1"}, 1.0)


def test_a_path_without_a_flaw_has_none() -> None:
    assert findings_of(UNIT, human=None, categories={}, facts=SiblingFacts()) == []
