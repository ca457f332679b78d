"""Touched sessions become few contiguous ranges of the known key order."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from regraft.presentation.dagster.partitions import KeyRange, ranges

KNOWN = [f"s{number:03}" for number in range(100)]


def test_new_keys_at_the_end_are_one_range() -> None:
    assert ranges(KNOWN, KNOWN[90:]) == [KeyRange("s090", "s099", 10, tuple(KNOWN[90:]))]


def test_nothing_touched_is_no_range() -> None:
    assert ranges(KNOWN, []) == []
    assert ranges([], ["s001"]) == []


def test_a_gap_up_to_the_limit_is_bridged_and_a_longer_one_is_not() -> None:
    assert ranges(KNOWN, ["s010", "s014"], max_gap=3) == [KeyRange("s010", "s014", 5, ("s010", "s014"))]
    assert [(one.first, one.last) for one in ranges(KNOWN, ["s010", "s014"], max_gap=2)] == [
        ("s010", "s010"),
        ("s014", "s014"),
    ]


def test_a_range_is_never_longer_than_the_limit() -> None:
    assert [one.length for one in ranges(KNOWN, KNOWN, max_length=40)] == [40, 40, 20]


def test_the_order_is_the_known_one_and_not_the_one_of_the_keys() -> None:
    known = ["z", "a", "m"]
    assert ranges(known, ["m", "z"], max_gap=5) == [KeyRange("z", "m", 3, ("z", "m"))]


@given(touched=st.sets(st.sampled_from(KNOWN)), gap=st.integers(0, 20), length=st.integers(1, 50))
def test_ranges_cover_what_was_touched_once_and_keep_their_limits(touched: set[str], gap: int, length: int) -> None:
    found = ranges(KNOWN, touched, gap, length)
    assert [key for one in found for key in one.touched] == sorted(touched)
    ends = [(KNOWN.index(one.first), KNOWN.index(one.last)) for one in found]
    assert all(before[1] < after[0] for before, after in itertools.pairwise(ends))
    for one, (first, last) in zip(found, ends, strict=True):
        assert one.length == last - first + 1 <= length
        places = [KNOWN.index(key) for key in one.touched]
        assert all(after - before <= gap + 1 for before, after in itertools.pairwise(places))
