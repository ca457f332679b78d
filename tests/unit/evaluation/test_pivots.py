"""Values backed up a tree, and the contexts whose answers led to different outcomes."""

from __future__ import annotations

from statistics import stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regraft.domain.evaluation.node_values import NodeValue, ValueSource, backed_up
from regraft.domain.evaluation.pivots import ValuedPath, pivots_of


def path(*steps: str, **values: float) -> ValuedPath:
    """Steps are ``anchor:node``."""
    anchors, nodes = zip(*(step.split(":") for step in steps), strict=True)
    known: dict[ValueSource, float] = {name: values[name] for name in ("human", "outcome", "judge") if name in values}
    return ValuedPath(nodes, anchors, known)


def test_a_value_is_the_mean_over_the_paths_through_a_node() -> None:
    assert backed_up([(["a", "b"], 1.0), (["a", "c"], 0.0)]) == {
        "a": NodeValue(0.5, 2),
        "b": NodeValue(1.0, 1),
        "c": NodeValue(0.0, 1),
    }


def test_a_pivot_is_where_answers_differ_and_weighs_its_spread_times_its_leaves() -> None:
    found = pivots_of(
        [
            path("q:a", "r:c", outcome=1.0),
            path("q:a", "r:d", outcome=0.0),
            path("q:b", outcome=0.0),
        ],
        "outcome",
    )
    assert [(one.anchor, one.leaves) for one in found] == [("r", 2), ("q", 3)]
    lower, upper = found
    assert (lower.mean, lower.spread, lower.weight) == pytest.approx((0.5, stdev([0, 1]), 2 * stdev([0, 1])))
    assert [(one.node_id, one.value) for one in upper.answers] == [("a", NodeValue(0.5, 2)), ("b", NodeValue(0.0, 1))]
    assert (upper.mean, upper.spread) == pytest.approx((0.25, stdev([0.5, 0])))
    assert upper.error == pytest.approx(upper.spread / 2**0.5)


def test_sources_are_never_mixed_and_what_one_does_not_value_counts_for_nothing() -> None:
    paths = [path("q:a", outcome=1.0, human=0.5), path("q:b", outcome=0.0), path("q:c", judge=0.0)]
    assert [len(one.answers) for one in pivots_of(paths, "outcome")] == [2]
    assert pivots_of(paths, "human") == []
    assert pivots_of(paths, "judge") == []


def test_answers_of_one_value_and_single_answers_are_no_pivot() -> None:
    assert pivots_of([path("q:a", outcome=1.0), path("q:b", outcome=1.0), path("s:d", outcome=0.0)], "outcome") == []
    assert pivots_of([], "outcome") == []


@given(st.lists(st.booleans(), min_size=8, max_size=40))
def test_more_samples_of_a_yes_or_no_context_narrow_its_spread(samples: list[bool]) -> None:
    two = [path("q:a", outcome=1.0), path("q:b", outcome=0.0)]
    more = [path(f"q:{number}", outcome=float(good)) for number, good in enumerate(samples)]
    (before,), (after,) = pivots_of(two, "outcome"), pivots_of([*two, *more], "outcome")
    assert after.spread < before.spread
    assert after.error < before.error
    assert after.mean == pytest.approx((1 + sum(samples)) / (2 + len(samples)))
