"""A request cut into slices holds what the same request read whole holds."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regraft.domain.ids import parse_json
from regraft.infra.http.slicing import cut

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), values), st.lists(values, min_size=1), st.booleans(), st.sampled_from([None, 1]))
def test_fields_and_messages_are_those_of_the_document(rest, messages, ascii_only, indent) -> None:
    document = {**rest, "messages": messages}
    text = json.dumps(document, ensure_ascii=ascii_only, indent=indent)
    try:
        body = text.encode()
    except UnicodeEncodeError:
        return
    slices = cut(body)
    if slices is None:  # a key that is not text for msgspec: the request is read whole then
        assert any("\ud800" <= sign <= "\udfff" for key in rest for sign in key)
        return
    fields, texts = slices
    whole = parse_json(body)
    assert [parse_json(each) for each in texts] == whole.pop("messages")
    assert {name: parse_json(each) for name, each in fields.items()} == whole


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"messages": []}', b'{"messages": {}}', b'{"messages": [1', b"\xff", b"[" * 100_000]
)
def test_what_is_no_request_with_messages_is_left_to_whoever_reads_it_whole(body) -> None:
    assert cut(body) is None
