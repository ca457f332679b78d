"""Tables on a terminal and in a pipe."""

from __future__ import annotations

import io

import pytest

from regraft.presentation.cli.progress import Bar
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


@pytest.mark.parametrize("width", [60, 80, 100])
def test_on_a_narrow_terminal_columns_are_left_out_by_name_and_what_stays_is_whole(width):
    console = Terminal(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    figures = [f"figure {number}" for number in range(12)]
    table = listing(("id", "theme", *figures, "opens with"), figures=figures, texts=("theme", "opens with"))
    table.add_row("0123456789abc", cut(LONG), *(f"{number}234567" for number in range(12)), cut(LONG))
    console.print(table)
    head, row, note = (line.rstrip() for line in console.file.getvalue().splitlines()[:3])
    assert max(map(len, (head, row))) <= width
    shown = sum(f"figure {number}" in head for number in range(12))
    assert 0 < shown < 12
    assert all(f" {number}234567" in row for number in range(shown))
    assert head.endswith("opens with")
    assert note.startswith(f"too narrow for: figure {shown}")


def test_a_table_that_fits_is_whole():
    console = Terminal(file=io.StringIO(), width=200, force_terminal=True, color_system=None)
    table = listing(("id", "a", "b", "c", "d"))
    table.add_row(*"01234")
    console.print(table)
    assert "too narrow" not in console.file.getvalue()


def test_in_a_pipe_progress_is_lines_on_standard_error_now_and_then(capsys, monkeypatch):
    console = Terminal(file=io.StringIO(), force_terminal=False)
    with Bar(console) as bar:
        task = bar.add_task("Placing turns", total=2000)
        bar.advance(task, 500)
        monkeypatch.setattr("regraft.presentation.cli.progress._LINE_SECONDS", 0.0)
        bar.advance(task, 500)
        bar.update(task, completed=2000)
    assert capsys.readouterr().err.splitlines() == ["Placing turns: 1,000 of 2,000", "Placing turns: 2,000 of 2,000"]
    assert console.file.getvalue() == ""
