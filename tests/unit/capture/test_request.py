"""A request is cut into messages, tools, sampling and the rest, and assembled again without a loss."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regraft.domain.capture.request import part_digest, read_request
from regraft.domain.errors import CorruptEventError
from regraft.domain.ids import canonical_json, parse_json
from regraft.domain.lineage.prompt_digests import system_digest, user_digest

SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=8)
OPTIONS = st.dictionaries(
    st.sampled_from(["temperature", "tools", "stream", "seed", "metadata", "top_k", "tool_choice", "x", ""]),
    st.recursive(
        SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner), max_leaves=4
    ),
)
HISTORY = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]


def read(**document):
    return read_request(json.dumps({"model": "m", "messages": HISTORY, **document}).encode())


@given(st.text(max_size=8), st.lists(SCALARS | st.dictionaries(st.text(max_size=5), SCALARS), min_size=1), OPTIONS)
def test_the_body_again_is_what_was_captured_in_json_meaning(model, messages, options):
    document = {"model": model, "messages": messages, **options}
    assert parse_json(read_request(json.dumps(document).encode()).body()) == document


@pytest.mark.parametrize("literal", ["1.0", "1e-999", "0.70", "123456789012345678901234567890", "1e999"])
def test_number_literals_come_back_as_they_were_written(literal):
    body = f'{{"model":"m","messages":[{{"role":"user","content":"x"}}],"temperature":{literal}}}'
    assert f'"temperature":{literal}' in read_request(body.encode()).body().decode()


def test_hostile_text_comes_back_unharmed():
    document = {"model": "a\0\ud800", "messages": [{"role": "user", "content": "\0\udfff\ud800日本"}], "user": "\ud83d"}
    assert parse_json(read_request(json.dumps(document).encode()).body()) == document


def test_tools_and_what_governs_them_are_one_component():
    tools = {"tools": [1], "tool_choice": "auto", "parallel_tool_calls": False, "functions": [], "function_call": "f"}
    assert read(**tools).tools == tools


def test_settings_that_shape_the_answer_are_sampling_also_when_they_are_unknown():
    sampling = {"temperature": 1, "top_p": 0, "seed": 3, "max_tokens": 5, "response_format": {}, "n": 2, "mirostat": 1}
    request = read(**sampling)
    assert (request.sampling, request.tools, request.other) == (sampling, {}, {})


def test_how_an_answer_is_carried_is_not_sampling():
    other = {"stream": True, "stream_options": {"include_usage": True}, "user": "u", "metadata": {}, "store": False}
    request = read(**other)
    assert (request.other, request.sampling) == (other, {})


@pytest.mark.parametrize(("sent", "streamed"), [({"stream": True}, True), ({"stream": False}, False), ({}, False)])
def test_a_request_says_whether_it_is_streamed(sent, streamed):
    assert read(**sent).streamed is streamed


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not JSON"),
        (b"\xff", "not JSON"),
        (b'{"messages":[NaN]}', "not JSON"),
        (b"[" * 5000 + b"]" * 5000, "not JSON"),
        (b"[]", "not a JSON object"),
        (b'"x"', "not a JSON object"),
        (b"{}", "no list of messages"),
        (b'{"messages":[]}', "no list of messages"),
        (b'{"messages":"hi"}', "no list of messages"),
        (b'{"prompt":"hi"}', "no list of messages"),
    ],
)
def test_what_is_no_chat_request_is_refused_with_the_reason(body, reason):
    with pytest.raises(CorruptEventError, match=reason):
        read_request(body)


def test_numbers_that_json_lacks_are_read_by_name():
    body = b'{"model":"m","temperature":NaN,"messages":[{"role":"user","content":"hi","weight":-Infinity}]}'
    request = read_request(body)
    assert (request.sampling, list(request.messages)) == (
        {"temperature": "NaN"},
        [{"role": "user", "content": "hi", "weight": "-Infinity"}],
    )


def test_the_system_digest_sees_instructions_and_nothing_else():
    base = system_digest(HISTORY)
    assert base == system_digest([HISTORY[0], {"role": "user", "content": "other"}])
    assert base == system_digest([{"role": "system", "content": "Be brief. \r\n"}])
    assert base != system_digest([{"role": "system", "content": "Be long."}])
    assert base != system_digest(HISTORY[1:])
    assert system_digest([{"role": "developer", "content": "x"}]) != system_digest([])


def test_the_user_digest_sees_users_and_nothing_else():
    base = user_digest(HISTORY)
    assert base == user_digest(HISTORY[1:])
    assert base == user_digest([HISTORY[1], {"role": "assistant", "content": "hello"}])
    assert base != user_digest([*HISTORY, {"role": "user", "content": "more"}])
    assert base != user_digest([{"role": "user", "content": "ho"}])


def test_a_component_is_known_by_its_kind_and_content_and_not_by_the_order_of_its_keys():
    assert part_digest("other", {"a": 1, "b": 2}) == part_digest("other", {"b": 2, "a": 1})
    assert part_digest("other", {"a": 1}) != part_digest("other", {"a": 2})
    assert part_digest("other", {}) != part_digest("tools", {})


@pytest.mark.parametrize("model", [None, 7, "", "a\x00b", "\ud800"])
def test_a_model_that_is_no_printable_text_comes_back_as_it_was_sent(model):
    sent = {"model": model, "messages": [{"role": "user", "content": "x"}]}
    assert parse_json(read_request(canonical_json(sent).encode()).body()) == sent
    assert "model" not in parse_json(read_request(b'{"messages":[{"role":"user","content":"x"}]}').body())


def test_a_byte_order_mark_before_the_request_is_no_obstacle():
    assert read_request(b'\xef\xbb\xbf{"model":"m","messages":[1]}').model == "m"
