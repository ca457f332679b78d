"""The terminal output of commands: recorded texts and names cannot send control sequences to it."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Column, Table
from rich.text import Text
from rich.tree import Tree

_LEAST_TEXT = 8  # characters of a text that are shown at least
_LEAST_COLUMNS = 3
_ENDLESS = 1_000_000  # columns: no row is wider
_KEPT = {"\n", "\t"}
_DIRECTIONS = (*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F)
_STEERING = {
    **{code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in _KEPT},
    **{code: f"\\u{code:04x}" for code in _DIRECTIONS},
}


def _needed(console: Console, table: Table) -> int:
    """Columns of the terminal that the table needs, where texts that may be cut keep a few characters each."""
    widths = []
    for column in table.columns:
        cells = [column.header, *column.cells]
        whole = max(Measurement.get(console, console.options, cell).maximum for cell in cells)
        least = max(_LEAST_TEXT, Measurement.get(console, console.options, column.header).maximum)
        widths.append(whole if column.no_wrap else min(whole, least))
    return sum(widths) + 2 * (len(widths) - 1)


def _says(column: Column) -> bool:
    """Whether any cell has something in it."""
    return any(str(cell) for cell in column.cells)


def visible(text: str) -> str:
    """The text with characters that steer a terminal or turn the direction of what follows written as escapes."""
    return text.translate(_STEERING)


class Terminal(Console):
    """A console that shows control characters in place of obeying them; styles come from markup alone.

    In a pipe each row of a table or a tree is one line, whole: what reads it may cut it itself. On a terminal that is
    too narrow for a table, columns are left out, and named below it; the first and the last one stay.
    """

    def print(self, *objects: Any, **options: Any) -> None:
        """See Console."""
        if self.is_terminal or not any(isinstance(each, Table | Tree) for each in objects):
            left_out = [name for each in objects if isinstance(each, Table) for name in self._narrow(each)]
            super().print(*objects, **options)
            if left_out:
                super().print(f"[dim]too narrow for: {', '.join(left_out)} (--json has all)[/]", highlight=False)
            return
        width, self.width = self.width, _ENDLESS
        try:
            super().print(*objects, **options)
        finally:
            self.width = width

    def on_broken_pipe(self) -> None:
        """What reads the output has read enough, as ``head`` does: that is not a failure."""
        try:
            super().on_broken_pipe()
        except SystemExit:
            raise SystemExit(0) from None

    def _narrow(self, table: Table) -> list[str]:
        """Take columns out of a table, from the right, until it fits; give their names."""
        if table.box is not None:
            return []
        table.columns[:] = [each for each in table.columns if _needed(self, table) <= self.width or _says(each)]
        out: list[str] = []
        while len(table.columns) > _LEAST_COLUMNS and _needed(self, table) > self.width:
            column = table.columns.pop(-2)
            out.insert(0, str(column.header))
        return out

    def render_str(self, text: str, **options: Any) -> Text:
        """A text of ours or of others', as it is printed."""
        return super().render_str(visible(text), **options)
