"""Read the registry of frozen datasets. Takes a DSN or a connection of the caller's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from regraft.infra.postgres.datasets import registry as store
from regraft.infra.postgres.lineage.reading import snapshot_counts
from regraft.infra.postgres.pool import Source, reading_from

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotDetail:
    """A snapshot's row of the registry, and how many ``rows``, ``nodes`` and ``sessions`` it holds."""

    snapshot: Row
    holds: Row


def snapshots(source: Source) -> list[Row]:
    """All snapshots, oldest first."""
    with reading_from(source) as connection:
        return store.snapshots(connection)


def snapshot(source: Source, snapshot_id: str) -> SnapshotDetail:
    """A snapshot by its id or the start of it. Raises NotFoundError unless exactly one fits."""
    with reading_from(source) as connection:
        found = store.get(connection, snapshot_id)
        return SnapshotDetail(snapshot=found, holds=snapshot_counts(connection, found["snapshot_id"]))
