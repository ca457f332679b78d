"""``regraft erase``: remove content from every store, and keep the shape of the tree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from regraft.domain.errors import ConfigError, UsageError
from regraft.presentation.cli.context import CommandContext, context
from regraft.presentation.cli.options import Json
from regraft.presentation.cli.words import counted

if TYPE_CHECKING:
    from regraft.flows.datasets.erase import Certificate, ErasureStores


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Datasets")(erase)


def erase(
    session: Annotated[str | None, typer.Option(help="A session: id, start of an id, or name.")] = None,
    node: Annotated[
        str | None, typer.Option(help="A node: id or start of an id. Its request and its answer are erased.")
    ] = None,
    scope: Annotated[str | None, typer.Option(help="All calls of a tenant: the scope of its gateway keys.")] = None,
    matching: Annotated[str | None, typer.Option(help="Every message that contains this text.")] = None,
    forget: Annotated[
        Path | None, typer.Option(help="Folder for forget.jsonl and retain.jsonl, for models trained on it.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Report what would be erased; change nothing.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Finish an erasure that was killed or failed.")] = False,
    certificates: Annotated[bool, typer.Option("--list", help="List the certificates of earlier erasures.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json: Json = False,
) -> None:
    """Erase content from every store. Ids, kinds, times and usage are kept, so that trees keep their shape.

    Frozen datasets that contain it are withdrawn and frozen again without it; their old files are removed. It cannot be
    undone.
    """
    from regraft.flows.datasets import erase as flow

    asked = [
        (kind, said)
        for kind, said in (("session", session), ("node", node), ("scope", scope), ("matching", matching))
        if said is not None
    ]
    if len(asked) + resume + certificates != 1:
        raise UsageError("Give one of --session, --node, --scope and --matching (or --resume, or --list).")
    run = context()
    if certificates:
        _print(run, flow.certificates(run.postgres_dsn()), json=json)
        return
    places = places_of(run)
    if resume:
        _print(run, flow.resume(places, _progress(run, json=json)), json=json)
        return
    ((kind, target),) = asked
    if not dry_run and not yes:
        found = flow.erase(kind, target, places, dry_run=True)
        _print_one(run, found)
        if not typer.confirm("Erase this permanently?"):
            raise typer.Exit(1)
    done = flow.erase(
        kind, target, places, dry_run=dry_run, forget=forget, progress=None if dry_run else _progress(run, json=json)
    )
    _print(run, [done], json=json)


def places_of(run: CommandContext) -> ErasureStores:
    """Where content may be."""
    from regraft.flows.datasets.erase import ErasureStores

    dsn = run.postgres_dsn()
    spool = run.data_dir / "spool"
    used = run.settings.nats.url is not None or (run.data_dir / "nats").is_dir() or spool.is_dir()
    try:
        dagster = run.stack.dagster_dsn()
    except ConfigError:
        dagster = None
    return ErasureStores(
        dsn=dsn,
        workbench=run.workbench(),
        warehouse=run.warehouse(),
        spool=spool,
        data_dir=run.data_dir.resolve(),
        nats_url=run.stack.nats() if used else None,
        dagster_dsn=dagster,
    )


def _progress(run: CommandContext, *, json: bool) -> Callable[[str], None] | None:
    return None if json else lambda step: run.console.print(f"[dim]{step}[/]", highlight=False)


def _print(run: CommandContext, done: list[Certificate], *, json: bool) -> None:
    if json:
        shown = [asdict(one) for one in done]
        run.print_json(shown[0] if len(shown) == 1 else shown)
        return
    if not done:
        run.console.print("No erasure.")
    for one in done:
        _print_one(run, one)


def _print_one(run: CommandContext, one: Certificate) -> None:
    what = f"{one.kind} {escape(one.target)}" if one.target else one.kind
    state = "would be erased" if one.dry_run else "erased" if one.finished_at else "not finished"
    run.console.print(f"[bold]{one.erasure_id}[/] {what}: {state}", highlight=False)
    for place, count in one.found.items():
        run.console.print(f"  {count} {escape(place)}", highlight=False)
    for snapshot in one.snapshots:
        successor = snapshot.get("successor")
        became = f"-> {escape(successor)}" if successor else f"({escape(snapshot.get('why_none', 'withdrawn'))})"
        rows = f"{counted(snapshot['rows'], 'row')}"
        run.console.print(f"  snapshot {escape(snapshot['snapshot_id'])}: {rows} {became}", highlight=False)
    for place, why in one.left_over.items():
        run.console.print(f"  [yellow]left:[/] {escape(place)}: {escape(why)}", highlight=False)
    if one.remaining:
        run.console.print(f"  still to do: {', '.join(one.remaining)}", highlight=False)
