"""Tool calls find their results, by id or by order, whatever shape they have."""

from __future__ import annotations

from typing import Any

from regraft.domain.lineage.tool_calls import pair_calls


def calling(*ids: str | None) -> dict[str, Any]:
    made = [
        {"id": one, "type": "function", "function": {"name": f"f{at}", "arguments": "{}"}} for at, one in enumerate(ids)
    ]
    return {"role": "assistant", "content": None, "tool_calls": made}


def told(identity: str | None, text: str, role: str = "tool") -> dict[str, Any]:
    return {"role": role, "tool_call_id": identity, "content": text}


def results(answer: dict[str, Any], *following: dict[str, Any]) -> list[str | None]:
    return [call.result for call in pair_calls(answer, following)]


def test_a_result_belongs_to_the_call_whose_id_it_bears() -> None:
    assert results(calling("a", "b"), told("b", "2"), told("a", "1")) == ["1", "2"]


def test_results_belong_to_the_calls_in_order_where_no_id_fits() -> None:
    assert results(calling("a", "b"), told("x", "1"), told("y", "2")) == ["1", "2"]
    assert results(calling(None), told(None, "1")) == ["1"]


def test_a_call_without_a_result_has_none_and_takes_no_other_ones() -> None:
    assert results(calling("a", "b"), told("b", "2")) == [None, "2"]
    assert results(calling("a", "b"), told("x", "1")) == ["1", None]
    (call,) = pair_calls(calling("a"), [])
    assert (call.result, call.is_error) == (None, None)


def test_only_messages_of_tools_are_results() -> None:
    assert results(calling("a"), {"role": "user", "content": "never mind"}, told("a", "1")) == ["1"]
    assert results(calling("a"), told("a", "1", role="function")) == ["1"]


def test_a_result_that_reports_a_failure_is_an_error() -> None:
    calls = pair_calls(calling("a", "b"), [told("a", "Error: no such city"), told("b", "snow")])
    assert [call.is_error for call in calls] == [True, False]


def test_every_shape_of_a_call_gives_a_name_and_arguments() -> None:
    shapes: list[Any] = [
        {"function": {"name": "f", "arguments": '{"a":1}'}},
        {"custom": {"name": "f", "input": '{"a":1}'}},
        {"name": "f", "arguments": {"a": 1}},
        {"name": "f", "input": {"a": 1}},
    ]
    for shape in shapes:
        (call,) = pair_calls({"tool_calls": [shape]}, [])
        assert (call.name, call.arguments, call.position) == ("f", '{"a":1}', 1)
    (legacy,) = pair_calls({"function_call": {"name": "f", "arguments": "{}"}}, [])
    assert (legacy.name, legacy.arguments) == ("f", "{}")
    (odd,) = pair_calls({"tool_calls": ["what"]}, [])
    assert (odd.name, odd.arguments) == ("", "what")
    assert pair_calls({"content": "none"}, []) == []
