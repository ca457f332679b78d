"""``regraft lineage``: build the conversation graph from the execution log."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.progress import Progress

from regraft.presentation.cli.context import context

app = typer.Typer(help="The conversation graph: build it, or derive it again.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def build(json: Json = False) -> None:
    """Place every captured turn that the graph does not hold yet."""
    _run(again=False, json=json)


@app.command()
def rebuild(json: Json = False) -> None:
    """Derive the whole graph again from the log; the same log gives the same graph."""
    _run(again=True, json=json)


def _run(*, again: bool, json: bool) -> None:
    from regraft.flows import lineage
    from regraft.infra.postgres.lineage import waiting
    from regraft.infra.postgres.pool import transaction

    run = context()
    dsn = run.postgres_dsn()
    with transaction(dsn) as connection:
        turns, _ = waiting(connection)
    with Progress(console=run.console, transient=True, disable=json) as progress:
        task = progress.add_task("Placing turns", total=None if again else turns)
        work = lineage.rebuild if again else lineage.build
        counts = work(dsn, progress=lambda done: progress.advance(task, done))
    if json:
        run.print_json(asdict(counts))
    elif counts.turns:
        run.console.print(f"Placed {counts.turns} turns in {counts.sessions} sessions (build {counts.build}).")
    else:
        run.console.print("Nothing waits: the graph is up to date.")
