"""Which votes make a contest, and how strengths of one contest give a margin."""

from __future__ import annotations

from math import exp
from uuid import UUID

import pytest

from regraft.domain.evaluation.contest import Comparison, Strength, contests, margin, numbered
from regraft.domain.evaluation.pairs import Sibling, Vote, pair_id, propose
from regraft.domain.evaluation.score import ScoreParts

A, B, C, D, E, F = (UUID(int=number) for number in range(1, 7))


def test_a_contest_has_three_answers_and_a_vote_for_each() -> None:
    assert contests([Comparison(A, B, "a")] * 9) == []
    assert contests([Comparison(A, B, "a"), Comparison(B, C, "a")]) == []
    (found,) = contests([Comparison(A, B, "a"), Comparison(C, B, "b"), Comparison(A, B, "equal")])
    assert found.answers == (A, B, C)
    assert found.wins == ((0.0, 1.5, 0.0), (0.5, 0.0, 1.0), (0.0, 0.0, 0.0))


def test_answers_that_no_vote_connects_are_in_contests_of_their_own() -> None:
    said = [Comparison(A, B, "a"), Comparison(B, C, "a"), Comparison(C, A, "both_bad")]
    others = [Comparison(D, E, "b"), Comparison(E, F, "b"), Comparison(F, D, "b")]
    first, second = contests([*said, *others])
    assert (first.answers, second.answers) == ((A, B, C), (D, E, F))
    assert sum(map(sum, first.wins)) == len(said)
    found = numbered([(first, [2.0, 0.0, -2.0]), (second, [1.0, 0.0, 0.0])])
    assert margin(found[A], found[C]) == pytest.approx(2 / (1 + exp(-4)) - 1)
    assert margin(found[C], found[A]) == pytest.approx(-(margin(found[A], found[C]) or 0))
    assert margin(found[A], found[D]) is None
    assert margin(found[A], None) is None


def _sibling(node: UUID, rating: float | None = None) -> Sibling:
    return Sibling(
        node_id=node,
        turn_id=node,
        branch_kind="retry",
        context_id=b"context",
        tools_id=None,
        answer_projection=node.bytes,
        has_answer=True,
        node_status="ok",
        score=ScoreParts(human=rating, signals=node.int / 10),
    )


STRENGTHS = {"human": {A: Strength(0, 1.0), B: Strength(0, 0.0), C: Strength(0, 0.001)}}


def test_strengths_come_before_ratings_and_after_votes_over_the_pair() -> None:
    siblings = [_sibling(A, 0.0), _sibling(B, 1.0)]
    (unseen,) = propose(D, siblings, {}, strengths=STRENGTHS)
    assert (unseen.source, unseen.basis, unseen.chosen) == ("human", "strengths", A)
    (tied,) = propose(D, siblings, {pair_id(D, A, B): [Vote("human", "equal")]}, strengths=STRENGTHS)
    assert (tied.reason, tied.basis) == ("judged_equal", "")
    (seen,) = propose(D, siblings, {pair_id(D, A, B): [Vote("human", "a")]}, strengths=STRENGTHS)
    assert (seen.chosen, seen.margin) == (A, unseen.margin)
    assert (seen.strength_a, seen.strength_b) == (1.0, 0.0)
    (contradicted,) = propose(D, siblings, {pair_id(D, A, B): [Vote("human", "b")]}, strengths=STRENGTHS)
    assert (contradicted.reason, contradicted.chosen) == ("judged_equal", None)


def test_answers_of_equal_strength_are_left_to_ratings_and_never_to_signals() -> None:
    (rated,) = propose(D, [_sibling(B, 0.25), _sibling(C, 0.75)], {}, strengths=STRENGTHS)
    assert (rated.source, rated.chosen, rated.margin) == ("ratings", C, 0.5)
    (plain,) = propose(D, [_sibling(B), _sibling(C)], {}, strengths=STRENGTHS)
    assert (plain.source, plain.reason) == ("none", "no_preference")


def test_models_strengths_decide_only_where_nobody_else_said_anything() -> None:
    models = {"model": STRENGTHS["human"]}
    (pair,) = propose(D, [_sibling(A), _sibling(B)], {}, strengths=models)
    assert (pair.source, pair.chosen) == ("model", A)
    (rated,) = propose(D, [_sibling(A, 0.0), _sibling(B, 1.0)], {}, strengths=models)
    assert (rated.source, rated.chosen) == ("ratings", B)
