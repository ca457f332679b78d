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


def snapshots(
    source: Source, *, scope: str | None = None, after: str | None = None, limit: int | None = None
) -> list[Row]:
    """Snapshots, oldest first; the next page starts after the last row's ``snapshot_id``.

    A tenant, ``scope``, sees those whose rows are all its own, without refused rows, which may be another tenant's
    unless the snapshot was frozen for this tenant alone.
    Raises NotFoundError for an ``after`` that it does not see.
    """
    with reading_from(source) as connection:
        if after is not None:
            after = store.get(connection, after, scope)["snapshot_id"]
        found = store.snapshots(connection, scope=scope, after=after, limit=limit)
        return [_seen(row, scope) for row in found]


def snapshot(source: Source, snapshot_id: str, scope: str | None = None) -> SnapshotDetail:
    """A snapshot by its id or the start of it, as ``scope`` sees it. Raises NotFoundError unless exactly one fits."""
    with reading_from(source) as connection:
        found = _seen(store.get(connection, snapshot_id, scope), scope)
        return SnapshotDetail(snapshot=found, holds=snapshot_counts(connection, found["snapshot_id"]))


def seen(source: Source, snapshot_id: str, scope: str | None = None) -> Row:
    """The row of a snapshot by its id or the start of it, if ``scope`` may see it. Raises NotFoundError."""
    with reading_from(source) as connection:
        return store.get(connection, snapshot_id, scope)


def _seen(row: Row, scope: str | None) -> Row:
    hidden = ("refused", "passed_over", "report")
    own = scope is not None and (row.get("report") or {}).get("scope") == scope  # made of its conversations alone
    return row if scope is None or own else {**row, **{name: {} for name in hidden if name in row}}
