"""What differs between two frozen datasets: rows added, removed, changed, moved to another split."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from regraft.domain.datasets.content import parts_of, row_digest
from regraft.domain.datasets.rows import Row
from regraft.domain.errors import UsageError
from regraft.domain.ids import Digest, digest_json
from regraft.flows.datasets.freeze import Frozen, find_snapshot, stored_rows

_SHOWN = 100  # rows of each sort that are named


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotDifference:
    """Counts, and the ids of the first hundred rows of each sort, from snapshot ``a`` to snapshot ``b``.

    ``changed`` rows read differently; ``recertified`` ones read the same, and their certificate differs (who decided,
    score, session); ``moved`` ones are in another split.
    """

    a: str
    b: str
    same: int
    added: int
    removed: int
    changed: int
    recertified: int
    moved: int
    ids: dict[str, list[str]]


class _RowDigest(NamedTuple):
    split: str
    content: Digest
    whole: Digest


def difference(a: str, b: str, *, dsn: str, warehouse: str) -> SnapshotDifference:
    """Compare two snapshots of one kind, row by row, by row ids. Raises UsageError when their kinds differ."""
    one, _ = find_snapshot(dsn, a)
    other, _ = find_snapshot(dsn, b)
    if one.kind != other.kind:
        raise UsageError(f"{one.snapshot_id} is of kind {one.kind}, {other.snapshot_id} of kind {other.kind}.")
    before = dict(_seen(dsn, warehouse, one))
    counts = dict.fromkeys(("same", "added", "removed", "changed", "recertified", "moved"), 0)
    ids: dict[str, list[str]] = {}

    def count(sort: str, row_id: str) -> None:
        counts[sort] += 1
        if sort != "same" and len(ids.setdefault(sort, [])) < _SHOWN:
            ids[sort].append(row_id)

    for row_id, new in _seen(dsn, warehouse, other):
        old = before.pop(row_id, None)
        if old is None:
            count("added", row_id)
        elif old == new:
            count("same", row_id)
        else:
            if old.content != new.content:
                count("changed", row_id)
            elif old.whole != new.whole:
                count("recertified", row_id)
            if old.split != new.split:
                count("moved", row_id)
    for row_id in before:
        count("removed", row_id)
    named = {sort: sorted(rows) for sort, rows in sorted(ids.items())}
    return SnapshotDifference(a=one.snapshot_id, b=other.snapshot_id, ids=named, **counts)


def _seen(dsn: str, warehouse: str, snapshot: Frozen) -> Iterator[tuple[str, _RowDigest]]:
    for rows in stored_rows(dsn, warehouse, snapshot):
        for row, split in rows:
            yield row.row_id, _RowDigest(split, _content(row), row_digest(row))


def _content(row: Row) -> Digest:
    return digest_json(parts_of(row))
