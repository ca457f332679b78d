"""A JSON file is read a record at a time, however it is cut into pieces."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regraft.domain.capture.importers.records import JsonRecord, UnreadableLine, records
from regraft.domain.errors import UsageError
from regraft.domain.ids import Number

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


@given(st.lists(st.dictionaries(st.text(), values, max_size=3), min_size=2), st.integers(1, 7))
def test_lines_give_an_object_each(objects, size):
    text = "\n".join(json.dumps(value) for value in objects) + "\n"
    assert [found.value for found in records(pieces(text, size))] == objects


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
