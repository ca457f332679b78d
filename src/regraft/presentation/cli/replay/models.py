"""``regraft models``: which models answered, from which builds."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from regraft.presentation.cli.context import context
from regraft.presentation.cli.lineage.sessions import Json, one_line

_COLOURS = {"current": "green", "replaced": "yellow", "unknown": "dim"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Replay")(models)


def models(
    model: Annotated[str | None, typer.Argument(help="Only this model.")] = None,
    json: Json = False,
) -> None:
    """List the models that answered, the build of each, when it was seen, and which is current."""
    from regraft.flows.replay.models import listed

    run = context()
    rows = listed(run.postgres_dsn(), model)
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
            f"{row['first_seen']:%Y-%m-%d %H:%M}",
            f"{row['last_seen']:%Y-%m-%d %H:%M}",
            f"{row['runs']:,}",
            f"[{_COLOURS[row['state']]}]{row['state']}[/]",
        )
    run.console.print(table)
    if any(row["state"] == "unknown" for row in rows):
        run.console.print(
            "[dim]unknown: only the name is known, so a change of the build cannot be detected."
            " Set `pin` of the upstream.[/]"
        )
