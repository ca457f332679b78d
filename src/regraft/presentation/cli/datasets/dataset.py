"""``regraft dataset``: freeze a recipe's rows permanently, prove them, and write them out for a trainer."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.markup import escape
from rich.table import Table

from regraft.domain.datasets.filter_figures import filter_figures
from regraft.domain.datasets.reasons import explained
from regraft.domain.datasets.targets import TARGETS
from regraft.domain.errors import IntegrityError
from regraft.presentation.cli import completion
from regraft.presentation.cli.context import CommandContext, context
from regraft.presentation.cli.datasets import near_duplicates
from regraft.presentation.cli.datasets import recipe as recipe_commands
from regraft.presentation.cli.options import SORT, Json, Limit, Reverse
from regraft.presentation.cli.tables import Keys, arranged, print_total
from regraft.presentation.cli.words import counted

if TYPE_CHECKING:
    from regraft.flows.datasets.freeze import Frozen

dataset_app = typer.Typer(help="Freeze, verify and export training data.", no_args_is_help=True)

Target = Annotated[str, typer.Option("--target", "--format", help=f"What the files are for: {', '.join(TARGETS)}.")]
Snapshot = Annotated[
    str,
    typer.Argument(
        help="Snapshot: id, start of an id, or a dataset's name for its newest.", autocompletion=completion.snapshots
    ),
]

_KEYS: Keys = {
    "snapshot": lambda one: one.snapshot_id,
    "kind": lambda one: one.kind,
    "rows": lambda one: sum(one.row_counts.values()),
    "frozen": lambda one: one.created_at,
}

recipe_commands.register(dataset_app)
near_duplicates.register(dataset_app)


@dataset_app.command()
def freeze(
    recipe: recipe_commands.RecipeArgument,
    json: Json = False,
) -> None:
    """Select a recipe's rows and freeze them as a snapshot; the same rows give the same snapshot."""
    from regraft.flows.datasets import freeze as flow
    from regraft.infra.files.recipes import recipe_text

    run = context()
    text = recipe_text(recipe, run.settings.recipes)
    frozen = flow.freeze(text, dsn=run.graph_dsn(), workbench=run.workbench(), warehouse=run.warehouse())
    if json:
        run.print_json(_shown(frozen))
        return
    if not frozen.created:
        run.console.print("This snapshot exists already; nothing was written.")
    _print_frozen(run, frozen)


def _shown(frozen: Frozen) -> dict[str, Any]:
    """For JSON. The id in Iceberg has 64 bits, more than many readers of JSON keep: it is text."""
    return {**asdict(frozen), "iceberg_snapshot_id": str(frozen.iceberg_snapshot_id)}


def _print_frozen(run: CommandContext, frozen: Frozen) -> None:
    counts = ", ".join(f"{count} {split}" for split, count in frozen.row_counts.items())
    state = "frozen" if frozen.created else "is frozen"
    run.console.print(f"[bold]{escape(frozen.snapshot_id)}[/] {state}")
    run.console.print(f"rows: {counts}", highlight=False)
    if frozen.refused:
        why = ", ".join(f"{count} {reason}" for reason, count in frozen.refused.items())
        run.console.print(f"refused: {why}", highlight=False)
        for line in explained(frozen.refused):
            run.console.print(f"  {escape(line)}", highlight=False)
    for one in filter_figures(frozen.report, frozen.refused):
        name = one.name.replace("_", " ")
        run.console.print(escape(f"filter {name}: {one.refused} refused; {one.text}"), highlight=False)
    leaks = frozen.leakage["sessions_in_two_splits"] + frozen.leakage["contents_in_two_splits"]
    run.console.print(f"leakage: {leaks} in {counted(frozen.leakage['components'], 'component')}", highlight=False)
    run.console.print(f"iceberg: {frozen.iceberg_table} at {frozen.iceberg_snapshot_id}", highlight=False)


@dataset_app.command("list")
def list_all(
    limit: Limit = 0,
    sort: Annotated[Literal["snapshot", "kind", "rows", "frozen"] | None, typer.Option(help=SORT)] = None,
    reverse: Reverse = False,
    json: Json = False,
) -> None:
    """List frozen datasets, the oldest first."""
    from regraft.flows.datasets.freeze import list_snapshots

    run = context()
    every = list_snapshots(run.postgres_dsn())
    found = arranged(every, limit, sort, keys=_KEYS, reverse=reverse).rows
    if json:
        run.print_json([_shown(one) for one in found])
        return
    if not found:
        run.console.print("No dataset yet. `regraft dataset freeze demo-dpo` makes one.")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("snapshot", "kind", "rows", "frozen at", "state"):
        table.add_column(name, no_wrap=True)
    for one in found:
        counts = ", ".join(f"{count} {split}" for split, count in one.row_counts.items())
        state = "withdrawn" if one.withdrawn_at else ""
        table.add_row(escape(one.snapshot_id), one.kind, counts, f"{one.created_at:%Y-%m-%d %H:%M}", state)
    run.console.print(table)
    print_total(run.console, len(found), len(every), "snapshot")


@dataset_app.command()
def show(snapshot: Snapshot, json: Json = False) -> None:
    """Show a snapshot: its recipe, counts, refusals, what each filter did, and content hash."""
    from regraft.flows.datasets.freeze import find_snapshot

    run = context()
    found, recipe = find_snapshot(run.postgres_dsn(), snapshot)
    if json:
        filters = [asdict(one) for one in filter_figures(found.report, found.refused)]
        run.print_json({**_shown(found), "filters": filters, "recipe": recipe.text})
        return
    _print_frozen(run, found)
    for title, counts in (("strata", found.report.get("strata", {})), ("decided by", found.report.get("labels", {}))):
        if counts:
            listed = ", ".join(f"{count} {escape(name or 'none')}" for name, count in counts.items())
            run.console.print(f"{title}: {listed}", highlight=False)
    run.console.print(f"content hash: {found.content_hash}", highlight=False)
    run.console.print(f"frozen at {found.created_at:%Y-%m-%d %H:%M} by Regraft {found.code_version}", highlight=False)
    run.console.print(escape(recipe.text.strip()), highlight=False)


@dataset_app.command()
def diff(a: Snapshot, b: Snapshot, json: Json = False) -> None:
    """Compare two snapshots: rows added, removed, changed, and moved to another split."""
    from regraft.flows.datasets.difference import difference

    run = context()
    found = difference(a, b, dsn=run.postgres_dsn(), warehouse=run.warehouse())
    if json:
        run.print_json(asdict(found))
        return
    run.console.print(
        f"{escape(found.a)} -> {escape(found.b)}: {counted(found.same, 'row', 'are')} the same", highlight=False
    )
    for sort in ("added", "removed", "changed", "recertified", "moved"):
        if count := getattr(found, sort):
            ids = found.ids[sort]
            more = f" and {count - len(ids)} more" if count > len(ids) else ""
            run.console.print(f"{count} {sort}: {', '.join(one[:8] for one in ids[:20])}{more}", highlight=False)


@dataset_app.command()
def verify(snapshot: Snapshot, json: Json = False) -> None:
    """Check that a snapshot's files are unchanged and that its rows still follow from the stored calls."""
    from regraft.flows.datasets import verify as flow

    run = context()
    found = flow.verify(snapshot, dsn=run.postgres_dsn(), warehouse=run.warehouse(), workbench=run.workbench())
    if json:
        run.print_json({**asdict(found), "ok": found.ok})
    else:
        run.console.print(f"files: {escape(found.files) or 'as frozen'}", highlight=False)
        run.console.print(f"rows: {escape(found.rows) or f'{found.checked} follow from the log'}", highlight=False)
        for row_id, how in found.changed:
            run.console.print(f"  {row_id}: {escape(how)}", highlight=False)
    if not found.ok:
        raise IntegrityError(f"{found.snapshot_id} differs from what was frozen: {found.files or found.rows}.")


@dataset_app.command()
def withdraw(
    snapshot: Snapshot,
    reason: Annotated[str, typer.Option(help="Why it must not be used for training.")],
    files: Annotated[bool, typer.Option("--files", help="Also remove the files that only it needs.")] = False,
    json: Json = False,
) -> None:
    """Withdraw a snapshot: verify and export refuse it from then on, with the reason."""
    from regraft.flows.datasets import withdraw as flow

    run = context()
    done = flow.withdraw(snapshot, reason, dsn=run.postgres_dsn(), warehouse=run.warehouse(), files=files)
    if json:
        run.print_json(asdict(done))
        return
    removed = "" if done.files_removed is None else f"; {counted(done.files_removed, 'file')} removed"
    run.console.print(f"[bold]{escape(done.snapshot_id)}[/] withdrawn: {escape(done.reason)}{removed}", highlight=False)


@dataset_app.command()
def export(
    snapshot: Snapshot,
    to: Annotated[Path, typer.Option(help="Folder: new, empty, or with an earlier export.")],
    target: Annotated[
        str,
        typer.Option(
            "--target",
            "--format",
            help=f"What the files are for: {', '.join(TARGETS)}.",
            autocompletion=completion.targets,
        ),
    ] = "trl",
    json: Json = False,
) -> None:
    """Write a snapshot's files for a trainer, with a dataset card and a manifest of digests."""
    from regraft.flows.datasets import export as flow

    run = context()
    done = flow.export(snapshot, to, dsn=run.postgres_dsn(), warehouse=run.warehouse(), format=target)
    if json:
        run.print_json(asdict(done))
        return
    for name in done.files:
        run.console.print(escape(str(to / name)), highlight=False)
    for reason, count in done.left_out.items():
        run.console.print(f"left out, because {done.target} cannot express them: {count} ({reason})", highlight=False)
    for line in explained(done.left_out):
        run.console.print(f"  {escape(line)}", highlight=False)
