"""Histories in canonical form: which results belong to which calls, and which answers trainers shall not learn from."""

from __future__ import annotations

from typing import Any

import pytest

from regraft.domain.datasets.rows import (
    Message,
    canonical_message,
    canonical_messages,
    is_weighted,
    result_without_call,
    tool_list,
)
from regraft.domain.ids import Number


def asking(*ids: str | None) -> dict[str, Any]:
    calls = [{"id": one, "type": "function", "function": {"name": "f", "arguments": "{}"}} for one in ids]
    return {"role": "assistant", "content": None, "tool_calls": calls}


def result(call_id: str | None) -> dict[str, Any]:
    return {"role": "tool", "content": "7", "tool_call_id": call_id}


def history(*bodies: dict[str, Any]) -> tuple[Message, ...]:
    messages = canonical_messages(bodies)
    assert isinstance(messages, tuple)
    return messages


@pytest.mark.parametrize(
    "bodies",
    [
        (asking("a", "b"), result("b"), result("a")),
        (asking("a"), asking("b"), result("a"), result("b")),
        (asking(None), result(None)),
        (asking(None), result("x")),
        (asking("a"), result(None)),
        (asking("a"), result(""), asking("a"), result("a")),
    ],
)
def test_results_belong_to_calls_by_id_or_else_in_order(bodies: tuple[dict[str, Any], ...]) -> None:
    assert result_without_call(history(*bodies)) is None


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
    refusal = result_without_call(history(*bodies))
    assert refusal is not None
    assert refusal.reason == "tool_result_without_call"


def test_a_function_call_of_the_older_form_is_a_tool_call_without_an_id() -> None:
    call = canonical_message({"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}})
    said = canonical_message({"role": "function", "name": "f", "content": "7"})
    assert call == {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": None, "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        "tool_call_id": None,
        "name": None,
    }
    assert said == {"role": "tool", "content": "7", "tool_calls": [], "tool_call_id": None, "name": "f"}
    assert tool_list({"functions": [{"name": "f"}]}) == '[{"function":{"name":"f"},"type":"function"}]'


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"role": "assistant", "weight": 0}, True),
        ({"role": "assistant", "weight": Number("0.0")}, True),
        ({"role": "assistant", "weight": Number("0.5")}, True),
        ({"role": "assistant", "loss": False}, True),
        ({"role": "assistant", "weight": 1, "train": True}, False),
        ({"role": "assistant", "weight": Number("1.0")}, False),
        ({"role": "assistant", "weight": None}, False),
        ({"role": "user", "weight": 0}, False),
    ],
)
def test_only_an_answer_that_says_so_is_weighted(body: dict[str, Any], expected: bool) -> None:
    assert is_weighted(body) is expected
