"""Tables of many rows: on a narrow terminal texts are cut, and ids and figures are not."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from rich.table import Table
from rich.text import Text


def listing(columns: Sequence[str], *, figures: Collection[str] = (), texts: Collection[str] = ()) -> Table:
    """An empty table. ``figures`` are right-aligned, ``texts`` are columns that shrink: their cells are ``cut``."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(
            Text(name, no_wrap=True), justify="right" if name in figures else "left", no_wrap=name not in texts
        )
    return table


def cut(text: str) -> Text:
    """A cell of one line that ends in an ellipsis where the terminal does. What looks like markup is text."""
    return Text(text, no_wrap=True, overflow="ellipsis")
