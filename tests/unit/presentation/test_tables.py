"""Tables on terminals of any width."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from regraft.presentation.cli.tables import cut, listing

ID = "024a341e-d295"


@pytest.mark.parametrize("width", [60, 80, 120, 300])
def test_ids_and_figures_are_whole_on_a_narrow_terminal_and_texts_give_way(width):
    table = listing(("session", "name", "turns", "opens with"), figures=("turns",), texts=("name", "opens with"))
    table.add_row(ID, cut("oasst/ea201f57-d24a-40f3-a0a7-ad15b893e538"), "1234", cut("Why is the sky blue? " * 3))
    table.add_row(ID, cut("[bold]x[/]"), "5", cut(""))
    written = io.StringIO()
    Console(file=written, width=width).print(table)
    lines = written.getvalue().splitlines()
    assert len(lines) == 3
    assert all(line.startswith(ID) for line in lines[1:])
    assert " 1234 " in lines[1]
    assert "[bold]x" in lines[2]
    assert ("…" in lines[1]) == (width < 300)
