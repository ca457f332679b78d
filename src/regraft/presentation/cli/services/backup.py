"""``regraft backup`` and ``regraft restore``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from regraft.domain.errors import IntegrityError
from regraft.flows.backup import BackupManifest, BackupSource, Report
from regraft.infra.data_folder import make_data_folder
from regraft.presentation.cli.context import CommandContext, context
from regraft.presentation.cli.options import Json
from regraft.presentation.cli.words import counted


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(rich_help_panel="Services")(backup)
    app.command(rich_help_panel="Services")(restore)


def backup(
    folder: Annotated[Path, typer.Argument(help="New folder for the backup.")],
    check: Annotated[bool, typer.Option("--check", help="Only compare an existing backup with its digests.")] = False,
    as_json: Json = False,
) -> None:
    """Back up the log while services run: the database, frozen datasets and keys, as of one moment."""
    from regraft.flows.backup import back_up, check_backup

    run = context()
    if check:
        _print(run, check_backup(folder), f"The backup in {folder} is unchanged", as_json=as_json)
        return
    truth = run.postgres_dsn()
    with _reporting(run, hidden=as_json) as report:
        report("waiting until all captured calls are stored")
        run.settle()
        manifest = back_up(_source(run, truth, run.stack.own_dagster_dsn()), folder, report)
    _print(run, manifest, f"Backed up into {folder}", as_json=as_json)
    outside = [str(path) for path in (run.settings.gateway.keys_file, run.settings.web.tokens_file) if path]
    if manifest.warehouse is not None:
        outside.append(manifest.warehouse)
    if outside and not as_json:
        run.console.print(f"Not included, as it lies elsewhere: {', '.join(outside)}", highlight=False)


def restore(
    folder: Annotated[Path, typer.Argument(help="Folder of a backup.")],
    verify: Annotated[bool, typer.Option(help="Verify every frozen dataset afterwards.")] = True,
    as_json: Json = False,
) -> None:
    """Restore a backup into the data folder of the settings, which must have no log. Safe to run again."""
    from regraft.flows.backup import read_backup
    from regraft.flows.backup import restore as flow

    run = context()
    read_backup(folder)  # before anything is made
    make_data_folder(run.data_dir)
    truth = run.stack.bare_postgres()
    with _reporting(run, hidden=as_json) as report:
        manifest = flow(folder, _source(run, truth, run.stack.own_dagster_dsn()), report)
        if verify:
            verify_snapshots(run, truth, report)
    _print(run, manifest, f"Restored into {run.data_dir.resolve()}", as_json=as_json)


def verify_snapshots(run: CommandContext, truth: str, report: Report) -> int:
    """Verify every frozen dataset; how many there are. Raises IntegrityError for one that does not hold."""
    from regraft.flows.datasets.registry import snapshots
    from regraft.flows.datasets.verify import verify

    found = [one for one in snapshots(truth) if one["withdrawn_at"] is None]
    for snapshot in found:
        report(f"verifying {snapshot['snapshot_id']}")
        verified = verify(snapshot["snapshot_id"], dsn=truth, warehouse=run.warehouse(), workbench=run.workbench())
        if not verified.ok:
            raise IntegrityError(f"{snapshot['snapshot_id']} does not hold: `regraft dataset verify` says why.")
    return len(found)


def _source(run: CommandContext, truth: str, dagster: str | None) -> BackupSource:
    return BackupSource(truth=truth, dagster=dagster, data_dir=run.data_dir, warehouse=run.warehouse())


@contextmanager
def _reporting(run: CommandContext, *, hidden: bool) -> Iterator[Report]:
    if hidden:
        yield lambda _: None
        return
    with run.console.status("starting") as status:
        yield lambda what: status.update(what)


def _print(run: CommandContext, manifest: BackupManifest, done: str, *, as_json: bool) -> None:
    if as_json:
        run.print_json(
            {
                "version": manifest.version,
                "created_at": manifest.created_at,
                "rows": sum(manifest.tables.values()),
                "files": len(manifest.files),
                "bytes": manifest.bytes,
                "warehouse": manifest.warehouse,
            }
        )
        return
    rows, size = sum(manifest.tables.values()), manifest.bytes / (1 << 20)
    run.console.print(
        f"{done}: {counted(rows, 'row')} in {counted(len(manifest.tables), 'table')}, "
        f"{counted(len(manifest.files), 'file')}, {size:,.1f} MiB.",
        highlight=False,
    )
