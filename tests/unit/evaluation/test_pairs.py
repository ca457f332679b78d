"""Which siblings are legal pairs."""

from __future__ import annotations

from itertools import permutations
from uuid import UUID

import pytest

from regraft.domain.evaluation.pairs import Candidate, Sibling, Vote, pair_id, propose
from regraft.domain.evaluation.score import ScoreParts

ANCHOR = UUID(int=99)


def sibling(number: int, quality: float | None = 0.5, **facts: object) -> Sibling:
    base = {
        "node_id": UUID(int=number),
        "turn_id": UUID(int=100 + number),
        "branch_kind": "retry",
        "context_id": b"context",
        "tools_id": None,
        "answer_projection": f"answer {number}".encode(),
        "has_answer": True,
        "node_status": "ok",
        "score": ScoreParts(signals=quality),
    }
    return Sibling(**{**base, **facts})  # type: ignore[arg-type]


def only(a: Sibling, b: Sibling, *votes: Vote) -> Candidate:
    (pair,) = propose(ANCHOR, [a, b], {pair_id(ANCHOR, a.node_id, b.node_id): votes})
    return pair


@pytest.mark.parametrize("kind", ["retry", "sampling_variant", "model_variant"])
def test_answers_to_one_context_with_one_tool_list_are_a_pair(kind: str) -> None:
    pair = only(sibling(1, 0.2, tools_id=b"t"), sibling(2, 0.9, branch_kind=kind, tools_id=b"t"))
    assert (pair.verdict, pair.reason, pair.source, pair.margin) == ("legal", "", "signals", 0.7)
    assert (pair.chosen, pair.rejected) == (UUID(int=2), UUID(int=1))
    assert (pair.anchor_turn_id, pair.tools_id) == (ANCHOR, b"t")


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"branch_kind": "prompt_variant", "context_id": b"other"}, "prompt_differs"),
        ({"branch_kind": "taskify_variant", "context_id": b"other"}, "plan_differs"),
        ({"context_id": b"other"}, "context_differs"),
        ({"branch_kind": "tool_variant", "tools_id": b"tools"}, "tools_differ"),
        ({"answer_projection": b"answer 1"}, "identical_answer"),
        ({"has_answer": False}, "no_answer"),
        ({"node_status": "error", "has_answer": False}, "no_answer"),
        ({"node_status": "interrupted"}, "not_finished"),
        ({"node_status": "filtered"}, "not_finished"),
        ({"score": ScoreParts(signals=0.51)}, "no_preference"),
        ({"score": ScoreParts()}, "no_preference"),
    ],
)
def test_what_is_no_pair_says_why(facts: dict[str, object], reason: str) -> None:
    pair = only(sibling(1), sibling(2, **facts))
    assert (pair.verdict, pair.reason, pair.chosen, pair.rejected) == ("refused", reason, None, None)


def test_a_persons_word_does_not_make_an_illegal_pair_legal() -> None:
    assert only(sibling(1), sibling(2, context_id=b"other"), Vote("human", "a")).reason == "context_differs"


def test_two_variants_are_compared_with_one_another_not_with_the_original() -> None:
    original = sibling(1, 0.1)
    one = sibling(2, 0.5, branch_kind="tool_variant", tools_id=b"tools")
    other = sibling(3, 0.9, branch_kind="tool_variant", tools_id=b"tools")
    verdicts = {
        frozenset((pair.node_a.int, pair.node_b.int)): pair.reason
        for pair in propose(ANCHOR, [original, one, other], {})
    }
    assert verdicts == {
        frozenset((1, 2)): "tools_differ",
        frozenset((1, 3)): "tools_differ",
        frozenset((2, 3)): "",
    }
    one = sibling(2, 0.5, branch_kind="prompt_variant", context_id=b"edited")
    other = sibling(3, 0.9, branch_kind="prompt_variant", context_id=b"edited again")
    assert {pair.reason for pair in propose(ANCHOR, [original, one, other], {})} == {"prompt_differs"}


def test_people_outrank_ratings_which_outrank_models_which_outrank_signals() -> None:
    a = sibling(1, score=ScoreParts(human=0.25, signals=1.0))
    b = sibling(2, score=ScoreParts(human=1.0, signals=0.0))
    said = only(a, b, Vote("model", "a"), Vote("human", "a"), Vote("human", "a"), Vote("human", "equal"))
    assert (said.source, said.chosen, said.margin) == ("human", a.node_id, 0.666667)
    rated = only(a, b, Vote("model", "a"))
    assert (rated.source, rated.chosen, rated.margin) == ("ratings", b.node_id, 0.75)
    judged = only(sibling(1, 1.0), sibling(2, 0.0), Vote("model", "b"))
    assert (judged.source, judged.chosen) == ("model", b.node_id)


def test_equal_and_both_bad_are_answers_that_signals_do_not_overrule() -> None:
    a, b = sibling(1, 1.0), sibling(2, 0.0)
    assert only(a, b, Vote("human", "equal")).reason == "judged_equal"
    assert only(a, b, Vote("human", "a"), Vote("human", "b")).reason == "judged_equal"
    assert only(a, b, Vote("human", "both_bad"), Vote("human", "both_bad"), Vote("human", "a")).reason == "both_bad"


def test_a_pair_is_one_whatever_the_order_and_however_often_a_node_answered() -> None:
    siblings = [sibling(number, number / 10) for number in (1, 2, 3)]
    again = sibling(1, 0.1, turn_id=UUID(int=500))
    expected = propose(ANCHOR, siblings, {})
    assert len({pair.pair_id for pair in expected}) == 3
    for order in permutations(siblings):
        assert propose(ANCHOR, [*order, again], {}) == expected
    assert all(pair.node_a < pair.node_b for pair in expected)
    assert pair_id(ANCHOR, UUID(int=1), UUID(int=2)) == pair_id(ANCHOR, UUID(int=2), UUID(int=1))
    assert pair_id(UUID(int=98), UUID(int=1), UUID(int=2)) != pair_id(ANCHOR, UUID(int=1), UUID(int=2))


def test_outcomes_from_one_source_decide_before_models_and_after_people() -> None:
    def judged(number: int, outcome: float, source: str = "tests", **parts: float) -> Sibling:
        return sibling(number, score=ScoreParts(outcome=outcome, signals=0.5, **parts), outcome_source=source)

    better = only(judged(1, 0.0), judged(2, 1.0), Vote("model", "a"))
    assert (better.source, better.chosen, better.margin) == ("outcome", UUID(int=2), 1.0)
    assert only(judged(1, 0.5), judged(2, 0.5)).reason == "judged_equal"
    assert only(judged(1, 0.0), judged(2, 1.0), Vote("human", "a")).source == "human"
    assert only(judged(1, 0.0, human=1.0), judged(2, 1.0, human=0.0)).source == "ratings"
    assert only(judged(1, 0.0), judged(2, 1.0, "other"), Vote("model", "a")).source == "model"


def test_verdicts_of_models_decide_where_nobody_else_said_anything() -> None:
    a, b = (sibling(number, score=ScoreParts(judge=judge, signals=0.5)) for number, judge in ((1, 0.25), (2, 0.75)))
    assert (only(a, b).source, only(a, b).chosen, only(a, b).margin) == ("model", UUID(int=2), 0.5)
