"""Tables on a terminal and in a pipe."""

from __future__ import annotations

import io

import pytest

from regraft.presentation.cli.tables import cut, listing
from regraft.presentation.cli.terminal import Terminal

LONG = "words without an end " * 40


def printed(*, terminal: bool, width: int) -> list[str]:
    console = Terminal(file=io.StringIO(), width=width, force_terminal=terminal, color_system=None)
    table = listing(("id", "opens with", "turns"), figures=("turns",), texts=("opens with",))
    table.add_row("0123456789abc", cut(LONG), "7")
    table.add_row("abcdef0123456", cut("short"), "12")
    console.print(table)
    console.print(LONG)
    text = console.file.getvalue()
    return text.splitlines()


def test_in_a_pipe_each_row_is_one_whole_line():
    lines = printed(terminal=False, width=140)
    assert [line.split()[0] for line in lines[:3]] == ["id", "0123456789abc", "abcdef0123456"]
    assert LONG.strip() in lines[1]
    assert max(map(len, lines[3:])) <= 140


@pytest.mark.parametrize("width", [60, 80, 200])
def test_on_a_terminal_texts_are_cut_and_ids_and_figures_are_not(width):
    lines = printed(terminal=True, width=width)
    assert max(map(len, lines)) <= width
    assert lines[1].startswith("0123456789abc")
    assert "…" in lines[1]
    assert lines[1].rstrip().endswith("7")
