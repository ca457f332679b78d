"""``regraft models``: which models answered, from which builds."""

from __future__ import annotations

from typing import Annotated, Literal

import typer
from rich.markup import escape
from rich.table import Table

from regraft.presentation.cli.context import context
from regraft.presentation.cli.options import SORT, Json, Limit, Reverse
from regraft.presentation.cli.tables import Keys, arranged, one_line, print_total
from regraft.presentation.cli.words import moment

_COLOURS = {"current": "green", "replaced": "yellow", "unknown": "dim"}

_KEYS: Keys = {
    "model": lambda row: row["model"],
    "first": lambda row: row["first_seen"],
    "last": lambda row: row["last_seen"],
    "runs": lambda row: row["runs"],
    "state": lambda row: row["state"],
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Replay")(models)


def models(
    model: Annotated[str | None, typer.Argument(help="Only this model.")] = None,
    limit: Limit = 100,
    sort: Annotated[Literal["model", "first", "last", "runs", "state"] | None, typer.Option(help=SORT)] = None,
    reverse: Reverse = False,
    json: Json = False,
) -> None:
    """List the models that answered, the build of each, when it was seen, and which is current."""
    from regraft.flows.replay.models import listed

    run = context()
    found = arranged(listed(run.postgres_dsn(), model), limit, sort, keys=_KEYS, reverse=reverse)
    rows = found.rows
    if json:
        run.print_json(rows)
        return
    if not rows:
        run.console.print("No model has answered yet." if model is None else "That model has not answered yet.")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("model", "on", "build", "known by", "first seen", "last seen", "runs", "state"):
        table.add_column(name, justify="right" if name == "runs" else "left", no_wrap=name != "build", overflow="fold")
    for row in rows:
        build = row["model_snapshot_id"].removeprefix(row["model"]).removeprefix("@")
        table.add_row(
            escape(one_line(row["model"], 40)) or "[dim]not named[/]",
            escape(row["backend"]),
            escape(one_line(build, 120)),
            row["pinned_by"],
            moment(row["first_seen"]),
            moment(row["last_seen"]),
            f"{row['runs']:,}",
            f"[{_COLOURS[row['state']]}]{row['state']}[/]",
        )
    run.console.print(table)
    print_total(run.console, len(rows), found.total, "build")
    if any(row["state"] == "unknown" for row in rows):
        run.console.print(
            "[dim]unknown: only the name is known, so a change of the build cannot be detected."
            " Set `pin` of the upstream.[/]"
        )
