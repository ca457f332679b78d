"""``regraft lineage``: build the conversation graph from the execution log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from regraft.presentation.cli.context import context
from regraft.presentation.cli.options import Json
from regraft.presentation.cli.progress import Bar
from regraft.presentation.cli.words import counted

if TYPE_CHECKING:
    from regraft.flows.lineage.build import BuildCounts
    from regraft.flows.lineage.reprojection import Regrouping

app = typer.Typer(help="Build or rebuild the conversation graph.", no_args_is_help=True)


@app.command()
def build(
    retry: Annotated[bool, typer.Option("--retry", help="Also retry turns that failed before.")] = False,
    builders: Annotated[
        int, typer.Option("--builders", metavar="N", min=1, max=16, help="Number of parallel builders.")
    ] = 1,
    json: Json = False,
) -> None:
    """Add every captured turn that is not in the graph yet. Other builders may run at the same time, on any host."""
    from regraft.flows.lineage import build as lineage

    _run(partial(lineage.retry if retry else lineage.build, builders=builders), json=json)


@app.command()
def rebuild(
    projection: Annotated[
        int | None,
        typer.Option("--projection", help="Join conversations under this version of the projection from now on."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only report what would split and merge; change nothing.")
    ] = False,
    json: Json = False,
) -> None:
    """Rebuild all ids and the whole graph from the log; the same log and projection give the same graph."""
    from regraft.flows.lineage import reprojection

    run = context()
    dsn = run.postgres_dsn()
    with Bar(run.console, *Bar.get_default_columns(), hidden=json) as progress:
        task = progress.add_task("Deriving ids, then placing turns", total=None)
        done = reprojection.rebuild(
            dsn, projection, dry_run=dry_run, progress=lambda turns: progress.advance(task, turns)
        )
    if json:
        run.print_json(asdict(done))
        return
    verb = "would change" if done.dry_run else "changed"
    turned = "" if done.version == done.version_before else f" (before: {done.version_before})"
    run.console.print(f"Projection {done.version}{turned}: {counted(done.turns, 'turn')} derived again.")
    if done.turns_renamed or done.contexts_changed:
        run.console.print(
            f"{counted(done.turns_renamed, 'turn')} {verb} nodes' ids, {done.turns_refiled} their session; "
            f"{counted(done.contexts_changed, 'step')} of histories {verb} their joining id."
        )
        for noun, change in (("sessions", done.sessions), ("nodes", done.nodes)):
            run.console.print(f"Of the {noun}, {change.split} split and {change.merged} came of a merger.")
            _examples(change)
    if done.anchors_added:
        run.console.print(f"{counted(done.anchors_added, 'message')} can be recognised elsewhere now.")
    for place, rows in done.followed.items():
        run.console.print(f"{counted(rows, 'row')} of {place} with the new ids.")
    for table, rows in done.left_behind.items():
        if rows:
            run.console.print(f"{counted(rows, 'row')} of {table} with ids of before; former_node names their new ids.")
    if done.identical:
        run.console.print("The graph is identical.")
    elif done.identical is False:
        run.console.print(f"The graph differs from what it was, in: {', '.join(done.differs)}.")
    if done.built and done.built.failed:
        run.console.print(
            f"{counted(done.built.failed, 'turn')} could not be placed: `regraft doctor` says how to see why."
        )


def _examples(change: Regrouping) -> None:
    """Print the largest few; ``--json`` has more."""
    console = context().console
    for one, parts in change.splits[:3]:
        console.print(f"  {one} split into {', '.join(map(str, parts[:3]))}{' …' if len(parts) > 3 else ''}")
    for one, parts in change.merges[:3]:
        console.print(f"  {', '.join(map(str, parts[:3]))}{' …' if len(parts) > 3 else ''} merged into {one}")


def _run(work: Callable[..., BuildCounts], *, json: bool) -> None:
    from regraft.flows.lineage.build import waiting_turns

    run = context()
    dsn = run.postgres_dsn()
    turns = waiting_turns(dsn)
    with Bar(run.console, *Bar.get_default_columns(), hidden=json) as progress:
        task = progress.add_task("Placing turns", total=turns or None)
        counts = work(dsn, progress=lambda done: progress.advance(task, done))
    if json:
        run.print_json(asdict(counts))
    elif counts.turns:
        run.console.print(
            f"Placed {counted(counts.turns, 'turn')} in {counted(counts.sessions, 'session')} (build {counts.build})."
        )
    else:
        run.console.print("Nothing waits: the graph is up to date.")
    if counts.failed and not json:
        run.console.print(
            f"{counted(counts.failed, 'turn')} could not be placed: `regraft doctor` says how to see why."
        )
