"""Which failed tool calls a path recovered from."""

from __future__ import annotations

from typing import Any

from regraft.domain.evaluation.trajectory import recovered_calls


def asks(*calls: tuple[str, str]) -> dict[str, Any]:
    """An answer that calls tools: (id, name)."""
    listed = [{"id": one, "type": "function", "function": {"name": name, "arguments": "{}"}} for one, name in calls]
    return {"role": "assistant", "content": None, "tool_calls": listed}


def told(text: str, call_id: str) -> dict[str, Any]:
    return {"role": "tool", "content": text, "tool_call_id": call_id}


def test_a_failed_call_is_recovered_when_its_tool_succeeds_later() -> None:
    failed = [asks(("1", "search")), told("Error: no such city", "1")]
    assert recovered_calls(failed) == 0
    assert recovered_calls([*failed, asks(("2", "search")), told("snow", "2")]) == 1
    assert recovered_calls([*failed, asks(("2", "search")), told("Error: again", "2")]) == 0
    twice = [*failed, asks(("2", "search")), told("Error: again", "2")]
    assert recovered_calls([*twice, asks(("3", "search")), told("snow", "3")]) == 2


def test_another_tool_that_succeeds_is_no_recovery_and_neither_is_an_earlier_success() -> None:
    failed = [asks(("1", "search")), told("Error: no such city", "1")]
    assert recovered_calls([*failed, asks(("2", "read")), told("text", "2")]) == 0
    assert recovered_calls([asks(("0", "search")), told("rain", "0"), *failed]) == 0


def test_results_find_their_calls_by_id_whatever_their_order() -> None:
    both = asks(("1", "search"), ("2", "read"))
    messages = [both, told("Error: gone", "2"), told("rain", "1"), asks(("3", "read")), told("text", "3")]
    assert recovered_calls(messages) == 1
    assert recovered_calls([]) == 0
    assert recovered_calls([{"role": "tool", "content": "Error", "tool_call_id": "1"}]) == 0
