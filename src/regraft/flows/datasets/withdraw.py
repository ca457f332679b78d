"""Withdraw a frozen dataset, so that it is no longer used for training. Its files are kept, or removed permanently."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from regraft.domain.errors import UnavailableError, UsageError
from regraft.infra.iceberg import removal, snapshots
from regraft.infra.postgres.datasets import erasure as store
from regraft.infra.postgres.datasets import registry
from regraft.infra.postgres.pool import Connection, transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawalResult:
    """The result of a withdrawal. ``files_removed`` counts removed files; None if they are kept."""

    snapshot_id: str
    reason: str
    withdrawn_at: datetime
    files_removed: int | None = None


def withdraw(snapshot_id: str, reason: str, *, dsn: str, warehouse: str, files: bool = False) -> WithdrawalResult:
    """Withdraw a snapshot; ``files`` removes what only it needs. A withdrawn one keeps its first reason and date.

    Raises NotFoundError, or UsageError without a reason.
    """
    if not reason.strip():
        raise UsageError("Give the reason for the withdrawal: --reason TEXT.")
    with transaction(dsn) as connection:
        snapshot_id = registry.get(connection, snapshot_id)["snapshot_id"]
        store.run(connection, "withdraw", snapshot_id=snapshot_id, reason=reason, now=datetime.now(UTC))
        record = registry.get(connection, snapshot_id)
    removed = remove_files([snapshot_id], dsn=dsn, warehouse=warehouse) if files else None
    return WithdrawalResult(
        snapshot_id=snapshot_id,
        reason=record["withdrawn_because"] or reason,
        withdrawn_at=record["withdrawn_at"],
        files_removed=removed,
    )


def remove_files(snapshot_ids: Iterable[str], *, dsn: str, warehouse: str) -> int:
    """Remove the files that only these withdrawn snapshots need; how many. Idempotent; waits for a running freeze."""
    removed = 0
    by_table: dict[tuple[str, str], list[str]] = {}
    with transaction(dsn) as connection:
        for snapshot_id in snapshot_ids:
            record = registry.get(connection, snapshot_id)
            by_table.setdefault((record["iceberg_table"], record["dataset"]), []).append(record["snapshot_id"])
    for (table, dataset), ids in by_table.items():
        with transaction(dsn) as connection:
            _lock(connection, table, dataset)
            keep = {
                row["iceberg_snapshot_id"]
                for row in store.rows(connection, "registered", table=table)
                if not row["removed"] and row["snapshot_id"] not in ids
            }
            with snapshots.catalog(dsn, warehouse) as opened:
                removed += len(removal.remove(opened, table, keep).files)
            for snapshot_id in ids:
                store.run(connection, "files_removed", snapshot_id=snapshot_id, now=datetime.now(UTC))
    return removed


def sweep(dsn: str, warehouse: str, *, repair: bool = False) -> list[removal.Leftovers]:
    """What freezes that were killed left in the warehouse: snapshots and tags that the registry does not know, and
    files. ``repair`` removes it. A table that is written to now is passed over. Raises UnavailableError, after all
    other tables, when the files of one are gone."""
    found: list[removal.Leftovers] = []
    lost: list[str] = []
    with transaction(dsn) as connection:
        if not registry.has_tables(connection):
            return found
    with snapshots.catalog(dsn, warehouse) as opened:
        for table in removal.tables(opened):
            with transaction(dsn) as connection:
                if not registry.try_lock(connection, table.rpartition(".")[2]):
                    continue
                keep = {
                    row["iceberg_snapshot_id"]
                    for row in store.rows(connection, "registered", table=table)
                    if not row["removed"]
                }
                try:
                    left = removal.leftovers(opened, table, keep)
                    if repair and left.any:
                        left = removal.remove(opened, table, keep)
                except OSError as error:
                    lost.append(f"{table}: {error.strerror or error}")
                    continue
                if left.any:
                    found.append(left)
    if lost:
        raise UnavailableError("Files of frozen datasets cannot be read. " + "; ".join(lost))
    return found


def _lock(connection: Connection, table: str, dataset: str) -> None:
    """Freezes of a table lock its name; datasets are named in the registry."""
    for name in sorted({table.rpartition(".")[2], dataset}):
        registry.lock(connection, name)
