"""Verify a frozen dataset: its files against its content hash, and its rows against the execution log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from regraft.domain.datasets.content import compose, parts_of
from regraft.domain.datasets.kinds.kind import PlannedRow
from regraft.domain.datasets.messages import RowRefusal
from regraft.domain.datasets.rows import Row
from regraft.domain.datasets.turns import RecordedTurn
from regraft.domain.errors import IntegrityError
from regraft.flows.datasets.filters import RowFilters
from regraft.flows.datasets.freeze import StoredHash, find_snapshot, stored_rows
from regraft.flows.datasets.progress import Progress, unwatched
from regraft.flows.datasets.recorded_turns import QUERIES, TurnReader
from regraft.infra.garbage import reduced_garbage_collection
from regraft.infra.postgres.arrow import ArrowReader, reading
from regraft.infra.telemetry.emitter import emit
from regraft.infra.telemetry.facts import SnapshotVerified

_SHOWN = 100  # rows that disagree are named up to this many


@dataclass(frozen=True, slots=True)
class Verification:
    """``files`` and ``rows`` say what is wrong, or are ''. ``changed`` names rows that disagree with the log, and in
    what: at most the first hundred."""

    snapshot_id: str
    checked: int
    files: str
    rows: str
    changed: tuple[tuple[str, str], ...]

    @property
    def ok(self) -> bool:
        """Whether the snapshot is what it was, byte for byte and row for row."""
        return not self.files and not self.rows


def verify(
    snapshot_id: str, *, dsn: str, warehouse: str, workbench: Path | None = None, progress: Progress = unwatched
) -> Verification:
    """Recompute a snapshot's content hash from its stored bytes, and each of its rows from the execution log."""
    with reduced_garbage_collection():
        found = _verify(snapshot_id, dsn, warehouse, workbench, progress)
    emit(SnapshotVerified(result="held" if found.ok else "broken"))
    return found


def _verify(snapshot_id: str, dsn: str, warehouse: str, workbench: Path | None, progress: Progress) -> Verification:
    """A row is found by its turns, whose ids never change. Its nodes and its session may have other ids by now, if the
    log was derived again under another version of the projection: then the ids in the row must be ones that they had.
    Redacted rows need the key of their freeze, which lies beside the ``workbench``.
    """
    snapshot, recipe = find_snapshot(dsn, snapshot_id)
    snapshot_id = snapshot.snapshot_id
    stored = StoredHash(snapshot.hash_version)
    changed: list[tuple[str, str]] = []
    disagreeing = checked = 0
    total = sum(snapshot.row_counts.values())
    with reading(dsn, QUERIES) as log:
        reader = TurnReader(log, models=recipe.content.learn == "models")
        filters = RowFilters(recipe.filters, workbench.parent if workbench else None)
        unprovable = filters.unprovable(snapshot.report.get("filters", {}))
        try:
            batches = _with_turns(stored_rows(dsn, warehouse, snapshot), reader, log, wanted=not unprovable)
            for batch in batches:
                stored.add(batch.rows)
                turns, former = batch.turns, batch.former
                for row, _ in [] if unprovable else batch.rows:
                    again = compose(_planned(row), turns, recipe.content)
                    if isinstance(again, Row):
                        again = filters.replaced(again)
                    elif recipe.filters.redact:  # the detail may quote what is redacted
                        again = RowRefusal(again.reason)
                    if how := _difference(row, again, former):
                        disagreeing += 1
                        changed += [(row.row_id, how)] if disagreeing <= _SHOWN else []
                checked += len(batch.rows)
                progress("rows", checked, total)
        except IntegrityError as error:
            return Verification(snapshot_id, checked, str(error), "not checked: the files cannot be read", ())
    computed = stored.hex()
    files = "" if computed == snapshot.content_hash else f"content hash {computed}, recorded {snapshot.content_hash}"
    if unprovable:
        return Verification(snapshot_id, 0, files, f"not checked: {unprovable}", ())
    rows_differ = f"{disagreeing} of {checked} rows disagree with the log" if disagreeing else ""
    return Verification(snapshot_id, checked, files, rows_differ, tuple(changed))


@dataclass(frozen=True, slots=True)
class _Batch:
    """(row, split) as they are stored, with the turns of the log that they are made of, by id, and former ids."""

    rows: list[tuple[Row, str]]
    turns: Mapping[str, RecordedTurn]
    former: frozenset[str]


def _with_turns(
    stored: Iterator[list[tuple[Row, str]]], reader: TurnReader, log: ArrowReader, *, wanted: bool
) -> Iterator[_Batch]:
    """Batches of rows, with their turns if they are ``wanted``. The next one is fetched while one is compared."""

    def fetch() -> _Batch | None:
        rows = next(stored, None)
        if rows is None:
            return None
        sought = [row for row, _ in rows] if wanted else []
        turns = reader.read(source.turn_id for row in sought for source in row.sources)
        return _Batch(rows, turns, _former_ids(log, sought, turns))

    with ThreadPoolExecutor(1, "regraft-verify") as fetching:
        pending = fetching.submit(fetch)
        while (fetched := pending.result()) is not None:
            pending = fetching.submit(fetch)
            yield fetched


def _planned(row: Row) -> PlannedRow:
    return PlannedRow(
        row_id=row.row_id,
        kind=row.kind,
        turns={source.part: source.turn_id for source in row.sources},
        stratum=row.stratum,
        anchor=row.anchor,
        label=row.label,
        label_source=row.label_source,
        margin=row.margin,
        score=row.score,
        negative=row.negative,
        evidence=row.evidence,
        agreement=row.agreement,
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
    if stored == again:  # as nearly all do
        return ""
    before, after = parts_of(stored), parts_of(again)
    different = [name for name in before if before[name] != after[name]]
    ids = [(old.node_id, new.node_id) for old, new in zip(stored.sources, again.sources, strict=True)]
    if any(old != new and old not in former for old, new in ids):
        different.append("sources")
    session_differs = stored.session_id != again.session_id and stored.session_id not in former
    if session_differs or stored.tools_digest != again.tools_digest:
        different.append("certificate")
    return ", ".join(different)
