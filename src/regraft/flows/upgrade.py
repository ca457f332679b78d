"""From a log of an earlier version to one of this version: what waits, what prevents it, and the upgrade itself.

A backup comes first, then all migrations in one transaction, then everything is looked at. What was captured and is not
stored yet stays where it is, in the spool and the stream, and is stored after that.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from regraft.domain.errors import ConflictError, IntegrityError, RegraftError, UnavailableError, UsageError
from regraft.flows.backup import BackupManifest, BackupSource, Report, back_up, read_backup
from regraft.infra.files.folder_size import folder_size
from regraft.infra.postgres import dump, migrate, sizes
from regraft.infra.postgres.migration_effects import TableEffect, effects_of
from regraft.infra.postgres.pool import Connection, connect
from regraft.version import __version__

LOCK_PATIENCE = 30  # seconds that migrations wait for a table that another process holds
_SLOW_BYTES = 256 << 20  # of a table: about a second to read, some more to write
_SLACK = 1.2  # a backup is compressed, mostly; files are not


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingMigration:
    """A migration that waits. ``slow`` where it goes through a large table, which no one can use meanwhile."""

    name: str
    effects: list[TableEffect]
    slow: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningService:
    """A service of the data folder that runs, and its version; '' where it did not say."""

    name: str
    version: str

    @property
    def is_older(self) -> bool:
        """Whether it is not of this version."""
        return self.version != __version__


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundBackup:
    """A backup in the folder of backups; ``current`` when it was made of the schema that the log has now."""

    folder: str
    created_at: str
    version: str
    current: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class UpgradeCheck:
    """How far a log is from this version. ``schema`` is the newest migration that it has.

    ``unknown`` are migrations of a newer version: then it cannot be used. ``backup`` is the newest one that was found
    in the folder of backups. ``bytes`` are what a backup takes at most, ``free`` what is left there.
    """

    version: str
    schema: str
    waiting: list[WaitingMigration]
    unknown: list[str]
    services: list[RunningService]
    backup: FoundBackup | None
    bytes: int
    free: int

    @property
    def older_services(self) -> list[str]:
        """Services that run, of another version."""
        return [service.name for service in self.services if service.is_older]


@dataclass(frozen=True, slots=True, kw_only=True)
class UpgradeResult:
    """What was done. ``changed`` are tables whose number of rows is not what it was: (before, after)."""

    applied: list[str]
    backup: str | None
    seconds: float
    changed: Mapping[str, tuple[int, int]]
    snapshots: int


def check_upgrade(source: BackupSource, services: Sequence[RunningService], backups: Path) -> UpgradeCheck:
    """Look, and change nothing. Raises IntegrityError where an applied migration has another text here."""
    with connect(source.truth, autocommit=True, name="regraft-upgrade") as connection:
        waiting = migrate.pending(connection)
        applied = [row["name"] for row in migrate.applied(connection)]
        try:
            tables = {table.name: table.bytes for table in sizes.table_sizes(connection)}
        except psycopg.errors.LockNotAvailable as error:
            raise UnavailableError("Another process holds a table of the log: try again when it has ended.") from error
    known = {each.name for each in migrate.migrations()}
    warehouse = folder_size(source.warehouse_folder).bytes if source.warehouse_folder is not None else 0
    return UpgradeCheck(
        version=__version__,
        schema=applied[-1] if applied else "",
        waiting=[_described(each, tables) for each in waiting],
        unknown=[name for name in applied if name not in known],
        services=list(services),
        backup=_newest_backup(backups, applied),
        bytes=int((sum(tables.values()) + warehouse) * _SLACK),
        free=shutil.disk_usage(next(place for place in (backups, *backups.absolute().parents) if place.exists())).free,
    )


def upgrade(
    source: BackupSource,
    found: UpgradeCheck,
    backups: Path | None,
    verify: Callable[[Report], int],
    report: Report = lambda _: None,
) -> UpgradeResult:
    """Back up into a new folder of ``backups`` (None: do not), migrate, and look at everything. ``verify`` looks at the
    frozen datasets and says how many there are; not called where nothing waits.

    Raises UsageError for a log of a newer version, ConflictError while services of another version run,
    UnavailableError where there is no room for the backup or a table is held by others. Until the migrations are
    applied nothing is changed, and they are applied all together or not at all.
    """
    require_upgradable(found)
    folder = None
    if backups is not None and found.waiting:
        if found.free < found.bytes:
            raise UnavailableError(
                f"{found.free >> 20:,} MiB are free in {backups}, and a backup may take {found.bytes >> 20:,} MiB: set "
                "`backups` to another folder, or leave it out with --no-backup."
            )
        folder = backups / f"before-{found.waiting[-1].name[:4]}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        back_up(source, folder, report)
    began = time.monotonic()
    with connect(source.truth, autocommit=True, name="regraft-upgrade") as connection:
        before = _rows(connection)
        report("applying migrations")
        applied = _migrate(connection)
        seconds = time.monotonic() - began
        report("counting rows")
        after = _rows(connection)
    changed = {name: (rows, after.get(name, 0)) for name, rows in before.items() if after.get(name) != rows}
    changed.pop("public.schema_migration", None)
    return UpgradeResult(
        applied=applied,
        backup=str(folder) if folder is not None else None,
        seconds=seconds,
        changed=changed,
        snapshots=verify(report) if applied else 0,
    )


def require_upgradable(found: UpgradeCheck) -> None:
    """Raises UsageError for a log of a newer version, ConflictError while services of another version run."""
    if found.unknown:
        raise UsageError(
            f"The log belongs to a newer version of Regraft: this one ({found.version}) does not know "
            f"{', '.join(found.unknown)}. Install that version."
        )
    if found.waiting and found.older_services:
        raise ConflictError(
            f"Services of another version run: {', '.join(found.older_services)}. Stop them first (`regraft down`): "
            "they do not know the new schema."
        )


def _migrate(connection: Connection) -> list[str]:
    connection.execute(f"SET lock_timeout = '{LOCK_PATIENCE}s'".encode())
    try:
        return migrate.migrate(connection)
    except psycopg.errors.LockNotAvailable as error:
        raise UnavailableError(
            f"Another process held a table for {LOCK_PATIENCE} s, and nothing was changed: stop the services of this "
            "log, or what else reads its database, and try again."
        ) from error
    except psycopg.Error as error:
        reason = str(error).strip().splitlines()[0]
        raise IntegrityError(f"A migration failed, and nothing was changed: {reason}") from error


def _rows(connection: Connection) -> dict[str, int]:
    return {each.table: each.rows for each in dump.table_rows(connection)}


def _described(migration: migrate.Migration, tables: Mapping[str, int]) -> WaitingMigration:
    effects = effects_of(migration.sql.decode())
    slow = {effect.table for effect in effects if effect.whole and tables.get(effect.table, 0) > _SLOW_BYTES}
    return WaitingMigration(name=migration.name, effects=effects, slow=sorted(slow))


def _newest_backup(backups: Path, applied: list[str]) -> FoundBackup | None:
    found: list[tuple[BackupManifest, Path]] = []
    for folder in sorted(backups.iterdir()) if backups.is_dir() else ():
        try:
            found.append((read_backup(folder), folder))
        except (RegraftError, OSError):
            continue  # not a backup, or one that was not finished
    if not found:
        return None
    manifest, folder = max(found, key=lambda each: each[0].created_at)
    return FoundBackup(
        folder=str(folder),
        created_at=manifest.created_at,
        version=manifest.version,
        current=manifest.migrations == applied,
    )
