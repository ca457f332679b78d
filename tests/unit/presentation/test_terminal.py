"""Recorded texts in the output of commands cannot control the terminal."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.markup import escape
from rich.table import Table

from regraft.presentation.cli.terminal import Terminal

STEERING = "\x1b[2Jred \x1b]0;title\x07 \x00 \x9b31m \u202ebackwards [bold]x[/]"


@pytest.mark.parametrize("in_table", [False, True])
def test_control_characters_are_shown_and_not_obeyed(in_table):
    out = StringIO()
    terminal = Terminal(file=out, width=200)
    shown = escape(STEERING)
    if in_table:
        table = Table("text")
        table.add_row(shown)
        terminal.print(table)
    else:
        terminal.print(shown, highlight=False)
    said = out.getvalue()
    assert not set("\x1b\x07\x00\x9b\u202e") & set(said)
    assert "\\x1b[2Jred \\x1b]0;title\\x07 \\x00 \\x9b31m \\u202ebackwards [bold]x[/]" in said
