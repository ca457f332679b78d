"""``regraft usage``: disk usage of a log. Starts nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from regraft.presentation.cli.context import CommandContext, context
from regraft.presentation.cli.services.disk import measure, size_text, usage_document
from regraft.presentation.cli.services.status import postgres_state
from regraft.presentation.cli.tables import cut, listing
from regraft.presentation.cli.words import counted

if TYPE_CHECKING:
    from regraft.flows.disk_usage import DiskUsage

_SHOWN_SNAPSHOTS = 10


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Services")(usage)


def usage(
    tables: Annotated[bool, typer.Option("--tables", help="List every table of PostgreSQL.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show disk usage: PostgreSQL by room, stream, spool, datasets, logs, backups."""
    run = context()
    found = measure(run, postgres_state(run), by_snapshot=True)
    if as_json:
        run.print_json(usage_document(found, data_dir=str(run.data_dir.resolve())))
        return
    _print_parts(run, found)
    if tables and found.tables:
        _print_tables(run, found)
    if found.snapshots:
        _print_snapshots(run, found)
    if found.turns is None:
        run.console.print("\nPostgreSQL is not running, so its tables were not measured.")
    if found.unread:
        run.console.print(f"\n{found.unread} folders are closed to this account and not counted.", highlight=False)


def _print_parts(run: CommandContext, found: DiskUsage) -> None:
    table = listing(
        ["part", "room", "size", "items", "a turn", "where"], figures=("size", "items", "a turn"), texts=("where",)
    )
    turns = found.turns or 0
    for part in found.parts:
        if part.bytes or part.items:
            items = counted(part.items, part.unit.removesuffix("s")) if part.items else ""
            each = size_text(part.bytes / turns) if turns else ""
            table.add_row(part.part, part.room, size_text(part.bytes), items, each, cut(part.path))
    per_turn = size_text(found.bytes_per_turn) if found.bytes_per_turn else ""
    table.add_row("[bold]total[/]", "", f"[bold]{size_text(found.bytes)}[/]", "", per_turn, "")
    run.console.print(table)
    of_turns = f" {counted(found.turns, 'turn')}." if found.turns is not None else ""
    run.console.print(f"\n{size_text(found.free)} are free where the data folder lies.{of_turns}", highlight=False)


def _print_tables(run: CommandContext, found: DiskUsage) -> None:
    from regraft.flows.disk_usage import room_of

    table = listing(["table", "room", "size", "of it indexes", "rows"], figures=("size", "of it indexes", "rows"))
    for each in found.tables:
        table.add_row(
            each.name, room_of(each.name), size_text(each.bytes), size_text(each.index_bytes), f"{each.rows:,}"
        )
    run.console.print()
    run.console.print(table)


def _print_snapshots(run: CommandContext, found: DiskUsage) -> None:
    table = listing(["frozen dataset", "size", "files"], figures=("size", "files"))
    for each in found.snapshots[:_SHOWN_SNAPSHOTS]:
        table.add_row(each.snapshot_id, size_text(each.bytes), f"{each.files:,}")
    run.console.print()
    run.console.print(table)
    if (more := len(found.snapshots) - _SHOWN_SNAPSHOTS) > 0:
        run.console.print(f"and {more} more: `regraft usage --json` has them all", highlight=False)
