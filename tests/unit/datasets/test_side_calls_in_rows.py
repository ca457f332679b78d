"""Side calls of clients make no rows unless a recipe names their purpose."""

from __future__ import annotations

import pytest

from regraft.domain.datasets.kinds.kind import mismatch
from regraft.domain.datasets.recipe import Recipe


@pytest.mark.parametrize(
    ("wanted", "purposes", "cause"),
    [
        (("chat", "replay"), ["side:title"], "side_call"),
        (("chat", "replay"), ["chat", "side:title"], "side_call"),
        ((), ["side:title"], "side_call"),
        (("side:tags",), ["side:title"], "side_call"),
        (("chat", "side:title"), ["side:title"], ""),
        (("side",), ["side:title"], ""),
        (("side",), ["chat"], "other_purpose"),
        (("chat",), ["import"], "other_purpose"),
        ((), ["import"], ""),
    ],
)
def test_a_side_call_is_taken_only_where_its_purpose_is_named(wanted, purposes, cause):
    assert mismatch(Recipe(name="r", kind="sft", purposes=wanted), "", ["m"], purposes) == cause
