"""Disk usage of a log: PostgreSQL by room, files by kind, frozen datasets by snapshot."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from regraft.domain.errors import RegraftError
from regraft.infra.embedded.postgres_home import cluster_folder
from regraft.infra.files.folder_size import FileSizes, file_size, folder_size
from regraft.infra.postgres import sizes
from regraft.infra.postgres.pool import connect

OTHER = "other"
ROOMS: dict[str, Collection[str]] = {
    "capture": (
        *("message", "context", "request_part", "pipeline_event_inbox", "quarantine", "response_alias", "feedback"),
    ),
    "lineage": (
        *("session", "session_turn", "session_lineage", "lineage_queue", "lineage_watermark", "pipeline_batch"),
        *("seed_themes", "theme_changes", "conversation_sessions", "conversation_branch_nodes", "turn_link"),
        *("execution_run_records", "response_branch_records", "unsettled_node", "session_outcome_queue", "projection"),
        *("former_node", "former_session", "former_reference"),
    ),
    "replay": ("replay_plan", "replay_job", "rollout", "model_snapshots", "generations", "condition_changes"),
    "orchestration": ("taskification_results",),
    "evaluation": (
        *("human_eval_labels", "preference_labels", "label_retractions", "judge_versions", "judge_votes"),
        *("review_samples", "human_sample_queue", "review_leases", "review_acts", "review_gold", "theme_agreement"),
        *("agreement_state", "trajectory_cluster_runs", "trajectory_cluster_centroids", "trajectory_cluster_members"),
        *("trajectory_cluster_matches", "trajectory_cluster_names", "trajectory_vectors", "embedding_model"),
    ),
    "datasets": (
        *("dataset_snapshot_registry", "dataset_snapshot_nodes", "erasure", "erased_message"),
        *("iceberg_tables", "iceberg_namespace_properties"),
    ),
    "services": ("schema_migration", "browser_sessions"),
}
_DAGSTER_DATABASE = "dagster"


@dataclass(frozen=True, slots=True, kw_only=True)
class UsagePart:
    """``bytes`` on the disk of one part. ``room``: whose it is, where it is of one. ``items`` counts its ``unit``: rows
    (about), files."""

    part: str
    room: str = ""
    bytes: int
    items: int
    unit: str
    path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotUsage:
    """The Parquet files of one frozen dataset."""

    snapshot_id: str
    bytes: int
    files: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskUsage:
    """``parts`` add up to ``bytes``; ``tables`` and ``snapshots`` say more of some of them.

    ``turns`` is None where PostgreSQL was not asked. ``free`` bytes are left where the data folder lies. ``unread``
    folders are closed to this account, so that they count as nothing.
    """

    parts: list[UsagePart]
    tables: list[sizes.TableSize] = field(default_factory=list)
    snapshots: list[SnapshotUsage] = field(default_factory=list)
    turns: int | None
    free: int
    unread: int

    @property
    def bytes(self) -> int:
        """All parts together."""
        return sum(part.bytes for part in self.parts)

    @property
    def bytes_per_turn(self) -> float | None:
        """All parts together by the number of turns; None where that is 0 or not known."""
        return self.bytes / self.turns if self.turns else None


@dataclass(frozen=True, slots=True, kw_only=True)
class UsagePlaces:
    """Where a log's parts lie. ``truth`` is None where PostgreSQL is not to be asked; ``embedded``: it is our own, so
    that its cluster and Dagster's database are part of the log. ``models``: files of built-in models."""

    data_dir: Path
    warehouse: str
    workbench: Path
    backups: Path
    truth: str | None
    embedded: bool
    models: Collection[Path] = ()


def disk_usage(places: UsagePlaces, *, by_snapshot: bool = False) -> DiskUsage:
    """Measure everything. ``by_snapshot`` also opens every frozen dataset, which takes longer."""
    database, dagster = _database(places)
    parts = _tables(database, dagster) if database is not None else []
    unread = 0

    def add(part: str, size: FileSizes, path: Path | str) -> None:
        nonlocal unread
        unread += size.unread
        parts.append(UsagePart(part=part, bytes=size.bytes, items=size.files, unit="files", path=str(path)))

    cluster = cluster_folder(places.data_dir) if places.embedded else None
    if cluster is not None:
        size = folder_size(cluster)
        name = "write-ahead log and rest of PostgreSQL" if database is not None else "PostgreSQL"
        known = sum(part.bytes for part in parts)
        add(name, FileSizes(max(0, size.bytes - known), size.files, size.unread), cluster)
    add("stream", folder_size(places.data_dir / "nats"), places.data_dir / "nats")
    add("spool", folder_size(places.data_dir / "spool"), places.data_dir / "spool")
    add("workbench", _workbench(places.workbench), places.workbench)
    if "://" not in places.warehouse:
        add("frozen datasets", folder_size(Path(places.warehouse)), places.warehouse)
    add("logs", folder_size(places.data_dir / "logs"), places.data_dir / "logs")
    add("Dagster's files", folder_size(places.data_dir / "dagster"), places.data_dir / "dagster")
    add("backups", folder_size(places.backups), places.backups)
    add("keys and state", _own_files(places.data_dir), places.data_dir)
    for model in places.models:
        add("model file", file_size(model), model)
    return DiskUsage(
        parts=parts,
        tables=sorted(database.tables, key=lambda table: -table.bytes) if database is not None else [],
        snapshots=_snapshots(places) if by_snapshot and places.truth is not None else [],
        turns=database.turns if database is not None else None,
        free=shutil.disk_usage(next(p for p in (places.data_dir, *places.data_dir.parents) if p.exists())).free,
        unread=unread,
    )


def room_of(table: str) -> str:
    """The room that a table belongs to; ``other`` for one that is not ours."""
    return next((room for room, tables in ROOMS.items() if table in tables), OTHER)


def _database(places: UsagePlaces) -> tuple[sizes.DatabaseSize | None, int]:
    if places.truth is None:
        return None, 0
    with connect(places.truth, autocommit=True, name="regraft-usage") as connection:
        try:
            found = sizes.database_size(connection)
        except psycopg.errors.LockNotAvailable:  # an erasure or an upgrade holds a table
            return None, 0
        return found, sizes.other_database_bytes(connection, _DAGSTER_DATABASE) if places.embedded else 0


def _tables(database: sizes.DatabaseSize, dagster: int) -> list[UsagePart]:
    """A part for each room, one for what belongs to no table, and Dagster's database."""
    parts = []
    for room in (*ROOMS, OTHER):
        found = [table for table in database.tables if room_of(table.name) == room]
        if found:
            size, rows = sum(table.bytes for table in found), sum(table.rows for table in found)
            parts.append(UsagePart(part="PostgreSQL", room=room, bytes=size, items=rows, unit="rows"))
    rest = database.bytes - sum(part.bytes for part in parts)
    parts.append(UsagePart(part="catalogue of PostgreSQL", bytes=max(0, rest), items=0, unit="rows"))
    if dagster:
        parts.append(UsagePart(part="Dagster's database", bytes=dagster, items=0, unit="rows"))
    return parts


def _workbench(file: Path) -> FileSizes:
    """The file with its log and its temporary folder."""
    found = list(file.parent.glob(f"{file.name}*")) if file.parent.is_dir() else []
    return _total(folder_size(path) if path.is_dir() else file_size(path) for path in found)


def _own_files(data_dir: Path) -> FileSizes:
    """Files in the data folder itself but the workbench, and its run folder."""
    found = [path for path in data_dir.iterdir() if path.is_file()] if data_dir.is_dir() else []
    own = [path for path in found if not path.name.startswith("workbench.duckdb")]
    return _total([folder_size(data_dir / "run"), *(file_size(path) for path in own)])


def _total(found: Iterable[FileSizes]) -> FileSizes:
    total = FileSizes()
    for each in found:
        total += each
    return total


def _snapshots(places: UsagePlaces) -> list[SnapshotUsage]:
    """The size of each snapshot's files; one that cannot be opened is left out."""
    from regraft.flows.datasets.registry import snapshots
    from regraft.infra.iceberg.snapshots import catalog, file_sizes

    assert places.truth is not None
    found = snapshots(places.truth)
    if not found:
        return []
    used = []
    with catalog(places.truth, places.warehouse) as opened:
        for row in found:
            try:
                files = file_sizes(opened, row["iceberg_table"], int(row["iceberg_snapshot_id"]))
            except RegraftError:
                continue
            used.append(SnapshotUsage(snapshot_id=row["snapshot_id"], bytes=sum(files), files=len(files)))
    return sorted(used, key=lambda snapshot: -snapshot.bytes)
