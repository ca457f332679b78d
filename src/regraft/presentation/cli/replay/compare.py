"""``regraft compare``, ``diff`` and ``find``: answers beside one another, and nodes by their words."""

from __future__ import annotations

import csv
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from regraft.domain.errors import UsageError
from regraft.presentation.cli.context import CommandContext, context
from regraft.presentation.cli.lineage.sessions import short
from regraft.presentation.cli.options import Json, Limit, NodeArgument, most
from regraft.presentation.cli.tables import one_line

_STYLES = {"same": "", "old": "red strike", "new": "green bold"}
_PLAIN_MARKS = {"same": ("", ""), "old": ("[-", "-]"), "new": ("{+", "+}")}  # as `git diff --word-diff` writes them

MOST_SHOWN = 200  # answers in a table


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (compare, diff, find):
        app.command(rich_help_panel="Replay")(command)


def compare(
    node: NodeArgument,
    other: Annotated[str | None, typer.Argument(help="Another node: show where the two paths diverge.")] = None,
    to_csv: Annotated[
        str | None,
        typer.Option("--csv", help="Write whole answers to this CSV file; - prints them.", metavar="FILE"),
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown tables.")] = False,
    limit: Limit = MOST_SHOWN,
    json: Json = False,
) -> None:
    """Compare all answers to a node's request, variant by variant; or show where the paths to two nodes diverge."""
    from regraft.flows.lineage.reading import values
    from regraft.flows.replay import comparison as comparing
    from regraft.flows.replay.plans import prices

    if (to_csv is not None) + markdown + json > 1:
        raise UsageError("Give one of --json, --csv and --markdown.")
    if other is not None and (to_csv is not None or markdown):
        raise UsageError("--csv and --markdown are for one node: with two nodes give --json, or neither.")
    run = context()
    dsn = run.graph_dsn()
    if other is not None:
        parted = comparing.part(dsn, node, other)
        if json:
            run.print_json(parted)
        else:
            _print_parting(run, parted)
        return
    found = comparing.compare(dsn, node, prices(run.settings))
    if json:
        run.print_json({**found, "alternatives": [values(row) for row in found["alternatives"]]})
    elif to_csv is not None:
        _write_csv(to_csv, comparing.WHOLE, comparing.as_whole_rows(found))
    elif markdown:
        sys.stdout.write(comparing.as_markdown(found))
    else:
        print_comparison(run, found, limit)


def print_comparison(run: CommandContext, found: dict[str, Any], limit: int = MOST_SHOWN) -> None:
    """The first answers under an anchor (0: all), and each variant over all its samples."""
    table = Table(
        title=f"answers under anchor {found['context_anchor_turn_id']}",
        box=None,
        title_justify="left",
        pad_edge=False,
        header_style="bold",
    )
    names = ("#", "asked with", "model", "node", "status", "tokens", "s", "cost", "reward", "fidelity", "answer")
    for name in names:
        right = name in ("#", "tokens", "s", "cost", "reward", "fidelity")
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    shown = found["alternatives"][: limit or None]
    for row in shown:
        status = row["run_status"] + (", superseded" if row["superseded"] else "")
        figures = (_figure(row[name]) for name in ("completion_tokens", "seconds", "cost", "reward", "fidelity"))
        cells = (row["words"], row["model_snapshot_id"], short(row["node_id"]), status)
        style = "dim" if row["superseded"] else None
        answer = escape(one_line(row["head"], 60))
        table.add_row(
            str(row["branch_index"]), *(escape(one_line(c, 50)) for c in cells), *figures, answer, style=style
        )
    run.console.print(table)
    if left := len(found["alternatives"]) - len(shown):
        run.console.print(f"[dim]and {left:,} more: -n 0 shows them, --csv and --json have them[/]")
    if len(found["alternatives"]) < 2:
        return
    table = Table(title="variants", box=None, title_justify="left", pad_edge=False, header_style="bold")
    table.add_column("asked with", overflow="fold")
    heads = ("samples", "distinct", "agreement", "length", "± length", "refusals", "errors", "tokens", "s", "reward")
    for name in heads:
        table.add_column(name, justify="right")
    for row in found["variants"]:
        keys = ("samples", "distinct", "agreement", "length", "length_spread", "refusals", "errors")
        figures = (_figure(row[name]) for name in (*keys, "completion_tokens", "seconds", "reward"))
        words = row["words"] + (" (superseded)" if row["superseded"] else "")
        table.add_row(escape(words), *figures, style="dim" if row["superseded"] else None)
    run.console.print(table)


def _figure(value: Any) -> str:
    return "" if value is None else f"{value:.3g}" if isinstance(value, float) else f"{value:,}"


def _write_csv(target: str, columns: tuple[str, ...], rows: list[list[str]]) -> None:
    if target == "-":
        csv.writer(sys.stdout, lineterminator="\n").writerows([columns, *rows])
        return
    try:
        with Path(target).open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([columns, *rows])
    except OSError as error:
        raise UsageError(f"The file {target} cannot be written: {error.strerror}.") from error


def _print_parting(run: CommandContext, parted: dict[str, Any]) -> None:
    say = run.console.print
    common = parted["common_node_id"]
    if common is None:
        say("The two nodes are in different sessions: nothing is shared.")
    else:
        say(f"Both go through {common} (depth {parted['common_depth']}).", highlight=False)
        for side in ("a", "b"):
            say(f"  {side}: {parted[f'{side}_next'] or 'ends there'}", highlight=False)
    found = parted["divergence"]
    if found is None:
        say("Their messages say the same.")
        return
    place = f"turn {found['turn']}" + (f", step {found['step']}" if found["step"] else "")
    say(f"First difference: {found['kind']} in {place}.", highlight=False)
    for name, mark in (("before", "a"), ("after", "b")):
        if found.get(name):
            say(f"  {mark}: {one_line(found[name], 100)}", highlight=False, markup=False)


def diff(
    a: NodeArgument,
    b: Annotated[str, typer.Argument(help="Another node: id or start of an id.")],
    json: Json = False,
) -> None:
    """Compare the answers of two nodes word by word, and list what differs in their requests."""
    from regraft.flows.replay.difference import compare_nodes

    run = context()
    found = compare_nodes(run.graph_dsn(), a, b)
    if json:
        run.print_json(
            {
                "a": found.a,
                "b": found.b,
                "request": {
                    "kind": found.request.kind,
                    "changes": found.request.config,
                    "reason": found.request.reason,
                },
                "likeness": found.likeness,
                "answer": [asdict(piece) for piece in found.answer],
            }
        )
        return
    run.console.print(f"requests: {found.request.reason}", highlight=False, markup=False)
    run.console.print(f"answers: {found.likeness:.0%} alike\n", highlight=False)
    shown = Text()
    plain = run.console.color_system is None  # a pipe, or NO_COLOR: marks instead
    for piece in found.answer:
        text = piece.text.replace("\x00", "\ufffd")
        if plain:
            opening, closing = _PLAIN_MARKS[piece.where]
            shown.append(f"{opening}{text}{closing}")
        else:
            shown.append(text, style=_STYLES[piece.where])
    run.console.print(shown)


def find(
    text: Annotated[str, typer.Argument(help='Words, "phrases", or, -not.')],
    limit: Limit = 20,
    json: Json = False,
) -> None:
    """Find nodes whose answer or last question contains the words."""
    from regraft.flows.lineage import reading

    run = context()
    rows = reading.find(run.graph_dsn(), text, most(limit))
    if json:
        run.print_json(rows)
        return
    if not rows:
        run.console.print("No node contains these words.")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("node", "session", "in", "words"):
        table.add_column(name, no_wrap=True)
    for row in rows:
        excerpt = Text(one_line(row["excerpt"], 90))
        table.add_row(short(row["node_id"]), short(row["session_id"]), row["place"], excerpt)
    run.console.print(table)
