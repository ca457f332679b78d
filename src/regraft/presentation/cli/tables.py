"""Tables of many rows: on a narrow terminal texts are truncated, but ids and numbers are not."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from rich.console import Console
from rich.table import Table
from rich.text import Text

from regraft.presentation.cli.words import counted

Row = TypeVar("Row")
Keys = Mapping[str, Callable[[Any], Any]]  # what a row is sorted by, by the name of a column


@dataclass(frozen=True, slots=True)
class Arranged(Generic[Row]):
    """The rows that are shown, sorted, and how many there are in all."""

    rows: list[Row]
    total: int


def arranged(
    rows: Sequence[Row], limit: int, sort: str | None = None, *, keys: Keys | None = None, reverse: bool = False
) -> Arranged[Row]:
    """The first ``limit`` rows (0: all), in their own order or by a column of ``keys``.

    Figures and times come from the largest, words from A to Z, and what is unknown last; ``reverse`` turns the order
    round, and leaves what is unknown last.
    """
    ordered = list(rows)
    if sort is not None:
        key = (keys or {})[sort]
        known = [row for row in ordered if key(row) is not None]
        words = all(isinstance(key(row), str) for row in known)
        known.sort(key=(lambda row: key(row).casefold()) if words else key, reverse=words == reverse)
        ordered = known + [row for row in ordered if key(row) is None]
    elif reverse:
        ordered.reverse()
    return Arranged(ordered[: limit or None], len(ordered))


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


def one_line(text: str, width: int) -> str:
    """Text on one line, cut to ``width`` characters."""
    flat = " ".join(text.replace("\x00", "\ufffd").split())
    return flat if len(flat) <= width else flat[: width - 1] + "…"


def print_total(console: Console, shown: int, total: int, noun: str) -> None:
    """Below a table on a terminal: how many rows there are. In a pipe every line is a row."""
    if console.is_terminal:
        some = f"{shown:,} of " if shown < total else ""
        more = "; -n 0 shows all" if shown < total else ""
        console.print(f"[dim]{some}{counted(total, noun)}{more}[/]", highlight=False)
