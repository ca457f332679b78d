"""Rows of lists: sorted either way, what is unknown last, and the first of them."""

from __future__ import annotations

import pytest

from regraft.presentation.cli.tables import arranged

ROWS = [
    {"name": "b", "turns": 2, "outcome": None},
    {"name": "A", "turns": 30, "outcome": 0.5},
    {"name": "c", "turns": 4, "outcome": 1.0},
]
KEYS = {name: lambda row, name=name: row[name] for name in ROWS[0]}


@pytest.mark.parametrize(
    ("sort", "reverse", "names"),
    [
        (None, False, "bAc"),
        (None, True, "cAb"),
        ("name", False, "Abc"),
        ("name", True, "cbA"),
        ("turns", False, "Acb"),
        ("turns", True, "bcA"),
        ("outcome", False, "cAb"),
        ("outcome", True, "Acb"),
    ],
)
def test_figures_come_from_the_largest_words_from_a_to_z_and_what_is_unknown_last(sort, reverse, names):
    shown = arranged(ROWS, 0, sort, keys=KEYS, reverse=reverse)
    assert "".join(row["name"] for row in shown.rows) == names
    assert shown.total == 3


def test_a_limit_cuts_after_sorting_and_keeps_the_total():
    shown = arranged(ROWS, 1, "turns", keys=KEYS)
    assert ([row["name"] for row in shown.rows], shown.total) == (["A"], 3)
