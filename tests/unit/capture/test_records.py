"""A JSON file is read a record at a time, however it is cut into pieces."""

from __future__ import annotations

import json
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regraft.domain.capture.importers.records import (
    CUT_SHORT,
    LARGE_MEMBERS,
    NOT_UTF8,
    JsonRecord,
    UnreadableLine,
    records,
)
from regraft.domain.errors import UsageError
from regraft.domain.ids import TOO_DEEP, Number

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def pieces(text, size):
    return (text[at : at + size] for at in range(0, len(text), size))


@given(st.lists(values), st.integers(1, 7), st.sampled_from([None, 2]))
def test_an_array_gives_its_elements(array, size, indent):
    found = list(records(pieces(json.dumps(array, indent=indent), size)))
    assert found == [JsonRecord(at, value) for at, value in enumerate(array)]


small_objects = st.dictionaries(st.text().filter(lambda name: name not in LARGE_MEMBERS), values, max_size=3)


@given(st.lists(small_objects, min_size=2), st.integers(1, 7))
def test_lines_give_an_object_each(objects, size):
    text = "\n".join(json.dumps(value) for value in objects) + "\n"
    assert [found.value for found in records(pieces(text, size))] == objects


line_objects = st.dictionaries(st.text() | st.sampled_from(sorted(LARGE_MEMBERS)), values, max_size=3)


@given(st.lists(line_objects, min_size=2), st.integers(1, 7))
def test_every_line_gives_a_record_or_one_for_each_element_of_its_large_members(objects, size):
    text = "\n".join(json.dumps(value) for value in objects) + "\n"
    large = [
        [value[name] for name in value if name in LARGE_MEMBERS and isinstance(value[name], list)] for value in objects
    ]
    expected = [
        each
        for value, lists in zip(objects, large, strict=True)
        for each in ([e for one in lists for e in one] or [value])
    ]
    assert [each.value for each in records(pieces(text, size))] == expected


def test_one_object_is_one_record_unless_a_member_of_it_is_large():
    assert list(records(['{"a": 1,', ' "b": [2]}'])) == [JsonRecord(0, {"a": 1, "b": [2]})]
    found = list(records(['{"version": 2, "samples": [{"id"', ': 1}, {"id": 2}], "stats": {}}']))
    assert [each.value for each in found] == [{"id": 1}, {"id": 2}]
    assert {(each.member, each.head["version"]) for each in found} == {("samples", 2)}


def test_lines_with_a_large_member_each_give_its_elements():
    text = '{"resourceSpans": [{"a": 1}]}\n{"resourceSpans": [{"b": 2}, {"c": 3}]}\n'
    found = list(records([text]))
    assert [each.value for each in found] == [{"a": 1}, {"b": 2}, {"c": 3}]
    assert len({each.position for each in found}) == 3


@pytest.mark.parametrize("name", sorted(LARGE_MEMBERS))
def test_a_large_member_without_elements_leaves_its_object_as_the_record(name):
    empty = {"version": 2, name: []}
    both = [empty, {"a": 1}, {name: [{"b": 2}]}, {name: None}, {name: {}}]
    lines = "".join(json.dumps(each) + "\n" for each in both)
    assert [each.value for each in records([lines])] == [empty, {"a": 1}, {"b": 2}, {name: None}, {name: {}}]
    assert list(records([json.dumps(empty, indent=1)])) == [JsonRecord(0, empty)]
    first = json.dumps({name: [], "words": "w" * (1 << 20)})  # too long a line to see from it that lines follow
    assert [len(each.value) for each in records([first, '\n{"a": 1}\n'])] == [2, 1]


@pytest.mark.parametrize("end", ["", '\n{"a": 1}\n'])
@pytest.mark.parametrize("names", list(permutations(["resourceSpans", "resourceLogs", "samples"])))
def test_every_large_member_of_an_object_gives_its_elements_in_the_order_of_the_file(names, end):
    whole = {names[0]: [{"b": 1}], "c": 3, names[1]: [], names[2]: [{"b": 2}, {"b": 3}]}
    found = [each for each in records([json.dumps(whole) + end]) if each.value != {"a": 1}]
    assert [(each.member, each.value["b"]) for each in found] == [(names[0], 1), (names[2], 2), (names[2], 3)]
    assert [each.position for each in found] == [0, 1, 2]
    assert all(each.head["c"] == 3 for each in found)


def test_a_broken_line_is_told_by_its_place_and_the_others_are_read():
    found = list(records(['{"a": 1}\n{"a": \n\n{"a": 3}\n']))
    assert [each.value if isinstance(each, JsonRecord) else each.position for each in found] == [{"a": 1}, 1, {"a": 3}]
    assert isinstance(found[1], UnreadableLine)


@pytest.mark.parametrize("text", ["<html>", '[{"a": 1}, {"a": ]', '{"a": tru}', "[1"])
def test_a_file_that_is_not_json_is_an_error(text):
    with pytest.raises(UsageError):
        list(records([text]))


def test_an_empty_file_holds_nothing_and_a_mark_at_its_beginning_is_no_text():
    assert list(records([])) == list(records([" \n"])) == []
    assert list(records(["\ufeff[1]"])) == [JsonRecord(0, 1)]


def test_numbers_stay_as_they_were_written():
    assert list(records(["[1.0, 1", "2]"])) == [JsonRecord(0, Number("1.0")), JsonRecord(1, 12)]


def told(text, size=7):
    """Values, and reasons by position for what could not be read."""
    return [
        each.value if isinstance(each, JsonRecord) else (each.position, each.reason)
        for each in records(pieces(text, size))
    ]


@pytest.mark.parametrize("first", ["not json", '{"a": ', '{"a": tru}', "", "}", '["', '"text', "{"])
def test_a_first_line_that_is_broken_does_not_lose_the_others(first):
    found = told(f'{first}\n{{"b": 1}}\n{{"c": 2}}\n')
    assert found[-2:] == [{"b": 1}, {"c": 2}]
    assert len(found) == (3 if first else 2)


@pytest.mark.parametrize("first", ["null", "1", '"x"', "[1]", "[]", "true"])
def test_a_first_line_that_is_no_object_is_a_record_like_any_other(first):
    assert told(f'{first}\n{{"b": 1}}\n') == [json.loads(first), {"b": 1}]


@given(st.lists(st.dictionaries(st.text(), values, max_size=3), min_size=1), st.integers(1, 7), st.sampled_from([1, 4]))
def test_no_json_that_is_spread_over_lines_is_taken_for_lines(objects, size, indent):
    text = json.dumps(objects, indent=indent)
    assert [each.value for each in records(pieces(text, size))] == objects
    text = "[\n" + ",\n".join(json.dumps(each) for each in objects) + "\n]"
    assert [each.value for each in records(pieces(text, size))] == objects


def test_a_last_line_that_was_cut_short_is_named_so():
    assert told('{"a": 1}\n{"a": 2}\n{"messages": [{"ro') == [{"a": 1}, {"a": 2}, (2, CUT_SHORT)]
    assert told('{"a": 1}\n{"a": "half of a te') == [{"a": 1}, (1, CUT_SHORT)]


@pytest.mark.parametrize("text", ['[{"a": 1}, {"a": 2', '[{"a": 1}, {"a": "x', '[{"a": 1}', '[{"a": 1},'])
def test_an_array_that_was_cut_short_gives_what_is_before_the_cut(text):
    found = records(pieces(text, 3))
    assert next(found).value == {"a": 1}
    with pytest.raises(UsageError, match="cut short"):
        list(found)


def test_a_file_that_goes_on_after_its_array_says_so():
    found = records(pieces('[{"a": 1}\n] {"b": 2}', 4))
    assert next(found).value == {"a": 1}
    with pytest.raises(UsageError, match="continues after its array"):
        list(found)


@pytest.mark.parametrize("size", [1, 9])
@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"a\\"]": "]}",  "b":'])
def test_a_record_that_is_nested_too_deeply_is_named_and_the_others_are_read(size, opening):
    depth = 100_000
    closing = {"[": "]", '{"a":': "}"}.get(opening, "}]")
    deep = opening * depth + "1" + closing * depth
    assert told(f'[{{"a": 1}}, {deep}, {{"a": 3}}]', size * 10_000) == [{"a": 1}, (1, TOO_DEEP), {"a": 3}]
    assert told(f'{{"a": 1}}\n{deep}\n{{"a": 3}}\n', size * 10_000)[::2] == [{"a": 1}, {"a": 3}]


@pytest.mark.parametrize("broken", ['{"a": tru}', '{"a": 1,}', '{"a" 1}', '{"a": [1 2]}', '{"a": "x\ny"}'])
def test_a_broken_element_of_an_array_is_named_and_the_others_are_read(broken):
    found = told(f'[{{"a": 1}}, {broken}, {{"a": 3}}, {{"b": "and some more text"}}]')
    assert found[0] == {"a": 1}
    assert found[1][0] == 1
    assert found[1][1].startswith("not JSON")
    assert found[2:] == [{"a": 3}, {"b": "and some more text"}]


@pytest.mark.parametrize("form", ['[{{"a": 1}}, {}, {{"a": 3}}]', '{{"a": 1}}\n{}\n{{"a": 3}}\n'])
def test_a_record_with_bytes_that_are_not_utf8_is_named_and_the_others_are_read(form):
    text = form.format('{"a": "caf\udce9"}')
    assert told(text) == [{"a": 1}, (1, NOT_UTF8), {"a": 3}]
    assert told(form.format('{"a": "\\ud800 caf\u00e9"}'))[1] == {"a": "\ud800 caf\u00e9"}


def test_a_line_that_is_longer_than_any_record_is_stepped_over():
    long = '{"a": "' + "x" * (1 << 25) + '"}'
    found = told(f'{{"a": 1}}\n{long}\n{{"a": 3}}\n', 1 << 20)
    assert found[0] == {"a": 1}
    assert found[1][1].startswith("a record longer than")
    assert found[2] == {"a": 3}


def test_a_record_of_very_many_values_is_refused_before_it_takes_much_memory():
    wide = '{"a": [' + "{}," * 2_500_000 + "{}]}"
    found = told(f'{{"a": 1}}\n{wide}\n{{"a": 3}}\n', 1 << 16)
    assert found == [{"a": 1}, (1, "a record with too many values"), {"a": 3}]
    with pytest.raises(UsageError, match="values"):
        told(wide, 1 << 16)
