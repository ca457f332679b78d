"""Tool calls are answered from the record by what was called, or by order, and never twice with one result."""

from __future__ import annotations

import asyncio

import pytest

from regraft.domain.ids import parse_json
from regraft.domain.replay.tool_results import (
    DRIFT,
    PATH,
    SIBLING,
    ForestMessage,
    OrderedResults,
    RecordedResult,
    RecordedResults,
    ServedResult,
    StrictResults,
    UnservedCall,
    calls_of,
    result_message,
    results_among,
    sibling_results,
    simulation,
)


def calling(*calls, role="assistant"):
    """A message with calls: (name, arguments) or (name, arguments, id)."""
    return {
        "role": role,
        "content": None,
        "tool_calls": [
            {
                "id": call[2] if len(call) > 2 else f"id-{at}",
                "type": "function",
                "function": {"name": call[0], "arguments": call[1]},
            }
            for at, call in enumerate(calls)
        ],
    }


def call(name, arguments="{}", call_id="id-0"):
    return calls_of(calling((name, arguments, call_id)))[0]


def result(content, call_id="id-0", **more):
    return {"role": "tool", "tool_call_id": call_id, "content": content, **more}


def recorded(name, arguments, content, source=PATH):
    return RecordedResult(call=call(name, arguments, "old"), message=result(content, "old"), source=source)


def served(oracle, *calls):
    return [asyncio.run(oracle.serve(each)) for each in calls]


# Equal calls


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"a": 1, "b": 2}', '{"b":2,"a":1}'),
        ('{"a": 1.0}', '{"a": 1}'),
        ('{"a": null}', "{}"),
        ("", "{}"),
        ({"a": 1}, '{"a": 1}'),
    ],
)
def test_calls_are_equal_when_their_arguments_mean_the_same(one, other):
    assert call("f", one).key == call("f", other).key


@pytest.mark.parametrize(("one", "other"), [('{"a": 1}', '{"a": "1"}'), ('{"a": 1}', '{"a": 2}'), ("{", "{}")])
def test_calls_differ_when_their_arguments_do(one, other):
    assert call("f", one).key != call("f", other).key
    assert call("f", one).key != call("g", one).key


def test_calls_of_every_form_are_read():
    custom = {"id": "c", "type": "custom", "custom": {"name": "sql", "input": "select 1"}}
    assert [(each.name, each.call_id) for each in calls_of({"role": "assistant", "tool_calls": [custom]})] == [
        ("sql", "c")
    ]
    (legacy,) = calls_of({"role": "assistant", "function_call": {"name": "f", "arguments": '{"a":1}'}})
    assert (legacy.name, legacy.legacy, legacy.key) == ("f", True, call("f", '{"a":1}').key)
    assert calls_of({"role": "assistant", "content": "words"}) == calls_of("odd") == calls_of(None) == []
    odd = calls_of({"role": "assistant", "tool_calls": [7, {"id": 1}]})
    assert [(each.name, each.call_id) for each in odd] == [("", None), ("", None)]


def test_a_call_is_shown_in_a_line():
    assert call("f", '{"a": "x"}').shown() == 'f({"a":"x"})'
    assert call("f", f'{{"a": "{"x" * 200}"}}').shown().endswith("...)")


# Which results are whose


def test_results_are_found_by_id_and_in_any_order():
    calls = calls_of(calling(("f", "{}", "1"), ("g", "{}", "2")))
    assert results_among(calls, [result("of g", "2"), result("of f", "1")]) == {0: 1, 1: 0}


def test_results_without_an_id_that_is_known_are_found_by_name_and_else_by_order():
    calls = calls_of(calling(("f", "{}", None), ("g", "{}", None), ("h", "{}", None)))
    follow = [{"role": "function", "name": "g", "content": ""}, result("", "odd"), result("", None)]
    assert results_among(calls, follow) == {0: 1, 1: 0, 2: 2}


def test_results_of_calls_that_the_user_made_are_not_the_assistants():
    follow = [{"role": "user", "content": "wait"}, calling(("u", "{}", "9"), role="user"), result("", "9")]
    assert results_among(calls_of(calling(("f", "{}", "1"))), follow) == {}
    assert results_among([], [result("")]) == {}


def test_a_recorded_result_is_handed_out_under_the_id_of_the_call_that_is_made():
    old = result("said", "old", name="f")
    assert result_message(call("f", call_id="new"), None, old) == result("said", "new", name="f")
    assert old["tool_call_id"] == "old"
    assert result_message(call("f", call_id=None), None, old)["tool_call_id"] == "old"
    (legacy,) = calls_of({"role": "assistant", "function_call": {"name": "f", "arguments": ""}})
    assert result_message(legacy, "said") == {"role": "function", "name": "f", "content": "said"}


# Policies


def test_strict_hands_out_results_of_exactly_the_call_in_the_order_of_the_record():
    results = RecordedResults(
        [recorded("f", '{"a":1}', "one"), recorded("g", "{}", "x"), recorded("f", '{"a": 1}', "two")]
    )
    first, second, third = served(StrictResults(results), *[call("f", '{"a":1}', "new")] * 3)
    assert (first.message, first.source) == (result("one", "new"), PATH)
    assert second.message["content"] == "two"
    assert third == UnservedCall('f({"a":1}) was called more often than in the record')


def test_strict_hands_out_nothing_for_other_arguments():
    results = RecordedResults([recorded("f", '{"a":1}', "one")])
    assert served(StrictResults(results), call("f", '{"a":2}')) == [UnservedCall('f({"a":2}) is not in the record')]


def test_results_of_the_path_come_before_those_of_other_branches():
    results = RecordedResults([recorded("f", "{}", "here"), recorded("f", "{}", "there", SIBLING)])
    assert [
        (each.message["content"], each.source) for each in served(StrictResults(results), call("f"), call("f"))
    ] == [
        ("here", PATH),
        ("there", SIBLING),
    ]


def test_what_the_history_holds_already_is_not_handed_out_again_by_strict():
    results = RecordedResults([recorded("f", "{}", "before")], spent=1)
    assert served(StrictResults(results), call("f")) == [UnservedCall("f({}) was called more often than in the record")]


def test_by_order_a_call_with_other_arguments_gets_the_next_result_of_its_tool_and_says_so():
    results = RecordedResults(
        [recorded("g", "{}", "x"), recorded("f", '{"a":1}', "one"), recorded("f", '{"a":2}', "two")]
    )
    drifted, exact, none = served(
        OrderedResults(results), call("f", '{"a":9}'), call("f", '{"a":2}'), call("f", '{"a":8}', "new")
    )
    assert (drifted.message["content"], drifted.source) == ("one", DRIFT)
    assert drifted.note == 'f({"a":9}) was given the result of f({"a":1})'
    assert drifted.stands_for == call("f", '{"a":1}').key
    assert (exact.message["content"], exact.source, exact.note) == ("two", PATH, "")
    assert none == UnservedCall('the record holds no result of f that is left for f({"a":8})')


def test_by_order_a_call_that_is_made_again_gets_its_own_result_again_and_not_that_of_another():
    results = RecordedResults([recorded("f", '{"a":1}', "one"), recorded("f", '{"a":2}', "two")])
    _, again, other = served(OrderedResults(results), call("f", '{"a":1}'), call("f", '{"a":1}'), call("f", '{"a":2}'))
    assert (again.message["content"], again.source) == ("one", DRIFT)
    assert again.note.endswith(", again")
    assert (other.message["content"], other.source) == ("two", PATH)


def test_by_order_what_the_history_holds_can_be_said_again():
    results = RecordedResults([recorded("f", "{}", "before")], spent=1)
    (again,) = served(OrderedResults(results), call("f"))
    assert isinstance(again, ServedResult)
    assert (again.message["content"], again.source) == ("before", DRIFT)


def test_no_policy_answers_a_tool_that_the_record_does_not_know():
    results = RecordedResults([recorded("f", "{}", "x")])
    assert all(
        isinstance(served(each(results), call("h"))[0], UnservedCall) for each in (StrictResults, OrderedResults)
    )


# Other branches of the session


def forest(*messages, start=b"", left_out=()):
    """A chain of messages with the ids 1, 2, 3 ..."""
    ids = [start, *(start + bytes([n + 1]) for n in range(len(messages)))]
    return [
        ForestMessage(context_id=ids[n + 1], parent_id=ids[n], message=message, left_out=n in left_out)
        for n, message in enumerate(messages)
    ]


def test_results_of_other_branches_are_found_with_their_calls():
    there = forest(
        {"role": "user", "content": "hi"},
        calling(("f", '{"a":1}', "1"), ("g", "{}", "2")),
        result("of g", "2"),
        result("of f", "1"),
        {"role": "assistant", "content": "done"},
    )
    assert [(each.call.name, each.message["content"], each.source) for each in sibling_results(there)] == [
        ("g", "of g", SIBLING),
        ("f", "of f", SIBLING),
    ]


def test_results_that_are_left_out_and_those_for_the_user_are_no_ones_siblings():
    assert sibling_results(forest(calling(("f", "{}", "1")), result("x", "1"), left_out={1})) == []
    assert sibling_results(forest(calling(("f", "{}", "1"), role="user"), result("x", "1"))) == []
    assert sibling_results(forest({"role": "user", "content": ""}, result("x", "1"))) == []


def test_a_simulated_tool_is_told_its_definition_its_record_and_the_call():
    system, user = simulation(call("f", '{"a":1}'), {"name": "f"}, [recorded("f", '{"a":2}', "two")])
    assert system["role"] == "system"
    assert '{"name":"f"}' in user["content"]
    assert 'Call: f({"a":2})' in user["content"]
    assert user["content"].endswith('Call: f({"a":1})\nResult:')
    (_, bare) = simulation(call("f", parse_json('{"a": 1.50}')), None, [])
    assert "Recorded" not in bare["content"]
