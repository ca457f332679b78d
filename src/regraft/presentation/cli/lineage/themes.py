"""``regraft themes``: what sessions are filed under; renamed, merged, described."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.text import Text

from regraft.presentation.cli.context import context
from regraft.presentation.cli.evaluation.label import reviewer_name
from regraft.presentation.cli.tables import cut, listing

app = typer.Typer(help="Themes of sessions: their figures, renamed, merged, described.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Limit = Annotated[int, typer.Option("--limit", "-n", min=0, help="How many to show; 0 for all.")]
Theme = Annotated[str, typer.Argument(help="Theme: its name.", metavar="THEME")]
Tenant = Annotated[str | None, typer.Option("--scope", help="The tenant whose theme it is.")]
Who = Annotated[str | None, typer.Option("--by", help="Who changes it; the account's name if not given.")]


@app.command("list")
def list_themes(limit: Limit = 50, json: Json = False) -> None:
    """List themes with what their sessions come to. Side calls are left out."""
    from regraft.flows import themes as flow

    run = context()
    found = flow.theme_figures(run.graph_dsn())[: limit or None]
    if json:
        run.print_json(found)
        return
    if not found:
        run.console.print("No sessions yet. Calls name a theme by the header X-Regraft-Theme.")
        return
    figures = ("sessions", "turns", "with errors", "outcome")
    table = listing(("theme", *figures, "about"), figures=figures, texts=("theme", "about"))
    for row in found:
        table.add_row(
            cut(row["name"] or "(none)"),
            str(row["sessions"]),
            str(row["turns"]),
            str(row["errors"]),
            "" if row["reward"] is None else f"{row['reward']:.2f}",
            cut(" ".join(row["description"].split())),
        )
    run.console.print(table)


@app.command()
def rename(
    theme: Theme,
    name: Annotated[str, typer.Argument(help="Its new name; that of another theme merges both.")],
    scope: Tenant = None,
    by: Who = None,
    json: Json = False,
) -> None:
    """Rename a theme, or merge it into another. Calls that name it so are filed under the new name from then on.

    A merge cannot be taken back: the sessions of both cannot be told apart by their theme again.
    """
    from regraft.flows import themes as flow

    run = context()
    dsn = run.graph_dsn()
    done = flow.rename_theme(dsn, flow.theme_named(dsn, theme, scope), name, reviewer_name(by), scope=scope)
    if json:
        run.print_json(asdict(done))
        return
    what = "is merged into" if done.merged else "is called"
    run.console.print(Text(f"{theme} {what} {done.name}: {done.sessions} sessions."))


@app.command()
def describe(
    theme: Theme,
    description: Annotated[str, typer.Argument(help="What it is about.")],
    scope: Tenant = None,
    by: Who = None,
    json: Json = False,
) -> None:
    """Say what a theme is about."""
    from regraft.flows import themes as flow

    run = context()
    dsn = run.graph_dsn()
    done = flow.describe_theme(dsn, flow.theme_named(dsn, theme, scope), description, reviewer_name(by), scope=scope)
    if json:
        run.print_json(asdict(done))
        return
    run.console.print(Text(f"{done.name}: {done.description or 'no description'}"))
