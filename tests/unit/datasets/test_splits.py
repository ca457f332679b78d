"""Splits that do not leak."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regraft.domain.datasets.splits import Members, assign, components, leakage
from regraft.domain.errors import ConfigError

RATIOS = {"train": 0.8, "validation": 0.2}
Rows = list[tuple[str, str, tuple[str, ...]]]  # row id, session, contents
ROWS = st.lists(
    st.tuples(
        st.integers(0, 60).map(str),
        st.integers(0, 20).map(lambda number: f"s{number}"),
        st.lists(st.integers(0, 20).map(str), max_size=2).map(tuple),
    ),
    unique_by=lambda row: row[0],
    max_size=40,
)


def members(rows: Rows) -> Members:
    found = Members()
    for row in rows:
        found.add(*row)
    return found


def split(rows: Rows, ratios: dict[str, float] = RATIOS, **more: Any) -> dict[str, str]:
    found = members(rows)
    return dict(zip(found.row_ids, assign(found, ratios, **more), strict=True))


def component(rows: Rows, links: list[tuple[int, int]] | None = None) -> dict[str, str]:
    found = members(rows)
    return {row: found.row_ids[first] for row, first in zip(found.row_ids, components(found, links or []), strict=True)}


def test_a_chain_of_sessions_and_copies_is_one_component() -> None:
    rows: Rows = [
        ("a", "s1", ("x",)),
        ("b", "s1", ("y",)),
        ("c", "s2", ("y", "z")),
        ("d", "s3", ("z",)),
        ("e", "s4", ("w",)),
    ]
    assert component(rows) == {"a": "a", "b": "a", "c": "a", "d": "a", "e": "e"}
    assert component(rows, [(4, 1)])["e"] == "a"


def test_a_session_is_not_mistaken_for_a_content_of_the_same_name() -> None:
    assert component([("a", "same", ()), ("b", "other", ("same",))]) == {"a": "a", "b": "b"}


@given(ROWS)
def test_nothing_leaks_and_order_does_not_matter(rows: Rows) -> None:
    found = members(rows)
    splits = assign(found, RATIOS)
    assert split(rows[::-1]) == dict(zip(found.row_ids, splits, strict=True))
    assert leakage(found, splits).total == 0
    assert not rows or "train" in splits


def test_a_leak_is_found() -> None:
    proof = leakage(members([("a", "s", ("x",)), ("b", "s", ("x",))]), ["train", "validation"])
    assert (proof.sessions_in_two_splits, proof.contents_in_two_splits, proof.components, proof.largest) == (1, 1, 1, 2)
    apart = members([("a", "s", ()), ("b", "t", ())])
    assert leakage(apart, ["train", "validation"]).total == 0
    assert leakage(apart, ["train", "validation"], [(0, 1)]).total == 1


def test_ratios_are_met_and_a_component_stays_when_others_come() -> None:
    rows: Rows = [(f"{number:04}", f"s{number}", ()) for number in range(4000)]
    splits = split(rows)
    share = sum(each == "validation" for each in splits.values()) / len(splits)
    assert share == pytest.approx(0.2, abs=0.02)
    fewer = split(rows[:2000])
    assert all(splits[row] == each for row, each in fewer.items())
    assert split(rows, seed=1) != splits


def test_a_single_component_goes_to_the_first_split_and_an_empty_ratio_gets_nothing() -> None:
    for name in "abcdefgh":
        assert split([(name, "s", ())], {"train": 0.01, "validation": 0.99}) == {name: "train"}
    rows: Rows = [(str(number), str(number), ()) for number in range(50)]
    assert set(split(rows, {"train": 1.0, "validation": 0.0}).values()) == {"train"}


@pytest.mark.parametrize("ratios", [{}, {"train": 0.5}, {"train": 1.5, "validation": -0.5}])
def test_ratios_must_be_a_partition(ratios: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        split([("a", "s", ())], ratios)
