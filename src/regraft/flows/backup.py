"""A backup of a log: database, frozen files and keys as one consistent set, and how it becomes a log again.

The database is dumped as of one moment. Files of the warehouse never change and are written before the database names
them, so those copied after that moment are all that it names. What can be computed again (the workbench) and what is on
its way (spool and stream) are left out: the command waits first until all is stored.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from regraft.domain.errors import ConflictError, IntegrityError, NotFoundError, UnavailableError, UsageError
from regraft.infra.embedded.postgres_binaries import available
from regraft.infra.files.copied_folder import CopiedFile, check, copy_file, copy_folder, described
from regraft.infra.postgres import dump as databases
from regraft.infra.postgres import migrate
from regraft.infra.postgres.pool import connect
from regraft.version import __version__

MANIFEST = "manifest.json"
LAYOUT = 1  # of the folder
_TRUTH, _DAGSTER, _WAREHOUSE, _KEYS = "truth.dump", "dagster.dump", "warehouse", "data"
_DERIVED = ("workbench.duckdb",)  # starts of names in the data folder that are not kept

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupSource:
    """The source of a backup, or the target of a restore. ``dagster``: the DSN of Dagster's own database, if any.

    A warehouse that is not a folder (``s3://...``) is not copied: its own tools keep it.
    """

    truth: str
    dagster: str | None
    data_dir: Path
    warehouse: str

    @property
    def warehouse_folder(self) -> Path | None:
        """The warehouse where it is a folder of this machine."""
        return None if "://" in self.warehouse else Path(self.warehouse)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupManifest:
    """The content of a backup: row counts of tables, names of migrations, files with their digests.

    ``warehouse`` is None where it was copied, and its address where it was not.
    """

    layout: int
    version: str
    created_at: str
    postgres: int
    migrations: list[str]
    tables: dict[str, int]
    dagster_tables: dict[str, int]
    warehouse: str | None
    files: list[CopiedFile]

    @property
    def bytes(self) -> int:
        """The size of all files."""
        return sum(file.size for file in self.files)


def back_up(source: BackupSource, target: Path, report: Report = lambda _: None) -> BackupManifest:
    """Write a backup into a folder that does not exist yet. It is there whole or not at all.

    Raises ConflictError where something exists already, UnavailableError when a program or a server fails.
    """
    if target.exists():
        raise ConflictError(f"{target} exists already: name a new folder for each backup.")
    draft = target.with_name(f".{target.name}.unfinished")
    shutil.rmtree(draft, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft.mkdir(mode=0o700)
    with databases.frozen_moment(source.truth) as moment:
        report("counting rows")
        rows = {each.table: each.rows for each in moment.rows()}
        migrations = [each["name"] for each in migrate.applied(moment.connection)]
        major = databases.server_major(source.truth)
        report("dumping the database")
        databases.dump(source.truth, draft / _TRUTH, _program("pg_dump", major), moment)
    files = [described(draft, _TRUTH)]
    dagster_rows: dict[str, int] = {}
    if source.dagster is not None:
        with databases.frozen_moment(source.dagster) as moment:
            if dagster_rows := {each.table: each.rows for each in moment.rows()}:
                report("dumping the database of Dagster")
                databases.dump(source.dagster, draft / _DAGSTER, _program("pg_dump", major), moment)
                files.append(described(draft, _DAGSTER))
    if (folder := source.warehouse_folder) is not None:
        report("copying frozen files")
        files += copy_folder(folder, draft, _WAREHOUSE)
    report("copying keys")
    files += [copy_file(file, draft, f"{_KEYS}/{file.name}") for file in _own_files(source.data_dir)]
    manifest = BackupManifest(
        layout=LAYOUT,
        version=__version__,
        created_at=datetime.now(UTC).isoformat(),
        postgres=major,
        migrations=migrations,
        tables=rows,
        dagster_tables=dagster_rows,
        warehouse=None if folder is not None else source.warehouse,
        files=files,
    )
    _write(draft / MANIFEST, asdict(manifest))
    draft.rename(target)
    _sync(target.parent)
    return manifest


def read_backup(folder: Path) -> BackupManifest:
    """What a backup holds, by its manifest. Raises NotFoundError where there is none, UsageError for an unknown one."""
    try:
        read = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotFoundError(f"{folder} is not a backup: it has no {MANIFEST}.") from None
    except (ValueError, OSError) as error:
        raise IntegrityError(f"{folder / MANIFEST} cannot be read: {error}") from error
    if not isinstance(read, dict) or read.get("layout") != LAYOUT:
        raise UsageError(f"{folder} was made by another version of Regraft: this one reads layout {LAYOUT}.")
    try:
        return BackupManifest(**{**read, "files": [CopiedFile(**file) for file in read["files"]]})
    except (TypeError, KeyError) as error:
        raise IntegrityError(f"{folder / MANIFEST} lacks something, or has more than it should: {error}") from error


def check_backup(folder: Path) -> BackupManifest:
    """Compare every file of a backup with its digest. Raises IntegrityError that names the first that has changed."""
    manifest = read_backup(folder)
    check(folder, {file.path: file for file in manifest.files})
    return manifest


def restore(folder: Path, target: BackupSource, report: Report = lambda _: None) -> BackupManifest:
    """Make a log of a backup where there is none. Safe to run again after it was interrupted.

    Raises ConflictError where there is a log or a file of another content already, UsageError for a backup of a newer
    version, IntegrityError for one that was changed or whose rows do not all come back.
    """
    report("checking the files of the backup")
    manifest = check_backup(folder)
    _check_version(manifest)
    files = {file.path: file for file in manifest.files}
    places = _places(files, target)
    for name, place in places.items():
        if place.exists() and described(place.parent, place.name).sha256 != files[name].sha256:
            raise ConflictError(f"{place} exists already and is another file: restore into a new data folder.")
    _restore_database(target.truth, folder / _TRUTH, manifest, manifest.tables, report)
    if manifest.dagster_tables and target.dagster is not None:
        _restore_database(target.dagster, folder / _DAGSTER, manifest, manifest.dagster_tables, report)
    report("copying frozen files and keys")
    for name, place in places.items():
        if not place.exists():
            draft = copy_file(folder / name, place.parent, f".{place.name}.restoring")
            (place.parent / draft.path).rename(place)
    report("bringing the schema up to date")
    with connect(target.truth, autocommit=True, name="regraft-migrate") as connection:
        migrate.migrate(connection)
    return manifest


def _check_version(manifest: BackupManifest) -> None:
    unknown = set(manifest.migrations) - {each.name for each in migrate.migrations()}
    if unknown:
        raise UsageError(
            f"The backup was made by Regraft {manifest.version}, which is newer: this version ({__version__}) does not"
            f" know {', '.join(sorted(unknown))}. Upgrade, then restore."
        )


def _places(files: Iterable[str], target: BackupSource) -> dict[str, Path]:
    """Where each file goes, by its name in the backup; the dumps go nowhere."""
    places = {}
    for name in files:
        room, _, rest = name.partition("/")
        if room == _KEYS:
            places[name] = target.data_dir / rest
        elif room == _WAREHOUSE:
            if target.warehouse_folder is None:
                raise UsageError(
                    f"The backup has frozen files, and {target.warehouse} is not a folder: set warehouse to one."
                )
            places[name] = target.warehouse_folder / rest
    return places


def _restore_database(
    dsn: str, file: Path, manifest: BackupManifest, expected: Mapping[str, int], report: Report
) -> None:
    """Into an empty database; one that holds what the backup holds already is left as it is."""
    with connect(dsn, name="regraft-restore") as connection:
        found = {each.table: each.rows for each in databases.table_rows(connection)}
    if found and found != expected:
        raise ConflictError("The database has tables already: restore into a new data folder, or an empty database.")
    if not found:
        report(f"restoring {file.name}")
        databases.restore(dsn, file, _program("pg_restore", max(manifest.postgres, databases.server_major(dsn))))
        with connect(dsn, name="regraft-restore") as connection:
            found = {each.table: each.rows for each in databases.table_rows(connection)}
    for table, rows in expected.items():
        if found.get(table) != rows:
            raise IntegrityError(f"{table} has {found.get(table, 0):,} rows after the restore, not {rows:,}.")


def _program(name: str, major: int) -> str:
    """A program of PostgreSQL that is not older than a server. Raises UnavailableError where there is none."""
    for binaries in sorted(available(), key=lambda each: each.major):
        if binaries.major >= major and Path(binaries.program(name)).is_file():
            return binaries.program(name)
    raise UnavailableError(f"{name} of PostgreSQL {major} or later was not found: install its client programs.")


def _own_files(data_dir: Path) -> list[Path]:
    """The files in the data folder itself: keys, tokens, and what else cannot be computed again."""
    found = sorted(file for file in data_dir.iterdir() if file.is_file() and not file.is_symlink())
    return [file for file in found if not file.name.startswith((".", *_DERIVED)) and file.suffix != ".lock"]


def _write(file: Path, document: Mapping[str, Any]) -> None:
    with file.open("w", encoding="utf-8") as writer:
        json.dump(document, writer, indent=1)
        writer.flush()
        os.fsync(writer.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
