"""Disk usage of the log, for the commands that show it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from regraft.domain.errors import RegraftError
from regraft.presentation.cli.context import CommandContext

if TYPE_CHECKING:
    from regraft.flows.disk_usage import DiskUsage

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def measure(run: CommandContext, postgres: str, *, by_snapshot: bool = False) -> DiskUsage:
    """The disk usage of the log. ``postgres`` is its state: PostgreSQL is queried unless it is stopped."""
    from regraft.flows.disk_usage import UsagePlaces, disk_usage
    from regraft.infra.embedded.model import model_files

    truth = None
    if postgres != "stopped":
        try:
            truth = run.postgres_dsn()
        except RegraftError:  # it is away, or has no log: files are counted anyway
            truth = None
    places = UsagePlaces(
        data_dir=run.data_dir,
        warehouse=run.warehouse(),
        workbench=run.workbench(),
        backups=run.settings.backups_path,
        truth=truth,
        embedded=postgres != "configured",
        models=model_files(),
    )
    return disk_usage(places, by_snapshot=by_snapshot)


def usage_document(found: DiskUsage, **more: Any) -> dict[str, Any]:
    """For programs: totals, then what they are made of. Sizes are in bytes."""
    totals = {"bytes": found.bytes, "free": found.free, "turns": found.turns, "bytes_per_turn": found.bytes_per_turn}
    return {**more, **totals, **{name: value for name, value in asdict(found).items() if name not in totals}}


def size_text(size: float) -> str:
    """``1.5 GiB``."""
    unit = 0
    while size >= 1024 and unit < len(_UNITS) - 1:
        size, unit = size / 1024, unit + 1
    return f"{size:.0f} {_UNITS[unit]}" if unit == 0 else f"{size:.1f} {_UNITS[unit]}"
