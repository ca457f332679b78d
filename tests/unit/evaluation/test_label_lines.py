"""Lines of labels from files: what each says of which answer, or why it says nothing."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from regraft.domain.evaluation.label_lines import (
    LabelDefaults,
    Target,
    UnreadableLabelError,
    is_label_line,
    read_label_line,
)

NODE = str(UUID(int=7))
BY = LabelDefaults(source="study")


def read(line: dict[str, Any], defaults: LabelDefaults = BY) -> list[tuple[str, str, float, str]]:
    found = read_label_line(line, defaults)
    return [(target.name, each.name, each.value, each.comparison) for target, each in found.judgements]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ({"node": NODE, "label": True}, ("label", 1.0)),
        ({"turn_id": NODE, "label": "no"}, ("label", 0.0)),
        ({"node": NODE, "rating": "4"}, ("rating", 4.0)),
        ({"node": NODE, "rating": 4, "name": "helpfulness"}, ("score:helpfulness", 4.0)),
        ({"node": NODE, "rank": 2}, ("rank", 2.0)),
        ({"node": NODE, "rank": 2, "label": "", "key": None}, ("rank", 2.0)),
    ],
)
def test_a_line_judges_an_answer(line: dict[str, Any], expected: tuple[str, float]) -> None:
    assert is_label_line(line)
    assert read(line) == [(NODE, *expected, "")]


@pytest.mark.parametrize(
    ("word", "values"), [("a", (1, 0)), ("B", (0, 1)), ("tie", (0.5, 0.5)), ("both_bad", (0, 0)), (2, (0, 1))]
)
def test_a_line_prefers_one_of_two_answers(word: Any, values: tuple[float, float]) -> None:
    line = {"key_a": "one", "key_b": "two", "preference": word}
    assert is_label_line(line)
    assert read(line, LabelDefaults(source="study", key_prefix="set/")) == [
        ("set/one", "preferred", values[0], ""),
        ("set/two", "preferred", values[1], ""),
    ]
    assert read_label_line(line, BY).pair


def test_a_line_says_who_judged_and_defaults_fill_in() -> None:
    line = {"key": 12, "rating": 3, "scale_low": 1, "scale_high": 5, "annotator": "ann", "comment": "fine"}
    ((target, judgement),) = read_label_line(line, BY).judgements
    assert target == Target("key", "12")
    assert (judgement.source, judgement.annotator, judgement.comment, judgement.scale) == (
        "study",
        "ann",
        "fine",
        (1, 5),
    )
    ((_, judgement),) = read_label_line(
        {"key": "k", "label": 1, "source": "own"}, LabelDefaults(annotator="gpt-4")
    ).judgements
    assert (judgement.source, judgement.annotator, judgement.given_by) == ("own", "gpt-4", "model")


def test_a_review_of_fastchat_prefers_the_answer_with_the_higher_score() -> None:
    review = {"answer1_id": "x", "answer2_id": "y", "score": [7.0, 9.0], "reviewer_id": 1, "text": "7 9"}
    assert is_label_line(review)
    assert read(review) == [("x", "preferred", 0.0, ""), ("y", "preferred", 1.0, "")]
    judge = LabelDefaults(source="vicuna", annotator="gpt-4")
    (_, judgement), _ = read_label_line(review, judge).judgements
    assert (judgement.annotator, judgement.given_by, judgement.comment) == ("gpt-4", "model", "7 9")
    with pytest.raises(UnreadableLabelError, match="two scores"):
        read_label_line({**review, "score": [-1, -1]}, judge)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ({"label": True}, "no node, turn or key"),
        ({"node": NODE, "key": "k", "label": True}, "several names of one answer"),
        ({"node": "1234", "label": True}, "a node that is not a whole id"),
        ({"node": NODE}, "no label, rating, rank or preference"),
        ({"node": NODE, "label": True, "rating": 2}, "several verdicts in one line"),
        ({"node": NODE, "label": "maybe"}, "a label that is neither true nor false"),
        ({"node": NODE, "rating": "good"}, "a rating that is not a number"),
        ({"node": NODE, "rating": "nan"}, "a rating that is not a number"),
        ({"node": NODE, "rating": 9, "scale_low": 1, "scale_high": 5}, "a rating beyond its scale"),
        ({"node": NODE, "rating": 9, "scale_low": 1}, "a scale without a lower and a higher end"),
        ({"node_a": NODE, "preference": "a"}, "no node, turn or key of side b"),
        ({"key_a": "x", "key_b": "x", "preference": "a"}, "a preference between an answer and itself"),
        ({"key_a": "x", "key_b": "y", "preference": "c"}, "a preference that is not a, b, equal or both_bad"),
        ({"node": NODE, "label": True, "given_by": "cat"}, "a given_by that is not person, model or program"),
        ({"node": NODE, "label": True, "given_at": "soon"}, "a given_at that is not a time"),
        ("text", "no label, rating, rank or preference"),
    ],
)
def test_a_line_that_cannot_be_taken_says_why(line: Any, reason: str) -> None:
    with pytest.raises(UnreadableLabelError) as error:
        read_label_line(line, BY)
    assert str(error.value) == reason


def test_labels_without_a_source_are_refused() -> None:
    with pytest.raises(UnreadableLabelError, match="no source"):
        read_label_line({"node": NODE, "label": True}, LabelDefaults())


@pytest.mark.parametrize(
    "line",
    [
        {"prompt": "q", "completion": "a", "label": True},
        {"messages": [], "key": "k", "label": 1},
        {"key": "k"},
        [],
        None,
    ],
)
def test_lines_of_conversations_are_no_labels(line: Any) -> None:
    assert not is_label_line(line)
