"""``regraft stale``, ``regenerate`` and ``outdate``: show stale results and why, and regenerate them."""

from __future__ import annotations

import getpass
from collections import Counter
from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from regraft.domain.errors import UsageError
from regraft.presentation.cli.context import CommandContext, context
from regraft.presentation.cli.lineage.sessions import short
from regraft.presentation.cli.options import Json, Limit, NodeArgument, OnlySession, most
from regraft.presentation.cli.progress import Bar
from regraft.presentation.cli.tables import one_line

if TYPE_CHECKING:
    from regraft.domain.replay.staleness import RegenerationStep
    from regraft.flows.replay.staleness import StaleSteps
    from regraft.infra.gateway_endpoint import GatewayEndpoint

_SAYS = {
    "taskify": "taskify again",
    "replay": "ask again",
    "follow": "goes with it",
    "keep": "stays",
}
_STAYS = "a client was given this answer, so only the client can ask again"
_MADE_AGAIN = ("taskify", "replay")
NodeOption = Annotated[str | None, typer.Option(help="Only this node, by id or start of an id, and its descendants.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (stale, regenerate, outdate):
        app.command(rich_help_panel="Replay")(command)


def stale(
    why: Annotated[bool, typer.Option("--why", help="List each stale plan and answer with its reason.")] = False,
    session: OnlySession = None,
    node: NodeOption = None,
    limit: Limit = 40,
    json: Json = False,
) -> None:
    """Show what is stale: made with a replaced rule or model, under changed conditions, or after such an answer."""
    from regraft.domain.replay.staleness import DOWNSTREAM
    from regraft.flows.replay import staleness

    run = context()
    dsn, versions = run.postgres_dsn(), list(_rules(run))
    scoped = session is not None or node is not None
    if scoped or why:
        steps, cut = _steps(run, session, node, most(limit))
        held = staleness.snapshots_holding(dsn, steps)
    if not scoped:
        changes = staleness.overview(dsn, versions)
    if json:
        shown: dict[str, Any] = {} if scoped else {"changes": changes}
        if scoped or why:
            shown |= {"steps": [_described(step) for step in steps], "more": cut, "snapshots": held}
        run.print_json({**shown, "downstream": DOWNSTREAM})
        return
    if not (steps if scoped else changes):
        run.console.print("Nothing is stale.")
        return
    if not scoped:
        _print_changes(run, changes)
        if any(row["keep"] for row in changes):
            run.console.print(f"[dim]stay: {_STAYS}; `regraft replay NODE` grows another branch.[/]", highlight=False)
    if scoped or why:
        _print_steps(run, steps, cut)
        if held:
            run.console.print(f"Snapshots that hold some of it: {', '.join(held)}.", highlight=False, markup=False)
        run.console.print(f"[dim]{DOWNSTREAM}[/]", highlight=False)
    if not why:
        run.console.print("[dim]`regraft stale --why` lists each with its reason.[/]")
    remade = (
        any(step.what in _MADE_AGAIN for step in steps)
        if scoped
        else any(row["plans"] or row["again"] for row in changes)
    )
    if remade:
        run.console.print("[dim]`regraft regenerate` re-runs it.[/]")


def regenerate(
    session: OnlySession = None,
    node: NodeOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be re-run; run nothing.")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="Maximum number of steps; 0 for all.")] = 1000,
    concurrency: Annotated[int, typer.Option(min=1, help="Calls at the same time.")] = 2,
    json: Json = False,
) -> None:
    """Re-run everything stale. The old answers stay, marked as superseded."""
    from regraft.flows.lineage import build as lineage
    from regraft.flows.orchestration import taskify
    from regraft.flows.replay.regeneration import RegenerationResult
    from regraft.flows.replay.regeneration import regenerate as make
    from regraft.infra.files.rules import rules

    run = context()
    dsn = run.postgres_dsn()
    lineage.build(dsn)
    taskify.collect(dsn)
    steps, cut = _steps(run, session, node, most(limit), made_only=True)
    todo = sum(step.what in _MADE_AGAIN for step in steps)
    if dry_run:
        if json:
            run.print_json({"steps": [_described(step) for step in steps], "more": cut})
        elif not steps:
            run.console.print("Nothing is stale that could be made again.")
        else:
            _print_steps(run, steps, cut)
        return
    made = RegenerationResult()
    if steps:
        gateway: GatewayEndpoint | str = ""
        if todo:
            run.stack.ingest()
            gateway = run.stack.gateway_endpoint()
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Bar(run.console, *columns, hidden=json) as progress:
            task = progress.add_task("Making again", total=todo)
            made = make(
                dsn,
                gateway,
                steps,
                rules(run.settings),
                concurrency=concurrency,
                keep=run.stack.ingest,
                progress=lambda done: progress.advance(task, done),
                servers=run.settings.tools,
            )
    if json:
        replaced = {str(old): new for old, new in made.made.items()}
        run.print_json({"made": replaced, "followed": made.followed, "failures": made.failures, "more": cut})
    else:
        run.console.print(f"{len(made.made)} made again, {len(made.followed)} superseded with them.")
        if cut:
            run.console.print("There is more: run it again.")
    for failure, times in Counter(made.failures).items():
        run.console.print(f"[red]failed[/] {times} x {escape(failure)}", highlight=False)
    if made.failures:
        raise typer.Exit(5)


def outdate(
    node: NodeArgument,
    because: Annotated[str | None, typer.Option(help="What changed.")] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Remove the mark from this node.")] = False,
    json: Json = False,
) -> None:
    """Mark a node, and everything derived from it, as stale."""
    from regraft.flows.lineage import reading
    from regraft.flows.replay.staleness import outdate as say

    if undo == (because is not None):
        raise UsageError("Give --because TEXT, or --undo.")
    run = context()
    dsn = run.postgres_dsn()
    wanted = reading.node_id(dsn, node)
    change = say(dsn, wanted, because, getpass.getuser())
    if json:
        run.print_json({"change_id": change, "node_id": wanted, "reason": because})
    else:
        run.console.print(f"{wanted} {'holds again' if undo else 'is stale, with what grew from it'}.", highlight=False)


def _rules(run: CommandContext) -> list[str]:
    from regraft.infra.files.rules import rules

    return [rule.version for rule in rules(run.settings).values()]


def _steps(
    run: CommandContext, session: str | None, node: str | None, limit: int, *, made_only: bool = False
) -> tuple[list[RegenerationStep], bool]:
    """The first steps, and whether there are more. ``made_only`` leaves out what stays as it is."""
    from regraft.flows.lineage import reading
    from regraft.flows.replay import staleness

    if session is not None and node is not None:
        raise UsageError("Give --session or --node, not both.")
    dsn, versions = run.postgres_dsn(), _rules(run)
    found: Iterable[StaleSteps]
    if node is not None:
        found = [staleness.of_node(dsn, reading.node_id(dsn, node), versions)]
    elif session is not None:
        found = [staleness.of_sessions(dsn, [reading.session_id(dsn, session)], versions)]
    else:
        found = staleness.of_all(dsn, versions)
    steps = (step for each in found for step in each.steps if step.what != "keep" or not made_only)
    taken = list(islice(steps, limit + 1))
    return taken[:limit], len(taken) > limit


def _described(step: RegenerationStep) -> dict[str, Any]:
    made = step.stale.made
    return {
        "what": step.what,
        "stage": made.stage,
        "id": made.id,
        "node_id": made.node_id,
        "depth": made.depth,
        "cause": step.stale.cause,
        "reason": step.stale.reason,
        "after": sorted(step.after),
    }


def _print_changes(run: CommandContext, changes: list[dict[str, Any]]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    names = ("cause", "about", "was", "is now", "plans", "ask again", "go with them", "stay", "sessions")
    for name in names:
        table.add_column(name, justify="right" if name in names[4:] else "left", overflow="fold")
    for row in changes:
        counts = (f"{row[name]:,}" for name in ("plans", "again", "follow", "keep", "sessions"))
        words = (
            row["cause"],
            one_line(row["about"], 50),
            one_line(row["was"] or "", 60),
            one_line(row["now"] or "", 60),
        )
        table.add_row(*(escape(word) for word in words), *counts)
    run.console.print(table)


def _print_steps(run: CommandContext, steps: list[RegenerationStep], cut: bool) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("what", "thing", "node", "because"):
        table.add_column(name, no_wrap=name != "because", overflow="fold")
    for step in steps:
        made = step.stale.made
        because = step.stale.reason if step.what != "keep" else f"{step.stale.reason}; {_STAYS}"
        kind = "plan" if made.stage == "taskification_results" else "run"
        table.add_row(_SAYS[step.what], f"{kind} {short(made.id)}", short(made.node_id), escape(because))
    run.console.print(table)
    if cut:
        run.console.print("[dim]and more[/]")
