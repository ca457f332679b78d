"""Anchors identify distinctive parts: long texts, and tool-call ids that are not counters."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regraft.domain.lineage.fingerprints import (
    ARGUMENT,
    CALL,
    LONG_ENOUGH,
    RESULT,
    TEXT,
    anchors_of,
    answer_anchors,
    call_anchor,
    is_long_answer,
    kind_of,
    same_text,
    text_anchor,
)
from support.row_conversations import grows_linearly

LONG = "The build fails since the lock file names a package twice; I remove the older line."
ID = "call_h7Q2x0001ZkPq"


def calling(*calls, **more):
    made = [{"id": i, "type": "function", "function": {"name": "f", "arguments": text}} for i, text in calls]
    return {"role": "assistant", "content": None, "tool_calls": made, **more}


@pytest.mark.parametrize(
    "call_id", [ID, "toolu_01HqVx9KcRtBw2", "call_e9ox1F7w2sdxoaVVX7r8AUBZ", "chatcmpl-tool-8c4f1a0be7d94"]
)
def test_an_id_that_nobody_would_choose_twice_has_an_anchor(call_id):
    assert kind_of(call_anchor(call_id)) == CALL


@pytest.mark.parametrize(
    "call_id",
    [
        *("call_1", "get_weather:0", "", "functions.search:12", "call_0000000001", "abcdefghijkl", "a1a1a1a1a1"),
        *("1" * 40, None, 7, ["x"], {}),
    ],
)
def test_a_counter_a_word_or_what_is_no_text_has_none(call_id):
    assert call_anchor(call_id) is None


def test_a_text_is_long_enough_at_the_limit_and_not_below():
    assert text_anchor("x" * LONG_ENOUGH, TEXT) is not None
    assert text_anchor("x" * (LONG_ENOUGH - 1), TEXT) is None
    assert text_anchor("x" + " " * LONG_ENOUGH, TEXT) is None


def test_white_space_is_no_part_of_what_a_text_is_recognised_by_and_every_word_is():
    assert (
        text_anchor(LONG.replace(" ", " \r\n\t"), TEXT) == text_anchor(f"\n{LONG}  ", TEXT) == text_anchor(LONG, TEXT)
    )
    assert text_anchor(LONG + "!", TEXT) != text_anchor(LONG, TEXT)


@given(st.text(min_size=LONG_ENOUGH), st.sampled_from([TEXT, ARGUMENT, RESULT]), st.sampled_from([TEXT, RESULT]))
def test_the_same_text_in_another_place_differs_in_its_kind_alone(text, kind, other):
    anchor = text_anchor(text, kind)
    if anchor is None:
        assert len(" ".join(text.split())) < LONG_ENOUGH
        return
    assert -(2**63) <= anchor < 2**63  # it has to fit a bigint
    assert kind_of(anchor) == kind
    assert same_text(anchor, other) == text_anchor(text, other)


def test_an_answer_has_the_anchors_of_its_text_its_calls_and_their_long_arguments():
    answer = calling((ID, json.dumps({"a": {"b": [LONG]}, "c": "short"})), ("call_1", "{}"), content=LONG)
    expected = {text_anchor(LONG, TEXT), call_anchor(ID), text_anchor(LONG, ARGUMENT), *answer_anchors(answer)}
    assert anchors_of(answer) == tuple(sorted(expected))


def test_a_result_has_the_anchor_of_its_text_as_a_result_and_of_the_call_that_it_answers():
    message = {"role": "tool", "tool_call_id": ID, "content": LONG}
    assert anchors_of(message) == tuple(sorted({text_anchor(LONG, RESULT), call_anchor(ID)}))


def test_what_a_harness_put_in_or_a_model_thought_changes_no_anchor():
    reminder = "<system-reminder>be kind</system-reminder>"
    assert anchors_of({"role": "user", "content": LONG + reminder}) == anchors_of({"role": "user", "content": LONG})
    thought = {"role": "assistant", "content": f"<think>hm</think>{LONG}"}
    assert anchors_of(thought) == anchors_of({"role": "assistant", "content": LONG})


def test_a_user_who_writes_of_calls_makes_none():
    assert anchors_of({"role": "user", "content": "hi", "tool_calls": calling((ID, "{}"))["tool_calls"]}) == ()


@pytest.mark.parametrize("message", [None, "text", 5, [], {}, {"role": 1}, {"role": "assistant", "tool_calls": "x"}])
def test_what_is_no_chat_message_or_says_little_has_none(message):
    assert anchors_of(message) == ()


def test_an_answer_is_recognised_by_what_it_says_and_not_by_ids_reasoning_or_white_space():
    answer = calling((ID, '{"a": 1, "b": null}'), content=f"{LONG} ")
    again = calling(("call_1", '{"a":1}'), content=f"<think>hm</think>\n{LONG.replace(' ', '  ')}")
    assert answer_anchors(answer) == answer_anchors(again) != set()
    assert not answer_anchors(answer) & answer_anchors(calling((ID, '{"a": 2}'), content=LONG))


def test_a_long_answer_and_one_with_a_call_are_told_from_a_short_one():
    assert all(map(is_long_answer, answer_anchors({"content": "x" * 41})))
    assert not any(map(is_long_answer, answer_anchors({"content": "x" * 40})))
    assert all(map(is_long_answer, answer_anchors(calling((None, None)))))
    assert answer_anchors({"content": " ", "tool_calls": []}) == set()


def test_an_answer_is_recognised_as_a_renderer_gives_it_back():
    said = {"content": "# Plan\n\n- **First**, don't read `a.py`:\n```python\nx = 1\n```\nThen the café opens."}
    shown = {"content": "Plan\n\n• First, don\u2019t read a.py:\n\nx = 1\n\nThen the cafe\u0301 opens."}
    other = {"content": "Plan\n\n• First, don't read b.py:\n\nx = 1\n\nThen the café opens."}
    assert answer_anchors(said) & answer_anchors(shown)
    assert not answer_anchors(said) & answer_anchors(other)


def test_an_answer_of_punctuation_has_one_anchor():
    assert len(answer_anchors({"content": "?!"})) == 1


def test_random_ids_without_a_digit_are_recognised_and_names_are_not():
    assert call_anchor("call_PAaWXNMynLqjwHHbHZGAuvZy") is not None
    for name in ("call_getTheWeatherOfCityNow", "functions_searchDirectFlights", "CREATEANEWDOCUMENTNOW"):
        assert call_anchor(name) is None


def test_a_long_run_of_combining_marks_takes_time_in_proportion():
    assert grows_linearly(lambda size: answer_anchors({"content": "a" + "\u0301\u0316" * size}), 20_000)
