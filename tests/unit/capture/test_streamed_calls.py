"""Pieces of tool calls reach the call that they belong to; one that may belong to two makes the answer unsure."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regraft.domain.capture.answer import read_answer

OSLO, CET = '{"city":"Oslo"}', '{"tz":"CET"}'


def call(name=None, arguments=None, **more):
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    return {**more, "function": function}


def choice_of(*deltas):
    chunks = [{"choices": [{"index": 0, "delta": {"tool_calls": pieces}}]} for pieces in deltas]
    body = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
    (choice,) = read_answer(body.encode(), "text/event-stream").choices
    return choice


def read(*deltas):
    choice = choice_of(*deltas)
    found = [
        (each.get("id"), each["function"].get("name"), each["function"]["arguments"])
        for each in choice.message["tool_calls"]
    ]
    return found, bool(choice.unattributed)


TWO = [("a", "weather", OSLO), ("b", "time", CET)]
TOLD_APART = {
    "every call has index 0": (
        [call("weather", "", index=0, id="a")],
        [call(None, OSLO, index=0, id="")],
        [call("time", "", index=0, id="b")],
        [call(None, CET[:3], index=0)],
        [call(None, CET[3:], index=0, id=None)],
    ),
    "every call has index 0, and each piece its id": (
        [call("weather", OSLO[:4], index=0, id="a")],
        [call("time", CET[:4], index=0, id="b")],
        [call(None, OSLO[4:], index=0, id="a")],
        [call(None, CET[4:], index=0, id="b")],
    ),
    "no index": (
        [call("weather", "", id="a")],
        [call(None, OSLO[:5])],
        [call(None, OSLO[5:])],
        [call("time", CET[:5], id="b")],
        [call(None, CET[5:])],
    ),
    "a null index": (
        [call("weather", "", id="a", index=None)],
        [call(None, OSLO, index=None)],
        [call("time", CET, id="b", index=None)],
    ),
    "an index that is text": (
        [call("weather", OSLO[:5], id="a", index="0"), call("time", CET[:5], id="b", index="1")],
        [call(None, CET[5:], index="1"), call(None, OSLO[5:], index="0")],
    ),
    "indexes from 1": (
        [call("weather", OSLO[:5], id="a", index=1), call("time", CET[:5], id="b", index=2)],
        [call(None, CET[5:], index=2), call(None, OSLO[5:], index=1)],
    ),
    "an index with a fraction": (
        [call("weather", OSLO, id="a", index=0.0)],
        [call("time", CET[:5], id="b", index=1.0)],
        [call(None, CET[5:], index=1)],
    ),
    "an index only where a call is opened": (
        [call("weather", OSLO[:5], id="a", index=0)],
        [call(None, OSLO[5:])],
        [call("time", CET[:5], id="b", index=1)],
        [call(None, CET[5:])],
    ),
    "an index only where a call goes on": (
        [call("weather", "", id="a")],
        [call(None, OSLO, index=0)],
        [call("time", "", id="b")],
        [call(None, CET, index=1)],
    ),
    "the second call opened first": (
        [call("time", "", index=1, id="b")],
        [call("weather", OSLO, index=0, id="a")],
        [call(None, CET, index=1)],
    ),
    "a whole call repeated": (
        [call("weather", OSLO, index=0, id="a")],
        [call("time", CET, index=1, id="b")],
        [call("weather", OSLO, index=0, id="a")],
        [call("time", CET, index=1, id="b")],
    ),
    "all calls whole again at the end": (
        [call("weather", OSLO[:5], index=0, id="a")],
        [call(None, OSLO[5:], index=0)],
        [call("time", CET[:5], index=1, id="b")],
        [call(None, CET[5:], index=1)],
        [call("weather", OSLO, index=0, id="a"), call("time", CET, index=1, id="b")],
    ),
    "arguments so far in every piece": (
        [call("weather", OSLO[:4], index=0, id="a")],
        [call("weather", OSLO[:9], index=0, id="a")],
        [call("weather", OSLO, index=0, id="a")],
        [call("time", CET, index=1, id="b")],
    ),
    "names after arguments": (
        [call(None, OSLO, index=0, id="a")],
        [call("weather", None, index=0)],
        [call(None, CET, index=1, id="b")],
        [call("time", None, index=1)],
    ),
    "an id after the rest": (
        [call("weather", OSLO[:5], index=0)],
        [call(None, OSLO[5:], index=0, id="a")],
        [call("time", CET, index=1)],
        [call(None, None, index=1, id="b")],
    ),
    "an index that counts pieces": (
        [call("weather", "", index=0, id="a")],
        [call(None, OSLO[:5], index=1, id="a")],
        [call(None, OSLO[5:], index=2, id="a")],
        [call("time", CET, index=3, id="b")],
    ),
    "a name in two pieces": (
        [call("wea", "", index=0, id="a")],
        [call("ther", OSLO, index=0, id="a")],
        [call("time", CET, index=1, id="b")],
    ),
}


@pytest.mark.parametrize("deltas", TOLD_APART.values(), ids=TOLD_APART.keys())
def test_two_calls_are_told_apart(deltas):
    assert read(*deltas) == (TWO, False)


def test_a_new_id_with_every_piece_is_one_call_when_the_arguments_say_so():
    found, unsure = read(
        [call("weather", "", index=0, id="a")],
        [call(None, OSLO[:5], index=0, id="x1")],
        [call(None, OSLO[5:], index=0, id="x2")],
        [call("time", "", index=1, id="b")],
        [call(None, CET, index=1, id="x3")],
    )
    assert (found, unsure) == (TWO, False)


def test_calls_of_one_id_and_two_indexes_are_two():
    found, unsure = read(
        [call("weather", "", index=0, id="call"), call("time", "", index=1, id="call")],
        [call(None, OSLO, index=0, id="call"), call(None, CET, index=1, id="call")],
    )
    assert (found, unsure) == ([("call", *TWO[0][1:]), ("call", *TWO[1][1:])], False)


def test_whole_calls_without_id_are_told_apart_by_name_and_by_closed_arguments():
    found, unsure = read([call("f", '{"x":1}', index=0)], [call("f", '{"x":2}', index=0)], [call("g", "{}", index=0)])
    assert (found, unsure) == ([(None, "f", '{"x":1}'), (None, "f", '{"x":2}'), (None, "g", "{}")], False)


def test_a_name_repeated_without_id_in_every_piece_is_one_call():
    arguments = '{"x":"a } \\" {","y":{}}'
    found, unsure = read(*([call("f", piece, index=0)] for piece in arguments))
    assert (found, unsure) == ([(None, "f", arguments)], False)


def test_calls_without_any_arguments_are_calls():
    found, unsure = read([call("weather", index=0, id="a")], [call("time", None, index=0, id="b")])
    assert (found, unsure) == ([("a", "weather", ""), ("b", "time", "")], False)


def test_arguments_that_are_an_object_are_kept_as_one():
    found, unsure = read([call("f", {"x": 1}, index=0, id="a")])
    assert (found, unsure) == ([("a", "f", {"x": 1})], False)


def test_custom_tools_run_on_too():
    choice = choice_of(
        [{"index": 0, "id": "a", "type": "custom", "custom": {"name": "sql", "input": "SELECT"}}],
        [{"index": 0, "custom": {"input": " 1"}}],
    )
    said = {"id": "a", "type": "custom", "custom": {"name": "sql", "input": "SELECT 1"}}
    assert choice.message["tool_calls"] == [said]


def test_what_else_a_call_holds_is_kept():
    choice = choice_of(
        [{**call("f", "{}", index=0, id="a"), "extra_content": {"google": {"thought_signature": "c2ln"}}}],
        [{**call(None, "", index=0), "extra_content": {"google": {"thought_signature": "c2ln"}}}],
    )
    assert choice.message["tool_calls"][0]["extra_content"] == {"google": {"thought_signature": "c2ln"}}


UNSURE = {
    "two names in one place, no id and no arguments": (
        [call("list_", "", index=0)],
        [call("rooms", "", index=0)],
    ),
    "the same call twice without id": ([call("f", '{"x":1}', index=0)], [call("f", '{"x":1}', index=0)]),
    "arguments for nobody": ([call("f", OSLO, index=0, id="a")], [call(None, "and more", index=7)]),
    "no name at all": ([call(None, OSLO, index=0, id="a")],),
    "two pieces of nothing for two calls": (
        [call("f", "{", id="a"), call("g", "{", id="b")],
        [call(None, "}"), call(None, "}")],
    ),
    "two objects under one id": ([call("f", '{"x":1}', id="a")], [call("f", '{"x":2}', id="a")]),
    "new ids and arguments that never close": (
        [call("f", '{"x', index=0, id="a")],
        [call(None, '":', index=0, id="b")],
    ),
}


@pytest.mark.parametrize("deltas", UNSURE.values(), ids=UNSURE.keys())
def test_a_piece_that_may_belong_to_two_calls_is_kept_as_it_came(deltas):
    choice = choice_of(*deltas)
    assert choice.unattributed
    sent = [piece for pieces in deltas for piece in pieces]
    assert all(piece in sent for piece in choice.unattributed)
    said = json.dumps([choice.message, choice.unattributed])
    assert all(json.dumps(piece["function"].get("arguments", ""))[1:-1] in said for piece in sent)


ARGUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
).map(lambda value: json.dumps({"value": value}))
FORMS = {
    "index and id": lambda at, first: {"index": at, **({"id": f"call_{at}"} if first else {})},
    "index 0 and id": lambda at, first: {"index": 0, **({"id": f"call_{at}"} if first else {})},
    "id once": lambda at, first: {"id": f"call_{at}"} if first else {},
    "id always": lambda at, _first: {"id": f"call_{at}"},
    "text and id": lambda at, first: {"index": str(at + 1), **({"id": f"call_{at}"} if first else {})},
}


@given(st.data(), st.lists(st.tuples(st.sampled_from(["f", "g", "list_rooms"]), ARGUMENTS), min_size=1, max_size=4))
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_calls_cut_anywhere_are_the_calls_of_the_whole_body(form, data, calls):
    deltas = []
    for at, (name, arguments) in enumerate(calls):
        cuts = sorted(data.draw(st.lists(st.integers(0, len(arguments)), max_size=4)))
        pieces = [arguments[start:end] for start, end in zip([0, *cuts], [*cuts, len(arguments)], strict=True)]
        deltas.append([call(name, "", **form(at, True))])
        deltas += [[call(None, piece, **form(at, False))] for piece in pieces]
    whole = [(f"call_{at}", name, arguments) for at, (name, arguments) in enumerate(calls)]
    assert read(*deltas) == (whole, False)
