"""Splits that do not leak."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regraft.domain.datasets.splits import Member, assign, components, leakage
from regraft.domain.errors import ConfigError

RATIOS = {"train": 0.8, "validation": 0.2}
MEMBERS = st.lists(
    st.builds(
        Member,
        st.integers(0, 60).map(str),
        st.integers(0, 20).map(lambda number: f"s{number}"),
        st.lists(st.integers(0, 20).map(str), max_size=2).map(tuple),
    ),
    unique_by=lambda member: member.row_id,
    max_size=40,
)


def test_a_chain_of_sessions_and_copies_is_one_component() -> None:
    members = [
        Member("a", "s1", ("x",)),
        Member("b", "s1", ("y",)),
        Member("c", "s2", ("y", "z")),
        Member("d", "s3", ("z",)),
        Member("e", "s4", ("w",)),
    ]
    assert components(members) == {"a": "a", "b": "a", "c": "a", "d": "a", "e": "e"}


def test_a_session_is_not_mistaken_for_a_content_of_the_same_name() -> None:
    assert components([Member("a", "same", ()), Member("b", "other", ("same",))]) == {"a": "a", "b": "b"}


@given(MEMBERS)
def test_nothing_leaks_and_order_does_not_matter(members: list[Member]) -> None:
    splits = assign(members, RATIOS)
    assert assign(members[::-1], RATIOS) == splits
    proof = leakage(members, splits)
    assert proof.total == 0
    assert set(splits) == {member.row_id for member in members}
    assert not members or "train" in splits.values()


def test_a_leak_is_found() -> None:
    members = [Member("a", "s", ("x",)), Member("b", "s", ("x",))]
    proof = leakage(members, {"a": "train", "b": "validation"})
    assert (proof.sessions_in_two_splits, proof.contents_in_two_splits, proof.components, proof.largest) == (1, 1, 1, 2)


def test_ratios_are_met_and_a_component_stays_when_others_come() -> None:
    members = [Member(f"{number:04}", f"s{number}", ()) for number in range(4000)]
    splits = assign(members, RATIOS)
    share = sum(split == "validation" for split in splits.values()) / len(splits)
    assert share == pytest.approx(0.2, abs=0.02)
    fewer = assign(members[:2000], RATIOS)
    assert all(splits[row] == split for row, split in fewer.items())
    assert assign(members, RATIOS, seed=1) != splits


def test_a_single_component_goes_to_the_first_split_and_an_empty_ratio_gets_nothing() -> None:
    for name in "abcdefgh":
        assert assign([Member(name, "s", ())], {"train": 0.01, "validation": 0.99}) == {name: "train"}
    members = [Member(str(number), str(number), ()) for number in range(50)]
    assert set(assign(members, {"train": 1.0, "validation": 0.0}).values()) == {"train"}


@pytest.mark.parametrize("ratios", [{}, {"train": 0.5}, {"train": 1.5, "validation": -0.5}])
def test_ratios_must_be_a_partition(ratios: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        assign([Member("a", "s", ())], ratios)
