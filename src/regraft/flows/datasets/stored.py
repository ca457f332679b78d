"""Rows of frozen datasets for readers: a page at a time, or one with everything that it says."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass
from threading import Lock
from typing import Any

import pyarrow as pa

from regraft.domain.datasets.content import all_messages
from regraft.domain.datasets.kinds import KINDS
from regraft.domain.datasets.messages import text_of
from regraft.domain.datasets.rows import Row, RowSource
from regraft.domain.datasets.training_mask import effect
from regraft.domain.errors import NotFoundError
from regraft.flows.datasets.freeze import require_not_withdrawn
from regraft.infra.iceberg import snapshots
from regraft.infra.iceberg.row_search import matching
from regraft.infra.iceberg.rows import from_batch
from regraft.infra.iceberg.stored_files import StoredFiles

Record = dict[str, Any]

_KEPT = 16  # snapshots whose files are known without a look at the catalog
_SHOWN = 240  # characters of the texts of a summary
LOOKED_AT = 20_000  # rows that one page looks at, at most


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFilter:
    """Which rows are wanted; None: any. ``text`` is in a message, in a call, or is the start of the row's id or of the
    id of one of its nodes or of its session."""

    split: str | None = None
    stratum: str | None = None
    label: str | None = None
    label_source: str | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RowSummary:
    """A row in short. ``asked`` and ``answer`` are cut; ``learned`` counts the messages that a trainer learns from."""

    place: int
    row_id: str
    split: str
    session_id: str
    label: str | None
    label_source: str
    stratum: str
    negative: str
    score: float
    margin: float
    agreement: float | None
    messages: int
    learned: int
    calls: int
    asked: str
    answer: str
    sources: tuple[RowSource, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RowPage:
    """Some rows. ``next`` is the place that the following page starts at, None at the end: a page may be short, or
    empty, when few of the rows that it looked at (``looked_at`` of ``of``) are wanted."""

    rows: tuple[RowSummary, ...]
    next: int | None
    looked_at: int
    of: int


class StoredSnapshots:
    """Reads rows of snapshots. Which files are a snapshot's never changes, so they are listed once."""

    def __init__(self, dsn: str, warehouse: str) -> None:
        self._dsn = dsn
        self._warehouse = warehouse
        self._files: OrderedDict[str, StoredFiles] = OrderedDict()
        self._lock = Lock()

    def page(self, record: Record, start: int, limit: int, wanted: RowFilter) -> RowPage:
        """Rows of a snapshot from a place on. ``record`` is its row of the registry."""
        files, kind = self._of(record), str(record["kind"])
        rows: list[RowSummary] = []
        place = start
        for first, batch in files.scan(start, wanted.split):
            begin = max(start, first)
            batch = batch.slice(begin - first)
            hits = matching(batch, kind, wanted.stratum, wanted.label, wanted.label_source, wanted.text)
            for hit in hits:
                if len(rows) == limit:
                    return RowPage(rows=tuple(rows), next=begin + hit, looked_at=begin + hit - start, of=files.rows)
                ((row, split),) = from_batch(batch.slice(hit, 1), kind)
                rows.append(summary(begin + hit, row, split))
            place = begin + batch.num_rows
            if place - start >= LOOKED_AT and place < files.rows:
                return RowPage(rows=tuple(rows), next=place, looked_at=place - start, of=files.rows)
        return RowPage(rows=tuple(rows), next=None, looked_at=max(place - start, 0), of=files.rows)

    def rows(self, record: Record, row_ids: Collection[str]) -> dict[str, tuple[Row, str]]:
        """Rows of a snapshot with their splits, by their ids; ids that it does not have are left out."""
        files, kind = self._of(record), str(record["kind"])
        found = {}
        for row_id, place in files.places(row_ids).items():
            batch: pa.RecordBatch = files.at(place)
            (found[row_id],) = from_batch(batch, kind)
        return found

    def row(self, record: Record, row_id: str) -> tuple[Row, str]:
        """One row of a snapshot with its split. Raises NotFoundError."""
        found = self.rows(record, [row_id]).get(row_id)
        if found is None:
            raise NotFoundError(f"{record['snapshot_id']} has no row {row_id[:80]}.")
        return found

    def forget(self, snapshot_id: str) -> None:
        """The files of a snapshot may be gone."""
        with self._lock:
            self._files.pop(snapshot_id, None)

    def _of(self, record: Record) -> StoredFiles:
        snapshot_id = str(record["snapshot_id"])
        with self._lock:
            if snapshot_id in self._files:
                self._files.move_to_end(snapshot_id)
                return self._files[snapshot_id]
        with snapshots.catalog(self._dsn, self._warehouse) as opened:
            found = StoredFiles.of(opened, str(record["iceberg_table"]), int(record["iceberg_snapshot_id"]))
        with self._lock:
            self._files[snapshot_id] = found
            while len(self._files) > _KEPT:
                self._files.popitem(last=False)
        return found


def usable(record: Record) -> Record:
    """The registry's row of a snapshot. Raises WithdrawnError for a withdrawn one."""
    require_not_withdrawn(record)
    return record


def summary(place: int, row: Row, split: str) -> RowSummary:
    """A row in short."""
    messages = all_messages(row)
    asked = next((text_of(one) for one in messages if one["role"] == "user"), "")
    parts = [(part, one) for part in KINDS[row.kind].columns for one in getattr(row, part)]
    answers = [one for part, one in parts if part != "rejected" and one["role"] == "assistant"]
    answer = text_of(answers[-1]) if answers else ""
    if answers and not answer:
        answer = ", ".join(call["function"]["name"] for call in answers[-1]["tool_calls"])
    return RowSummary(
        place=place,
        row_id=row.row_id,
        split=split,
        session_id=row.session_id,
        label=row.label,
        label_source=row.label_source,
        stratum=row.stratum,
        negative=row.negative,
        score=row.score,
        margin=row.margin,
        agreement=row.agreement,
        messages=len(messages),
        learned=sum(effect(row, part, one) == "learn" for part, one in parts),
        calls=sum(len(one["tool_calls"]) for one in messages),
        asked=_short(asked),
        answer=_short(answer),
        sources=row.sources,
    )


def _short(text: str) -> str:
    return " ".join(text[: 4 * _SHOWN].split())[:_SHOWN]
