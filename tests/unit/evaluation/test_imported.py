"""Judgements that came with imported data decide pairs, each within what it was made over."""

from __future__ import annotations

from uuid import UUID

import pytest

from regraft.domain.capture.importers.conversation import Judgement
from regraft.domain.evaluation.imported import AnswerScores, Decider, JudgedAnswers, majority, worth_of
from regraft.domain.evaluation.pairs import Candidate, Sibling, Vote, pair_id, propose
from regraft.domain.evaluation.score import ScoreParts

ANCHOR, A, B, C = (UUID(int=number) for number in (99, 1, 2, 3))


def said(value: float, name: str = "preferred", **more: object) -> Judgement:
    return Judgement(**{"name": name, "value": value, "source": "set", **more})  # type: ignore[arg-type]


def compare(a: list[Judgement], b: list[Judgement], *others: list[Judgement]) -> tuple[str, float, str] | None:
    more = {UUID(int=10 + place): given for place, given in enumerate(others)}
    found = JudgedAnswers({A: a, B: b, **more}).compare(A, B)
    return (found.preference, round(found.margin, 6), found.given_by) if found else None


def votes(*values: float) -> tuple[list[Judgement], list[Judgement]]:
    """Judgements of both sides, by annotators that give the first side these values and the other the rest of 1."""
    first = [said(value, comparison="c", annotator=f"annotator{n}") for n, value in enumerate(values)]
    return first, [said(1 - value, comparison="c", annotator=f"annotator{n}") for n, value in enumerate(values)]


def siblings(*judgements: list[Judgement], quality: tuple[float, ...] = (0.1, 0.9, 0.5)) -> list[Sibling]:
    return [
        Sibling(
            node_id=UUID(int=number),
            turn_id=UUID(int=100 + number),
            branch_kind="retry",
            context_id=b"context",
            tools_id=None,
            answer_projection=f"answer {number}".encode(),
            has_answer=True,
            node_status="ok",
            score=ScoreParts(signals=quality[number - 1]),
            judgements=tuple(given),
        )
        for number, given in enumerate(judgements, start=1)
    ]


def only(*judgements: list[Judgement], cast: tuple[Vote, ...] = ()) -> Candidate:
    (pair,) = propose(ANCHOR, siblings(*judgements), {pair_id(ANCHOR, A, B): cast})
    return pair


def test_a_preference_decides_against_what_was_measured_and_names_its_source() -> None:
    pair = only([said(1, comparison="line 1")], [said(0, comparison="line 1")])
    assert (pair.source, pair.chosen, pair.margin, pair.basis, pair.decided_by) == (
        *("imported", A, 1.0, "preference"),
        "set",
    )


def test_answers_that_were_never_compared_are_no_pair() -> None:
    better, between, worse = [said(1, comparison="1")], [said(0, comparison="1"), said(1, comparison="2")], []
    worse.append(said(0, comparison="2"))
    found = {
        (pair.node_a, pair.node_b): (pair.reason, pair.chosen)
        for pair in propose(ANCHOR, siblings(better, between, worse), {})
    }
    assert found == {(A, B): ("", A), (B, C): ("", B), (A, C): ("no_preference", None)}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((1, 1, 1), ("a", 1.0)),
        ((1, 1, 0.5), ("a", 0.666667)),
        ((0, 1, 0), ("b", 0.333333)),
        ((0.5, 0.5, 1), ("equal", 0.0)),
        ((1, 0, 0.5), ("equal", 0.0)),
        ((1, 0), ("equal", 0.0)),
    ],
)
def test_of_several_annotators_the_majority_decides(given: tuple[float, ...], expected: tuple[str, float]) -> None:
    found = compare(*votes(*given))
    assert found is not None
    assert found[:2] == expected


def test_both_bad_is_said_only_where_no_other_answer_was_preferred() -> None:
    bad = [said(0, comparison="c")]
    assert compare(bad, bad) == ("both_bad", 0.0, "")
    assert compare(bad, bad, [said(1, comparison="c")]) is None


def test_the_better_rank_wins_by_its_distance_and_equal_ranks_are_no_pair() -> None:
    def ranked(*places: float) -> list[Judgement]:
        return [said(place, "rank", comparison="after x") for place in places]

    assert compare(ranked(0), ranked(1), ranked(4)) == ("a", 0.25, "")
    assert compare(ranked(2), ranked(2)) == ("equal", 0.0, "")
    assert compare(ranked(0, 3), ranked(1)) == ("equal", 0.0, "")  # one answer that was ranked twice
    assert compare(ranked(0), [said(1, "rank", comparison="after y")]) is None


def test_ratings_are_compared_within_one_source_and_on_its_scale() -> None:
    assert compare([said(4, "score:quality", scale=(1, 5))], [said(2, "score:quality", scale=(1, 5))]) == ("a", 0.5, "")
    assert compare([said(9, "score")], [said(3, "score")], [said(1, "score")]) == ("a", 0.75, "")
    assert compare([said(9, "score")], [said(3, "score", source="other")]) is None
    assert compare([said(1, "vote")], [said(-1, "vote")]) == ("a", 1.0, "")
    assert compare([said(1)], [said(0)]) == ("a", 1.0, "")  # a label that is in no comparison
    assert compare([said(0.25, "reward"), said(0, "success")], [said(0.5, "reward"), said(0, "success")]) == (
        *("b", 0.25),
        "",
    )


def test_what_is_said_of_the_whole_answer_outweighs_its_aspects() -> None:
    aspects = ("helpfulness", "honesty", "coherence")

    def rated(*values: float, whole: float | None = None) -> list[Judgement]:
        found = [said(value, f"score:{name}", scale=(1, 5)) for name, value in zip(aspects, values, strict=True)]
        return [*found, said(whole, "score:overall_score", scale=(1, 10))] if whole else found

    assert compare(rated(5, 5, 1), rated(4, 4, 5)) == ("a", 0.333333, "")  # its sure aspect is the other's
    found = compare(rated(5, 5, 5, whole=4), rated(1, 1, 1, whole=7))
    assert found is not None
    assert found[0] == "b"


def test_figures_whose_better_end_is_not_known_decide_nothing() -> None:
    toxic = [said(0.9, "score:toxicity"), said(3, "emoji:+1")]
    assert compare(toxic, [said(0.1, "score:toxicity"), said(5, "emoji:+1")]) is None
    assert not JudgedAnswers({A: toxic}).is_judged(A)
    assert only(toxic, toxic).source == "signals"


def test_people_decide_before_models_and_a_models_word_is_marked() -> None:
    def by(value: float, who: str, given_by: str) -> Judgement:
        return said(value, comparison="c", annotator=who, given_by=given_by)

    model = ([by(1, "gpt-4", "model")], [by(0, "gpt-4", "model")])
    pair = only(*model)
    assert (pair.source, pair.chosen, pair.given_by, pair.decided_by) == ("imported", A, "model", "set: gpt-4")
    both = only([*model[0], by(0, "ann", "person")], [*model[1], by(1, "ann", "person")])
    assert (both.source, both.chosen, both.given_by, both.decided_by) == ("imported", B, "person", "set: ann")
    assert only(*model, cast=(Vote("human", "b"),)).source == "human"
    assert only(*model, cast=(Vote("model", "b"),)).given_by == "model"


def test_what_was_measured_never_decides_where_somebody_judged() -> None:
    tie = [said(0.5, comparison="c")]
    assert (only(tie, tie).reason, only(tie, tie).source) == ("judged_equal", "imported")
    assert only([said(0, comparison="c")], [said(0, comparison="c")]).reason == "both_bad"
    assert only([said(1, "vote")], []).reason == "no_preference"
    assert only([], []).source == "signals"


def test_a_majority_is_what_more_said_than_anything_else() -> None:
    assert majority(["a", "a", "b"]) == "a"
    assert majority(["a", "b", "equal", "equal"]) == "equal"
    assert majority(["a", "both_bad"]) == "equal"
    assert majority(["both_bad", "both_bad", "a"]) == "both_bad"


def test_an_answer_alone_is_worth_what_was_said_of_it_by_who_said_it() -> None:
    assert worth_of([said(1, "reward"), said(0, "success")]) == AnswerScores(outcome=1.0)
    assert worth_of([said(3, "score:quality", scale=(1, 5), given_by="model")]) == AnswerScores(
        judge=0.5, judges=(Decider("set", task="rating"),)
    )
    assert worth_of([said(1, comparison="c", given_by="model", annotator="gpt-4")]) == AnswerScores(
        judge=1.0, judges=(Decider("set: gpt-4"),)
    )
    assert worth_of([said(0, comparison="c", given_by="person")]) == AnswerScores(human=0.0)
    assert worth_of([said(0, "rank")]) == AnswerScores(rank=1.0)
    assert worth_of([said(7, "score"), said(4, "emoji:+1")]) == AnswerScores()
