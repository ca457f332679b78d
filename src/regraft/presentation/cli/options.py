"""Options that many commands have: the same names, the same words, the same meaning."""

from __future__ import annotations

from typing import Annotated

import typer

EVERYTHING = 2**31 - 1

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Limit = Annotated[int, typer.Option("--limit", "-n", min=0, help="How many to show; 0 for all.")]
Reverse = Annotated[bool, typer.Option("--reverse", help="Reverse the order.")]
NodeArgument = Annotated[str, typer.Argument(help="Node: id or start of an id.")]
OnlySession = Annotated[str | None, typer.Option("--session", help="Only this session: id, start of an id, or name.")]

SORT = "Column to sort by: numbers and times descending, texts from A to Z."


def most(limit: int) -> int:
    """A limit for queries, in which 0 means all."""
    return limit or EVERYTHING
