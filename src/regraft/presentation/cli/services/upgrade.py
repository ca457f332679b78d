"""``regraft upgrade``: upgrade a log of an earlier version, or check what an upgrade would do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from regraft.domain.errors import UpgradeNeededError
from regraft.infra.embedded.stack import DAGSTER, GATEWAY, INGEST, METRICS, WEB
from regraft.infra.embedded.state import VERSION, RunFolder
from regraft.presentation.cli.context import CommandContext, context
from regraft.presentation.cli.services.backup import verify_snapshots
from regraft.presentation.cli.services.disk import size_text
from regraft.presentation.cli.services.status import backlog

if TYPE_CHECKING:
    from regraft.flows.backup import BackupSource, Report
    from regraft.flows.upgrade import RunningService, UpgradeCheck, UpgradeResult

_SERVICES = ("up", GATEWAY, INGEST, WEB, DAGSTER, METRICS)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Services")(upgrade)


def upgrade(
    check: Annotated[
        bool, typer.Option("--check", help="Show pending migrations and obstacles; change nothing.")
    ] = False,
    backup: Annotated[bool, typer.Option(help="Back up first, into a new folder of the setting `backups`.")] = True,
    verify: Annotated[bool, typer.Option(help="Verify every frozen dataset afterwards.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Apply pending migrations, after a backup, and verify the log. Exit 6: `--check` found some."""
    from regraft.flows import upgrade as flow
    from regraft.flows.backup import BackupSource

    run = context()
    truth = run.stack.unmigrated_postgres()
    source = BackupSource(
        truth=truth, dagster=run.stack.own_dagster_dsn(), data_dir=run.data_dir, warehouse=run.warehouse()
    )
    backups = run.settings.backups_path
    found = flow.check_upgrade(source, _running(run), backups)
    if check:
        _print_check(run, found, as_json=as_json)
        flow.require_upgradable(found)
        if found.waiting:
            what = "migration waits" if len(found.waiting) == 1 else "migrations wait"
            raise UpgradeNeededError(f"{len(found.waiting)} {what}: `regraft upgrade` applies them.")
        return
    with _reporting(run, hidden=as_json) as report:
        look = _verifier(run, source) if verify else lambda _: 0
        done = flow.upgrade(source, found, backups if backup else None, look, report)
    _print_result(run, done, as_json=as_json)


def _running(run: CommandContext) -> list[RunningService]:
    from regraft.flows.upgrade import RunningService

    folder = run.data_dir / "run"
    running = []
    for name in _SERVICES:
        state = RunFolder(folder).read(name) if folder.is_dir() else None
        if state is not None and state.alive():
            running.append(RunningService(name=name, version=state.details.get(VERSION, "")))
    return running


def _verifier(run: CommandContext, source: BackupSource) -> Any:
    def verify(report: Report) -> int:
        return verify_snapshots(run, source.truth, report)

    return verify


def _print_check(run: CommandContext, found: UpgradeCheck, *, as_json: bool) -> None:
    waiting = backlog(run)
    if as_json:
        run.print_json({**asdict(found), "older_services": found.older_services, "backlog": asdict(waiting)})
        return
    out = run.console
    out.print(f"Regraft {found.version}; the log is at {found.schema or 'no migration'}.", highlight=False)
    for each in found.waiting:
        out.print(f"  waits: {each.name}", highlight=False)
        for effect in each.effects:
            slow = " [yellow](large: locked during the migration)[/]" if effect.table in each.slow else ""
            out.print(f"      {effect.table} is {effect.what}{slow}", highlight=False)
    for service in found.services:
        version = service.version or "an unknown version"
        stop = " [yellow]stop it before the upgrade[/]" if service.is_older and found.waiting else ""
        out.print(f"  runs: {service.name} of {version}{stop}", highlight=False)
    if waiting.spool_bytes or waiting.stream_packs:
        packs = waiting.stream_packs or 0
        out.print(
            f"  not stored yet: {size_text(waiting.spool_bytes)} in the spool, {packs} packs in the stream; they stay "
            "there, and are stored after the upgrade",
            highlight=False,
        )
    if found.backup is None:
        out.print(f"  no backup in {run.settings.backups_path}; one takes up to {size_text(found.bytes)}, and", end=" ")
        out.print(f"{size_text(found.free)} are free there", highlight=False)
    else:
        kind = "of this schema" if found.backup.current else f"of an older schema, by {found.backup.version}"
        out.print(
            f"  newest backup: {found.backup.folder}, {found.backup.created_at[:16]} UTC, {kind}", highlight=False
        )
    if not found.waiting and not found.unknown:
        out.print("Nothing waits: the log is up to date.")


def _print_result(run: CommandContext, done: UpgradeResult, *, as_json: bool) -> None:
    if as_json:
        run.print_json(asdict(done))
        return
    if not done.applied:
        run.console.print("Nothing waited: the log is up to date.")
        return
    if done.backup:
        run.console.print(f"Backed up into {done.backup}", highlight=False)
    what = "migration" if len(done.applied) == 1 else "migrations"
    run.console.print(f"Applied {len(done.applied)} {what} in {done.seconds:.1f} s:", highlight=False)
    for name in done.applied:
        run.console.print(f"  {name}", highlight=False)
    for table, (before, after) in done.changed.items():
        run.console.print(f"  {table} had {before:,} rows and has {after:,}", highlight=False)
    if done.snapshots:
        run.console.print(f"Frozen datasets that hold: {done.snapshots}", highlight=False)
    run.console.print("Start the services: `regraft up`.")


@contextmanager
def _reporting(run: CommandContext, *, hidden: bool) -> Iterator[Report]:
    if hidden:
        yield lambda _: None
        return
    with run.console.status("starting") as status:
        yield lambda what: status.update(what)
