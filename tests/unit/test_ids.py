"""Canonical JSON is lossless and sorted; digests of different lists of parts differ."""

from __future__ import annotations

import hashlib
import json
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regraft.domain.ids import (
    Number,
    canonical_json,
    digest,
    digest_json,
    parse_json,
    plain,
    time_ordered_uuid,
    uuid_of,
)

NUMBERS = st.builds(
    "{}{}{}".format,
    st.integers(-(10**40), 10**40),
    st.sampled_from([".0", ".5", ".10", ".000000000000000000000000000001"]),
    st.sampled_from(["", "e0", "E5", "e-999", "e+12", "e999"]),
).map(Number)
TEXTS = st.text(st.characters() | st.characters(categories=["Cs"]) | st.just("\0"), max_size=12).filter(
    # an escaped pair of surrogates is one character in JSON: such a text has no JSON of its own
    lambda text: text == json.loads(json.dumps(text))
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_what_is_written_is_read_back_unchanged_and_written_the_same_again(value):
    text = canonical_json(value)
    assert parse_json(text) == value
    assert parse_json(text.encode()) == value
    assert canonical_json(parse_json(text)) == text


@given(st.dictionaries(TEXTS, st.integers(), min_size=2, max_size=6))
def test_the_order_of_keys_does_not_matter(value):
    backwards = dict(reversed(value.items()))
    assert canonical_json(value) == canonical_json(backwards)
    assert canonical_json([Number("1.0"), value]) == canonical_json([Number("1.0"), backwards])


@pytest.mark.parametrize(
    "text", ["1.0", "1.50", "1e5", "1E+5", "-0.0", "1e-999", "1e999", "0.1000000000000000055511151"]
)
def test_a_number_literal_stays_as_it_was_written(text):
    assert canonical_json(parse_json(text)) == text
    assert canonical_json(parse_json(f'{{"b":[{text}],"a":1}}')) == f'{{"a":1,"b":[{text}]}}'


def test_numbers_written_differently_have_different_digests():
    digests = {digest_json(parse_json(text)) for text in ("0", "0.0", "1e-999", "-0.0", "1", "1.0", "1.00")}
    assert len(digests) == 7


def test_a_big_integer_keeps_every_digit():
    text = "1234567890" * 400
    assert canonical_json(parse_json(f"[{text}]")) == f"[{text}]"


def test_nul_is_escaped_and_kept():
    assert canonical_json({"a": "x\0y"}) == '{"a":"x\\u0000y"}'
    assert parse_json('"x\\u0000y"') == "x\0y"


@pytest.mark.parametrize("text", ["\udfff", "a\ud83d", "\ude00b", "\ude00\ud83d"])
def test_a_lone_surrogate_is_escaped_and_kept(text):
    written = canonical_json({text: text})
    written.encode()
    assert parse_json(written) == {text: text}


def test_text_that_is_not_ascii_is_kept_as_it_is():
    assert canonical_json({"ü": "日本 😀"}) == '{"ü":"日本 😀"}'


def test_composed_and_decomposed_characters_are_two_texts():
    assert digest_json("é") != digest_json("e\u0301")


def test_keys_are_sorted_at_every_depth_and_blanks_are_left_out():
    assert canonical_json({"b": [{"d": 1, "c": Number("2.0")}], "a": None}) == '{"a":null,"b":[{"c":2.0,"d":1}]}'
    assert canonical_json({"b": [{"d": 1, "c": 2}], "a": True}) == '{"a":true,"b":[{"c":2,"d":1}]}'


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "[NaN]", "", "{", "01", "'a'", '"\x01"', "1 2"])
def test_what_is_not_json_is_refused(text):
    with pytest.raises(ValueError):  # noqa: PT011 - any ValueError is the contract
        parse_json(text)


def test_bytes_that_are_not_utf_8_are_refused():
    with pytest.raises(ValueError, match="utf-8"):
        parse_json(b'"\xff"')


def test_json_that_nests_too_deeply_is_refused():
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_json("[" * 100_000 + "]" * 100_000)


def test_a_float_has_no_place_in_canonical_json_when_it_is_no_number():
    with pytest.raises(ValueError, match="JSON"):
        canonical_json(float("inf"))


def test_plain_numbers_are_floats_at_every_depth():
    assert plain({"a": [Number("1.5"), {"b": Number("2e0")}], "c": "1.5"}) == {"a": [1.5, {"b": 2.0}], "c": "1.5"}


def test_the_parts_of_a_digest_do_not_run_together():
    digests = {digest(), digest(b""), digest(b"", b""), digest(b"ab"), digest(b"a", b"b"), digest(b"", b"ab")}
    assert len(digests) == 6
    assert digest(b"a" + (1).to_bytes(8, "big") + b"b") != digest(b"a", b"b")


@given(st.lists(st.binary(max_size=4), max_size=4), st.lists(st.binary(max_size=4), max_size=4))
def test_two_lists_of_parts_have_one_digest_only_when_they_are_equal(left, right):
    assert (digest(*left) == digest(*right)) == (left == right)


def test_a_digest_is_blake2b_of_256_bits_over_length_prefixed_parts():
    framed = (1).to_bytes(8, "big") + b"a" + (2).to_bytes(8, "big") + b"bc"
    assert digest(b"a", b"bc") == hashlib.blake2b(framed, digest_size=32).digest()


@given(st.binary(min_size=32, max_size=32))
def test_a_uuid_of_a_digest_is_version_8(content):
    found = uuid_of(content)
    assert (found.version, found.variant) == (8, UUID(int=1 << 63).variant)
    changed = bytearray(found.bytes)
    changed[6], changed[8] = content[6], content[8]
    assert bytes(changed) == content[:16]
    assert found.bytes[6] & 0x0F == content[6] & 0x0F
    assert found.bytes[8] & 0x3F == content[8] & 0x3F


@given(st.integers(0, 2**48 - 1), st.binary(min_size=10, max_size=10))
def test_a_uuid_of_a_time_is_version_7_and_tells_the_time(unix_ms, randomness):
    found = time_ordered_uuid(unix_ms, randomness)
    assert found.version == 7
    assert found.variant == UUID(int=1 << 63).variant
    assert found.int >> 80 == unix_ms


@given(st.integers(0, 2**48 - 2), st.binary(min_size=10, max_size=10), st.binary(min_size=10, max_size=10))
def test_later_uuids_sort_after_earlier_ones(unix_ms, one, other):
    assert time_ordered_uuid(unix_ms, one) < time_ordered_uuid(unix_ms + 1, other)
