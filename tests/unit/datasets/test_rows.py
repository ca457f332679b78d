"""Histories in canonical form: which results belong to which calls, and which answers trainers should not learn
from."""

from __future__ import annotations

from typing import Any

import pytest

from regraft.domain.datasets.messages import Message, RowRefusal, canonical_message, canonical_messages, message_of
from regraft.domain.datasets.tools import broken_exchange, tool_list, unlisted_call
from regraft.domain.datasets.turns import RecordedTurn, checked
from regraft.domain.ids import Number


def asking(*ids: str | None) -> dict[str, Any]:
    calls = [{"id": one, "type": "function", "function": {"name": "f", "arguments": "{}"}} for one in ids]
    return {"role": "assistant", "content": None, "tool_calls": calls}


def result(call_id: str | None) -> dict[str, Any]:
    return {"role": "tool", "content": "7", "tool_call_id": call_id}


def say(role: str, content: str, **more: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **more}


def history(*bodies: dict[str, Any]) -> tuple[Message, ...]:
    messages = canonical_messages(bodies)
    assert isinstance(messages, tuple)
    return messages


@pytest.mark.parametrize(
    "bodies",
    [
        (asking("a", "b"), result("b"), result("a")),
        (asking(None), result(None)),
        (asking(None), result("x")),
        (asking("a"), result(None)),
        (asking("a"), result(""), asking("a"), result("a")),
        (asking("a"), result("a"), say("user", "?"), asking("b", "c")),
    ],
)
def test_results_belong_to_calls_by_id_or_else_in_order(bodies: tuple[dict[str, Any], ...]) -> None:
    assert broken_exchange(history(*bodies)) is None


@pytest.mark.parametrize(
    "bodies",
    [
        (result("a"),),
        (result(None),),
        (result("a"), asking("a")),
        (asking("a"), result("b")),
        (asking("a"), result("a"), result("a")),
        (asking(None), result(None), result(None)),
    ],
)
def test_a_result_that_no_call_before_it_asked_for_is_refused(bodies: tuple[dict[str, Any], ...]) -> None:
    refusal = broken_exchange(history(*bodies))
    assert refusal is not None
    assert refusal.reason == "tool_result_without_call"


def test_a_function_call_of_the_older_form_is_a_tool_call_without_an_id() -> None:
    call = canonical_message({"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}})
    said = canonical_message({"role": "function", "name": "f", "content": "7"})
    assert call == message_of(
        "assistant",
        None,
        tool_calls=[{"id": None, "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    )
    assert said == message_of("tool", "7", name="f")
    assert tool_list({"functions": [{"name": "f"}]}) == '[{"function":{"name":"f"},"type":"function"}]'


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"weight": 0}, 0.0),
        ({"weight": Number("0.0")}, 0.0),
        ({"weight": Number("0.5")}, 0.5),
        ({"loss": False}, 0.0),
        ({"weight": 1, "train": True}, None),
        ({"weight": 1, "train": False}, 0.0),
        ({"weight": Number("1.0")}, None),
        ({"weight": None}, None),
        ({"role": "user", "weight": 0}, None),
    ],
)
def test_the_weight_of_an_answer_is_kept(body: dict[str, Any], expected: float | None) -> None:
    message = canonical_message({"role": "assistant", "content": "x", **body})
    assert isinstance(message, dict)
    assert message["weight"] == expected


@pytest.mark.parametrize("weight", ["much", -1, Number("1e999"), [1, 0]])
def test_a_weight_that_is_no_share_is_refused(weight: Any) -> None:
    found = canonical_message({"role": "assistant", "content": "x", "weight": weight})
    assert isinstance(found, RowRefusal)
    assert found.reason == "message_weight"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"reasoning_content": "hm"}, "hm"),
        ({"reasoning": "hm", "reasoning_content": " "}, "hm"),
        (
            {"reasoning_details": [{"type": "reasoning.text", "text": each} for each in "hm"]},
            "hm",
        ),
        ({"reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}]}, None),
        ({"role": "user", "reasoning": "hm"}, None),
        ({}, None),
    ],
)
def test_what_the_model_thought_is_kept_beside_its_answer(body: dict[str, Any], expected: str | None) -> None:
    message = canonical_message({"role": "assistant", "content": "x", **body})
    assert isinstance(message, dict)
    assert message["reasoning"] == expected


@pytest.mark.parametrize(
    "bodies",
    [
        (asking("a"), say("user", "?")),
        (asking("a", "b"), result("a"), say("assistant", "x")),
        (asking("a", "b"), result("b")),
        (asking(None), asking("b")),
    ],
)
def test_a_call_that_was_passed_over_is_refused(bodies: tuple[dict[str, Any], ...]) -> None:
    refusal = broken_exchange(history(*bodies))
    assert refusal is not None
    assert refusal.reason == "call_without_result"


def test_a_called_tool_has_to_be_in_the_tool_list() -> None:
    messages = history(asking("a"), result("a"))
    assert unlisted_call(messages, tool_list({"functions": [{"name": "f"}]})) is None
    assert unlisted_call(messages, None) is None, "nothing is known of what was offered"
    other = tool_list({"functions": [{"name": "g"}]})
    assert isinstance(other, str)
    refusal = unlisted_call(messages, other)
    assert refusal is not None
    assert (refusal.reason, refusal.detail) == ("call_to_unlisted_tool", "f")


def turn(*bodies: dict[str, Any], answer: str) -> RecordedTurn:
    return checked(
        RecordedTurn(node_id="n", session_id="s", history=history(*bodies), answer=history(say("assistant", answer)))
    )


@pytest.mark.parametrize(("answer", "whole"), [(" two", "One, two"), ("One, two", "One, two")])
def test_a_prefill_is_joined_to_its_answer(answer: str, whole: str) -> None:
    found = turn(say("user", "Count."), say("assistant", "One,"), answer=answer)
    assert (found.refusal, found.joined_prefill) == (None, True)
    assert [message["role"] for message in found.history] == ["user"]
    assert [message["content"] for message in found.answer] == [whole]


def test_two_answers_in_a_row_are_refused_and_a_history_without_them_is_not() -> None:
    doubled = turn(say("user", "?"), say("assistant", "a"), say("assistant", "b"), say("user", "?"), answer="c")
    assert doubled.refusal is not None
    assert doubled.refusal.reason == "two_answers_in_a_row"
    assert turn(say("user", "?"), say("user", "?"), answer="c").refusal is None
