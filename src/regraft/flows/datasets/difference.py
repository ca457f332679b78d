"""What differs between two frozen datasets: rows added, removed, changed, moved to another split."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from regraft.domain.datasets.content import parts_of, row_digest
from regraft.domain.datasets.rows import Row
from regraft.domain.errors import UsageError
from regraft.domain.ids import digest_json
from regraft.flows.datasets.freeze import Frozen, find_snapshot, stored_rows
from regraft.flows.datasets.progress import Progress, unwatched

_SHOWN = 100  # rows of each sort that are named
_DIGEST = 16  # bytes of each digest that are compared: memory holds two of them for each row
SORTS = ("added", "removed", "changed", "recertified", "moved")


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotDifference:
    """Counts, and the ids of the first rows of each sort, from snapshot ``a`` to snapshot ``b``.

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


def difference(
    a: str, b: str, *, dsn: str, warehouse: str, shown: int = _SHOWN, progress: Progress = unwatched
) -> SnapshotDifference:
    """Compare two snapshots of one kind, row by row, by row ids; ``shown`` rows of each sort are named.

    Raises UsageError when their kinds differ.
    """
    one, _ = find_snapshot(dsn, a)
    other, _ = find_snapshot(dsn, b)
    if one.kind != other.kind:
        raise UsageError(f"{one.snapshot_id} is of kind {one.kind}, {other.snapshot_id} of kind {other.kind}.")
    total = sum(one.row_counts.values()) + sum(other.row_counts.values())
    splits = list(dict.fromkeys([*one.row_counts, *other.row_counts]))
    seen = _Seen(dsn, warehouse, splits, total, progress)
    before = dict(seen.rows(one))
    counts = dict.fromkeys(("same", *SORTS), 0)
    ids: dict[str, list[str]] = {}

    def count(sort: str, row_id: str) -> None:
        counts[sort] += 1
        if sort != "same" and len(ids.setdefault(sort, [])) < shown:
            ids[sort].append(row_id)

    for row_id, new in seen.rows(other):
        old = before.pop(row_id, None)
        if old is None:
            count("added", row_id)
        elif old == new:
            count("same", row_id)
        else:
            if old[:_DIGEST] != new[:_DIGEST]:
                count("changed", row_id)
            elif old[_DIGEST : 2 * _DIGEST] != new[_DIGEST : 2 * _DIGEST]:
                count("recertified", row_id)
            if old[2 * _DIGEST :] != new[2 * _DIGEST :]:
                count("moved", row_id)
    for row_id in before:
        count("removed", row_id)
    named = {sort: sorted(rows) for sort, rows in sorted(ids.items())}
    return SnapshotDifference(a=one.snapshot_id, b=other.snapshot_id, ids=named, **counts)


class _Seen:
    """Reads rows as what is compared of them: digests of what they say and of all that they are, and their split."""

    def __init__(self, dsn: str, warehouse: str, splits: list[str], total: int, progress: Progress) -> None:
        self._dsn, self._warehouse = dsn, warehouse
        self._places = {name: place.to_bytes(2, "big") for place, name in enumerate(splits)}
        self._done, self._total = 0, total
        self._progress = progress

    def rows(self, snapshot: Frozen) -> Iterator[tuple[str, bytes]]:
        for rows in stored_rows(self._dsn, self._warehouse, snapshot):
            self._progress("rows", self._done, self._total)
            self._done += len(rows)
            for row, split in rows:
                yield row.row_id, _content(row) + row_digest(row)[:_DIGEST] + self._places[split]


def _content(row: Row) -> bytes:
    return digest_json(parts_of(row))[:_DIGEST]
