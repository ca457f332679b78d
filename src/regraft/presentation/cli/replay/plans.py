"""``regraft plans``: replay plans, their progress, and watching one from any terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from regraft.domain.ids import plain
from regraft.domain.replay.comparison import changes_in_words
from regraft.presentation.cli.context import CommandContext, context
from regraft.presentation.cli.lineage.sessions import short
from regraft.presentation.cli.options import SORT, Json, Limit, Reverse, most
from regraft.presentation.cli.progress import Bar
from regraft.presentation.cli.tables import Keys, arranged, print_total
from regraft.presentation.cli.words import counted

if TYPE_CHECKING:
    from regraft.flows.replay.execution import Tally

plans_app = typer.Typer(help="Show replay plans, their jobs and their progress.", no_args_is_help=True)
_KEYS: Keys = {
    "name": lambda row: row["name"],
    "state": lambda row: row["state"],
    "jobs": lambda row: row["jobs"],
    "done": lambda row: row["done"] + row["skipped"],
    "failed": lambda row: row["failed"],
    "left": lambda row: row["planned"] + row["running"],
    "tokens": lambda row: row["prompt_tokens"] + row["completion_tokens"],
    "created": lambda row: row["created_at"],
}
PlanId = Annotated[str, typer.Argument(help="Plan: id or start of an id.", metavar="PLAN")]


@contextmanager
def following(run: CommandContext, total: int, *, hidden: bool) -> Iterator[tuple[Tally, Callable[[int], None]]]:
    """A bar on the terminal: jobs done and failing, tokens a second, time left. Gives a tally, and what moves it."""
    from regraft.flows.replay.execution import Tally

    tally = Tally()
    began = time.monotonic()
    with _bar(run, hidden=hidden) as progress:
        task = progress.add_task("Replaying", total=total, figures="")

        def advance(count: int) -> None:
            seconds = max(time.monotonic() - began, 1e-6)
            progress.update(task, advance=count, figures=_figures(tally.failed, tally.completed_tokens / seconds))

        yield tally, advance


def _bar(run: CommandContext, *, hidden: bool) -> Bar:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[figures]}"),
        TimeRemainingColumn(),
    )
    return Bar(run.console, *columns, hidden=hidden)


def _figures(failed: int, rate: float) -> str:
    return f"{rate:,.0f} tokens/s" + (f", [red]{failed} failing[/]" if failed else "")


@plans_app.command("list")
def list_plans(
    limit: Limit = 20,
    sort: Annotated[
        Literal["name", "state", "jobs", "done", "failed", "left", "tokens", "created"] | None, typer.Option(help=SORT)
    ] = None,
    reverse: Reverse = False,
    json: Json = False,
) -> None:
    """List replay plans, the latest first."""
    from regraft.flows.replay.progress import plans

    run = context()
    found = arranged(plans(run.postgres_dsn(), most(0)), limit, sort, keys=_KEYS, reverse=reverse)
    rows = found.rows
    if json:
        run.print_json(rows)
        return
    if not rows:
        run.console.print("No replay plans yet. `regraft replay NODE` makes one.")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("plan", "name", "state", "jobs", "done", "failed", "left", "tokens", "asked for"):
        table.add_column(name, justify="right" if name in ("jobs", "done", "failed", "left", "tokens") else "left")
    for row in rows:
        table.add_row(
            short(row["plan_id"]),
            escape(row["name"]),
            row["state"],
            str(row["jobs"]),
            str(row["done"] + row["skipped"]),
            str(row["failed"]),
            str(row["planned"] + row["running"]),
            f"{row['prompt_tokens'] + row['completion_tokens']:,}",
            f"{row['created_at']:%Y-%m-%d %H:%M}",
        )
    run.console.print(table)
    print_total(run.console, len(rows), found.total, "plan")


@plans_app.command("show")
def show_plan(plan: PlanId, json: Json = False) -> None:
    """Show a plan's variants, its progress, and why jobs failed."""
    from regraft.domain.ids import parse_json
    from regraft.flows.replay.progress import plan as read_plan

    run = context()
    found = read_plan(run.postgres_dsn(), plan)
    row, plan_id = found.progress, found.plan_id
    definition = plain(parse_json(found.definition))
    if json:
        more = {
            "experiment": found.experiment,
            "refused": found.refused,
            "failures": found.failures,
            "jobs": found.jobs,
        }
        run.print_json({**row, "definition": definition, **more})
        return
    console = run.console
    console.print(f"[bold]{plan_id}[/] {escape(row['name'])}  {row['state']}", highlight=False)
    console.print(
        f"{counted(row['jobs'], 'job')} of {counted(row['nodes'], 'node')}: {row['done']} done, "
        f"{row['skipped']} finished before, "
        f"{row['failed']} failed, {row['running']} running, {row['planned']} waiting"
    )
    share = f" ({row['cached_tokens'] / row['prompt_tokens']:.0%} from a cache)" if row["prompt_tokens"] else ""
    console.print(f"{row['prompt_tokens']:,} tokens of prompt{share}, {row['completion_tokens']:,} of answers")
    for variant in definition["variants"]:
        console.print(f"  {escape(changes_in_words(variant))}", highlight=False)
    if row["stopped"]:
        console.print(f"[yellow]stopped[/]: {escape(row['error'] or row['stopped'])}", highlight=False)
    for failure in found.failures:
        console.print(f"[red]failed[/] {failure['jobs']} x {escape(failure['failure'] or '')}", highlight=False)
    if row["state"] in ("planned", "interrupted", "stopped", "failed"):
        console.print(f"Run the rest with `regraft replay --resume {short(plan_id)}`.")


@plans_app.command("cancel")
def cancel_plan(plan: PlanId, json: Json = False) -> None:
    """Stop a plan from starting more jobs, in any process. Calls in flight are finished."""
    from regraft.flows.replay.progress import cancel

    run = context()
    row = cancel(run.postgres_dsn(), plan)
    if json:
        run.print_json(row)
        return
    left = row["planned"] + row["running"]
    if row["state"] == "running":
        run.console.print(f"No more jobs of {short(row['plan_id'])} are started; {row['running']} are in flight.")
    else:
        run.console.print(
            f"Plan {short(row['plan_id'])} is {row['state']}: {counted(left, 'job', 'are')} left.", highlight=False
        )


@plans_app.command("watch")
def watch_plan(plan: PlanId, json: Json = False) -> None:
    """Follow a plan that another process runs, until it ends; then print its state and totals."""
    from regraft.flows.replay.progress import follow

    run = context()
    row: dict[str, Any] = {}
    with _bar(run, hidden=json) as progress:
        task = progress.add_task("Replaying", total=None, figures="")
        for row in follow(run.postgres_dsn(), plan):
            ended = row["done"] + row["skipped"] + row["failed"]
            progress.update(task, total=row["jobs"], completed=ended, figures=_rate(row))
    if json:
        run.print_json(row)
        return
    run.console.print(f"{row['state']}: {row['done'] + row['skipped']} of {row['jobs']} done, {row['failed']} failed")


def _rate(row: dict[str, Any]) -> str:
    if not row["started_at"] or not row["last_ended_at"]:
        return ""
    seconds = max((row["last_ended_at"] - row["started_at"]).total_seconds(), 1e-6)
    return _figures(row["failed"], row["completion_tokens_now"] / seconds)
