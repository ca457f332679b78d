"""Remove frozen rows permanently: snapshots of a table, and files that no snapshot needs.

Iceberg keeps every file unless it is asked to remove some, and PyIceberg's expiry removes names, not files.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from regraft.infra.iceberg.snapshots import NAMESPACE
from regraft.infra.iceberg.store import file_system

if TYPE_CHECKING:
    from pyiceberg.catalog.sql import SqlCatalog
    from pyiceberg.table import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftovers:
    """Of one table: snapshots without an owner, their tags, and files that no other snapshot needs."""

    table: str
    snapshots: tuple[int, ...]
    tags: tuple[str, ...]
    files: tuple[str, ...]

    @property
    def any(self) -> bool:
        return bool(self.snapshots or self.tags or self.files)


def tables(opened: SqlCatalog) -> list[str]:
    """The names of all tables of frozen rows."""
    if not opened.namespace_exists(NAMESPACE):
        return []
    return [".".join(each) for each in opened.list_tables(NAMESPACE)]


def leftovers(opened: SqlCatalog, identifier: str, keep: Collection[int]) -> Leftovers:
    """What of a table is not needed by the snapshots ``keep``; no process may be writing to it."""
    table = opened.load_table(identifier)
    gone = tuple(one.snapshot_id for one in table.snapshots() if one.snapshot_id not in keep)
    tags = tuple(name for name, ref in table.metadata.refs.items() if name != "main" and ref.snapshot_id in gone)
    needed = _needed(table, keep)
    files = tuple(path for path in _files(table) if path not in needed)
    return Leftovers(table=identifier, snapshots=gone, tags=tags, files=files)


def remove(opened: SqlCatalog, identifier: str, keep: Collection[int]) -> Leftovers:
    """Remove it. A table of which nothing is kept goes with its name. Repeating it after a crash finishes it."""
    from pyiceberg.exceptions import NoSuchTableError

    try:
        table = opened.load_table(identifier)
    except NoSuchTableError:
        return Leftovers(table=identifier, snapshots=(), tags=(), files=())
    kept = [one.snapshot_id for one in table.snapshots() if one.snapshot_id in keep]
    found = leftovers(opened, identifier, kept)
    if not kept:
        files = list(_files(table))
        opened.drop_table(identifier)
        _delete(table, files)
        return found
    current = table.current_snapshot()
    if current is None or current.snapshot_id not in kept:
        last = max((one for one in table.snapshots() if one.snapshot_id in kept), key=lambda one: one.timestamp_ms)
        table.manage_snapshots().set_current_snapshot(snapshot_id=last.snapshot_id).commit()
    for tag in found.tags:
        table.manage_snapshots().remove_tag(tag).commit()
    if found.snapshots:
        table.maintenance.expire_snapshots().by_ids(list(found.snapshots)).commit()
    after = leftovers(opened, identifier, kept)
    _delete(opened.load_table(identifier), after.files)
    return Leftovers(table=identifier, snapshots=found.snapshots, tags=found.tags, files=after.files)


def _needed(table: Table, keep: Collection[int]) -> set[str]:
    """The files of these snapshots, and what the table itself is described by."""
    needed = {_path(table, table.metadata_location)}
    for snapshot in table.snapshots():
        if snapshot.snapshot_id not in keep:
            continue
        needed.add(_path(table, snapshot.manifest_list))
        for manifest in snapshot.manifests(table.io):
            needed.add(_path(table, manifest.manifest_path))
            entries = manifest.fetch_manifest_entry(table.io, discard_deleted=True)
            needed.update(_path(table, entry.data_file.file_path) for entry in entries)
    for statistics in (*table.metadata.statistics, *table.metadata.partition_statistics):
        if statistics.snapshot_id in keep:
            needed.add(_path(table, statistics.statistics_path))
    return needed


def _files(table: Table) -> Iterator[str]:
    """Every file of a table."""
    from pyarrow import fs

    system, root = file_system(table.io, table.location())
    for info in system.get_file_info(fs.FileSelector(root, recursive=True, allow_not_found=True)):
        if info.type == fs.FileType.File:
            yield info.path


def _delete(table: Table, files: Collection[str]) -> None:
    from pyarrow import fs

    system, root = file_system(table.io, table.location())
    for path in files:
        try:
            system.delete_file(path)
        except FileNotFoundError:
            continue
    left = system.get_file_info(fs.FileSelector(root, recursive=True, allow_not_found=True))
    if left and all(info.type != fs.FileType.File for info in left):
        system.delete_dir(root)


def _path(table: Table, location: str) -> str:
    """Where a file lies now, as ``pyarrow.fs`` names it."""
    return file_system(table.io, location)[1]
