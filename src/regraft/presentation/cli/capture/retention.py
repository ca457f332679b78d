"""``regraft retention``: remove raw bytes by age."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from regraft.presentation.cli.context import context
from regraft.presentation.cli.options import Json

_WORDS = {
    "answers": "calls: what servers wrote around their answers",
    "resolved": "copies of calls that left quarantine",
    "unreadable": "calls that could never be read",
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Capture")(retention)


def retention(
    raw_bodies_older_than: Annotated[str, typer.Option(help="Age: a number and h, d, w or y.", metavar="AGE")],
    unreadable: Annotated[
        bool, typer.Option("--unreadable", help="Also calls in quarantine that cannot be read.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Report what would be removed; change nothing.")] = False,
    json: Json = False,
) -> None:
    """Remove raw bytes that nothing else is made from, by age. Histories, replays and datasets stay as they are."""
    from regraft.flows.capture.retention import age_of, remove_raw_bodies

    run = context()
    age = age_of(raw_bodies_older_than)
    done = remove_raw_bodies(run.postgres_dsn(), age, unreadable=unreadable, dry_run=dry_run)
    if json:
        run.print_json(asdict(done))
        return
    verb = "would be removed" if dry_run else "removed"
    for kind, (rows, size) in done.counts.items():
        run.console.print(f"{rows} {_WORDS[kind]} ({size / (1 << 20):.1f} MiB) {verb}", highlight=False)
