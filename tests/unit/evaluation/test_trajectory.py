"""What is measured on paths and answers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regraft.domain.capture.message import text_of
from regraft.domain.evaluation.trajectory import (
    TrajectoryStep,
    calls_of,
    measure_answer,
    measure_unit,
    printable,
    render,
    repetition_of,
)
from regraft.domain.lineage.tool_calls import is_tool_error


def call(name: str, arguments: object) -> dict[str, object]:
    return {"role": "assistant", "tool_calls": [{"id": "x", "function": {"name": name, "arguments": arguments}}]}


def step(number: int, **facts: object) -> TrajectoryStep:
    base = {
        "kind": "continuation",
        "status": "ok",
        "model": "m",
        "finish_reason": "stop",
        "prompt_tokens": 10,
        "completion_tokens": None,
        "duration_ms": 250.0,
    }
    return TrajectoryStep(**{**base, **facts})  # type: ignore[arg-type]


def test_a_path_is_summed_and_calls_are_counted_by_meaning() -> None:
    history = [
        {"role": "user", "content": "go"},
        call("f", '{"a": 1, "b": 2}'),
        {"role": "tool", "content": '{"error": "no"}', "tool_call_id": "x"},
        call("f", '{"b":2,"a":1}'),
        {"role": "tool", "content": "fine", "tool_call_id": "x"},
    ]
    signals = measure_unit(
        [step(1), step(2), step(3, finish_reason=None)], history, {"role": "assistant", "content": "done"}
    )
    assert (signals.turns, signals.tool_calls, signals.tool_errors, signals.repeated_calls) == (3, 2, 1, 1)
    assert (signals.prompt_tokens, signals.completion_tokens, signals.seconds) == (30, 0, 0.75)
    assert signals.finish_reasons == ("stop", "stop", "none")
    assert not signals.answer.empty


def test_an_answer_without_text_is_empty_unless_it_calls() -> None:
    def empty(answer: dict[str, object] | None) -> bool:
        return measure_answer(answer, status="ok", finish_reason="stop").empty

    assert empty(None)
    assert empty({"role": "assistant", "content": " \n"})
    assert not empty(call("f", "{}"))


def test_length_is_measured_against_the_siblings() -> None:
    answer = {"role": "assistant", "content": "x" * 90}
    assert measure_answer(answer, status="ok", finish_reason="stop", sibling_lengths=[30, 10, 50]).relative_length == 3
    assert measure_answer(answer, status="ok", finish_reason="stop").relative_length == 1


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("Error: gone", True),
        ("Traceback (most recent call last):", True),
        ('{"error": null, "rows": 3}', False),
        ('{"success": false}', True),
        ('{"is_error": true}', True),
        ("{not json", False),
        ("No errors found", False),
        ("[1, 2]", False),
    ],
)
def test_a_failed_tool_is_told_by_what_it_says(content: str, expected: bool) -> None:
    assert is_tool_error({"role": "tool", "content": content}) is expected
    assert not is_tool_error({"role": "user", "content": content})


@pytest.mark.parametrize(("flag", "expected"), [(True, True), (False, False), (None, True)])
def test_the_flag_of_a_tools_result_says_more_than_its_words(flag: bool | None, expected: bool) -> None:
    assert is_tool_error({"role": "tool", "content": "Error: 0 found", "is_error": flag}) is expected
    assert is_tool_error({"role": "tool", "content": "make: command not found", "is_error": flag}) is bool(flag)


def test_repetition_is_the_share_of_word_fourgrams_seen_before() -> None:
    assert repetition_of("one two three four five six") == 0
    assert repetition_of("a b c d") == 0
    assert repetition_of("no " * 13) == pytest.approx(0.9)


@given(st.text())
def test_repetition_is_a_share(text: str) -> None:
    assert 0 <= repetition_of(text) < 1


def test_content_is_text_in_every_form_it_comes_in() -> None:
    assert (
        text_of({"content": [{"type": "text", "text": "a"}, {"type": "image_url"}, {"type": "text", "text": "b"}]})
        == "a\nb"
    )
    assert text_of({"content": None}) == text_of({}) == ""
    assert calls_of({"tool_calls": None}) == []
    assert calls_of(call("f", "{broken")) == [("f", "{broken")]


def test_a_rendering_holds_calls_and_nothing_that_a_store_refuses() -> None:
    text = render([{"role": "user", "content": "a\0b\ud800"}, call("f", {"a": 1})])
    assert text == '[user]\na␀b�\n\n[assistant]\n-> f({"a":1})'
    assert printable(text) == text
    text.encode()
