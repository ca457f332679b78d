"""``regraft lineage``: build the conversation graph from the execution log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import Progress

from regraft.presentation.cli.context import context

if TYPE_CHECKING:
    from regraft.flows.lineage import BuildCounts

app = typer.Typer(help="The conversation graph: build it, or derive it again.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def build(
    retry: Annotated[bool, typer.Option("--retry", help="Also try turns again that could not be placed.")] = False,
    json: Json = False,
) -> None:
    """Place every captured turn that the graph does not hold yet."""
    from regraft.flows import lineage

    _run(lineage.retry if retry else lineage.build, json=json)


@app.command()
def rebuild(json: Json = False) -> None:
    """Derive the whole graph again from the log; the same log gives the same graph."""
    from regraft.flows import lineage

    _run(lineage.rebuild, json=json)


def _run(work: Callable[..., BuildCounts], *, json: bool) -> None:
    from regraft.infra.postgres.lineage import waiting
    from regraft.infra.postgres.pool import transaction

    run = context()
    dsn = run.postgres_dsn()
    with transaction(dsn) as connection:
        turns, _ = waiting(connection)
    with Progress(console=run.console, transient=True, disable=json) as progress:
        task = progress.add_task("Placing turns", total=turns or None)
        counts = work(dsn, progress=lambda done: progress.advance(task, done))
    if json:
        run.print_json(asdict(counts))
    elif counts.turns:
        run.console.print(f"Placed {counts.turns} turns in {counts.sessions} sessions (build {counts.build}).")
    else:
        run.console.print("Nothing waits: the graph is up to date.")
    if counts.failed and not json:
        run.console.print(f"{counts.failed} turns could not be placed: `regraft doctor` says how to see why.")
