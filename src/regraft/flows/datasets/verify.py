"""Verify a frozen dataset: its files against its content hash, and its rows against the execution log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from regraft.domain.datasets.content import compose, content_hash, parts_of
from regraft.domain.datasets.kinds.kind import PlannedRow, RecordedTurn
from regraft.domain.datasets.rows import Row, RowRefusal
from regraft.domain.errors import IntegrityError
from regraft.flows.datasets.freeze import find_snapshot, stored_rows
from regraft.flows.datasets.recorded_turns import recorded_turns
from regraft.infra.postgres.arrow import ArrowReader, reading

_BATCH = 500  # rows compared with the log at a time


@dataclass(frozen=True, slots=True)
class Verification:
    """``files`` and ``rows`` say what is wrong, or are ''. ``changed`` names the rows that disagree with the log, and
    in what."""

    snapshot_id: str
    checked: int
    files: str
    rows: str
    changed: tuple[tuple[str, str], ...]

    @property
    def ok(self) -> bool:
        """Whether the snapshot is what it was, byte for byte and row for row."""
        return not self.files and not self.rows


def verify(snapshot_id: str, *, dsn: str, warehouse: str) -> Verification:
    """Recompute a snapshot's content hash from its stored bytes, and each of its rows from the execution log.

    A row is found by its turns, whose ids never change. Its nodes and its session may have other ids by now, if the log
    was derived again under another version of the projection: then the ids in the row must be ones that they had.
    """
    snapshot, _ = find_snapshot(dsn, snapshot_id)
    snapshot_id = snapshot.snapshot_id
    try:
        rows = stored_rows(dsn, warehouse, snapshot)
    except IntegrityError as error:
        return Verification(snapshot_id, 0, str(error), "not checked: the files cannot be read", ())
    computed = content_hash(rows).hex()
    files = "" if computed == snapshot.content_hash else f"content hash {computed}, recorded {snapshot.content_hash}"
    changed = []
    with reading(dsn, "postgres/evaluation/evaluation") as reader:
        for start in range(0, len(rows), _BATCH):
            batch = [row for row, _ in rows[start : start + _BATCH]]
            turns = recorded_turns(reader, [source.turn_id for row in batch for source in row.sources])
            former = _former_ids(reader, batch, turns)
            for row in batch:
                again = compose(_planned(row), turns)
                how = _difference(row, again, former)
                if how:
                    changed.append((row.row_id, how))
    disagree = f"{len(changed)} of {len(rows)} rows disagree with the truth" if changed else ""
    return Verification(snapshot_id, len(rows), files, disagree, tuple(changed))


def _planned(row: Row) -> PlannedRow:
    return PlannedRow(
        row_id=row.row_id,
        kind=row.kind,
        turns={source.part: source.turn_id for source in row.sources},
        theme="",
        anchor=row.anchor,
        label_source=row.label_source,
        margin=row.margin,
        score=row.score,
        rank=0.0,
    )


def _former_ids(reader: ArrowReader, rows: Sequence[Row], turns: Mapping[str, RecordedTurn]) -> frozenset[str]:
    """The node and session ids of stored rows that are not current but were under another projection."""
    current = {each for one in turns.values() for each in (one.node_id, one.session_id)}
    stored = {source.node_id for row in rows for source in row.sources} | {row.session_id for row in rows}
    unknown = sorted(stored - current)
    return frozenset(row["id"] for row in reader.rows("former_ids", unknown)) if unknown else frozenset()


def _difference(stored: Row, again: Row | RowRefusal, former: frozenset[str]) -> str:
    if isinstance(again, RowRefusal):
        return f"{again.reason}: {again.detail}".rstrip(": ")
    before, after = parts_of(stored), parts_of(again)
    different = [name for name in before if before[name] != after[name]]
    ids = [(old.node_id, new.node_id) for old, new in zip(stored.sources, again.sources, strict=True)]
    if any(old != new and old not in former for old, new in ids):
        different.append("sources")
    session_differs = stored.session_id != again.session_id and stored.session_id not in former
    if session_differs or stored.tools_digest != again.tools_digest:
        different.append("certificate")
    return ", ".join(different)
