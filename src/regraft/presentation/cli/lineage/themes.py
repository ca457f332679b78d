"""``regraft themes``: list, rename, merge and describe themes."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Literal

import typer
from rich.text import Text

from regraft.presentation.cli.context import context
from regraft.presentation.cli.evaluation.label import reviewer_name
from regraft.presentation.cli.options import SORT, Json, Limit, Reverse
from regraft.presentation.cli.tables import Keys, arranged, cut, listing, print_total
from regraft.presentation.cli.words import counted

app = typer.Typer(help="List, rename, merge and describe themes of sessions.", no_args_is_help=True)

_KEYS: Keys = {
    "theme": lambda row: row["name"],
    "sessions": lambda row: row["sessions"],
    "turns": lambda row: row["turns"],
    "errors": lambda row: row["errors"],
    "outcome": lambda row: row["reward"],
}
Theme = Annotated[str, typer.Argument(help="Theme: its name.", metavar="THEME")]
Tenant = Annotated[str | None, typer.Option("--scope", help="The tenant whose theme it is.")]
Who = Annotated[str | None, typer.Option("--by", help="Your name; the account name if not given.")]


@app.command("list")
def list_themes(
    limit: Limit = 50,
    sort: Annotated[Literal["theme", "sessions", "turns", "errors", "outcome"] | None, typer.Option(help=SORT)] = None,
    reverse: Reverse = False,
    json: Json = False,
) -> None:
    """List themes with totals of their sessions. Side calls are left out."""
    from regraft.flows import themes as flow

    run = context()
    found = arranged(flow.theme_figures(run.graph_dsn()), limit, sort, keys=_KEYS, reverse=reverse)
    if json:
        run.print_json(found.rows)
        return
    if not found.rows:
        run.console.print("No sessions yet. Calls name a theme by the header X-Regraft-Theme.")
        return
    figures = ("sessions", "turns", "with errors", "outcome")
    table = listing(("theme", *figures, "about"), figures=figures, texts=("theme", "about"))
    for row in found.rows:
        table.add_row(
            cut(row["name"] or "(none)"),
            str(row["sessions"]),
            str(row["turns"]),
            str(row["errors"]),
            "" if row["reward"] is None else f"{row['reward']:.2f}",
            cut(" ".join(row["description"].split())),
        )
    run.console.print(table)
    print_total(run.console, len(found.rows), found.total, "theme")


@app.command()
def rename(
    theme: Theme,
    name: Annotated[str, typer.Argument(help="Its new name; that of another theme merges both.")],
    scope: Tenant = None,
    by: Who = None,
    json: Json = False,
) -> None:
    """Rename a theme, or merge it into another. Calls with the old name are filed under the new one from then on.

    A merge cannot be undone: the sessions of the two themes can no longer be distinguished.
    """
    from regraft.flows import themes as flow

    run = context()
    dsn = run.graph_dsn()
    done = flow.rename_theme(dsn, flow.theme_named(dsn, theme, scope), name, reviewer_name(by), scope=scope)
    if json:
        run.print_json(asdict(done))
        return
    what = "is merged into" if done.merged else "is called"
    run.console.print(Text(f"{theme} {what} {done.name}: {counted(done.sessions, 'session')}."))


@app.command()
def describe(
    theme: Theme,
    description: Annotated[str, typer.Argument(help="A description of the theme.")],
    scope: Tenant = None,
    by: Who = None,
    json: Json = False,
) -> None:
    """Describe a theme."""
    from regraft.flows import themes as flow

    run = context()
    dsn = run.graph_dsn()
    done = flow.describe_theme(dsn, flow.theme_named(dsn, theme, scope), description, reviewer_name(by), scope=scope)
    if json:
        run.print_json(asdict(done))
        return
    run.console.print(Text(f"{done.name}: {done.description or 'no description'}"))
