"""Erase the content of a session, a node or a tenant's calls, or every message that contains a text, from all stores.

An erasure is a journal of steps in PostgreSQL. Each is done again if the process was killed in it, and skipped once it
is finished: ``resume`` continues where a killed one ended. PostgreSQL comes early, in one transaction; derived data is
then rebuilt without the erased content; what only holds bytes of it is rewritten last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg

from regraft.domain.datasets.erasure import KINDS, TextFinder
from regraft.domain.errors import IntegrityError, NotFoundError, RegraftError, UnavailableError, UsageError
from regraft.flows.datasets.erase_transit import forget_delivered, store_waiting_calls
from regraft.flows.datasets.erase_truth import erase_truth
from regraft.flows.datasets.erase_workbench import rebuild_workbench, remove_drafts
from regraft.flows.datasets.export_archive import remove_archives
from regraft.flows.datasets.freeze import freeze
from regraft.flows.datasets.frozen_messages import rows_that_hold, stored_records, write_forget_set
from regraft.flows.datasets.withdraw import remove_files
from regraft.flows.lineage import reading
from regraft.flows.lineage.build import build
from regraft.infra.files.service_logs import empty_logs
from regraft.infra.postgres import compaction, dagster_storage
from regraft.infra.postgres.datasets import erasure as store
from regraft.infra.postgres.pool import Connection, connect, transaction

Progress = Callable[[str], None]
_LOCK = 7_267_426_621
_TRIES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasureStores:
    """Where content may be. ``nats_url`` is None where there was never a stream, ``dagster_dsn`` where Dagster's
    storage is not ours."""

    dsn: str
    workbench: Path
    warehouse: str
    spool: Path
    data_dir: Path
    nats_url: str | None = None
    dagster_dsn: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What was found where and erased, and what could not be. ``snapshots``: withdrawn ones, with their successors.

    ``target`` of a text is not kept. ``remaining`` are steps that were not finished.
    """

    erasure_id: UUID
    kind: str
    target: str | None
    found: Mapping[str, Any]
    left_over: Mapping[str, str]
    snapshots: tuple[Mapping[str, Any], ...]
    remaining: tuple[str, ...]
    started_at: datetime
    finished_at: datetime | None
    dry_run: bool = False


@dataclass(slots=True)
class _Erasure:
    """One erasure in progress. A step notes what it ``found`` and what was ``left_over``."""

    places: ErasureStores
    erasure_id: UUID
    kind: str
    target: str | None
    forget: str | None
    found: dict[str, Any] = field(default_factory=dict)
    left_over: dict[str, str] = field(default_factory=dict)

    @property
    def holds(self) -> TextFinder | None:
        """Finds the text that is erased, where a text is."""
        return TextFinder(self.target) if self.kind == "matching" and self.target else None


def erase(
    kind: str,
    target: str,
    places: ErasureStores,
    *,
    dry_run: bool = False,
    forget: Path | None = None,
    progress: Progress | None = None,
) -> Certificate:
    """Erase, and return the certificate. ``forget``: a folder for the rows that were frozen of it, as forget.jsonl, and
    others of the same snapshots, as retain.jsonl, written before they go.

    A session is named by its id or name, a node by its id or the start of it.

    ``dry_run`` says what would be found in PostgreSQL and in frozen datasets, and changes nothing. Raises NotFoundError
    when nothing is found of a session, a node or a tenant, UsageError while an earlier erasure is not finished, and
    UnavailableError when a store cannot be reached: what had begun to change is finished by ``resume``.
    """
    if kind not in KINDS:
        raise UsageError(f"Erase a session, a node, a scope or a text, not a {kind}.")
    if kind == "matching":
        TextFinder(target)
    else:
        target = _whole_id(kind, target, places.dsn)
    if dry_run:
        return _dry_run(kind, target, places)
    with _alone(places.dsn) as connection:
        if waiting := store.unfinished(connection):
            raise UsageError(
                f"The erasure {waiting[0]['erasure_id']} is not finished: `regraft erase --resume` finishes it."
            )
        erasure_id = uuid4()
        folder = str(forget.resolve()) if forget else None
        store.begin(connection, erasure_id, kind, target, folder, datetime.now(UTC))
        try:
            return _finish(connection, erasure_id, places, progress)
        except Exception:
            store.run(connection, "abandon", erasure_id=erasure_id)  # only where nothing was changed yet
            raise


def resume(places: ErasureStores, progress: Progress | None = None) -> list[Certificate]:
    """Finish erasures that were killed or failed; their certificates."""
    with _alone(places.dsn) as connection:
        done = []
        for row in store.unfinished(connection):
            try:
                done.append(_finish(connection, row["erasure_id"], places, progress))
            except NotFoundError:
                store.run(connection, "abandon", erasure_id=row["erasure_id"])
        return done


def certificates(dsn: str) -> list[Certificate]:
    """All erasures, the latest first."""
    with transaction(dsn) as connection:
        return [_certificate(row) for row in store.rows(connection, "erasures")]


def _whole_id(kind: str, target: str, dsn: str) -> str:
    """A session by its id or name, a node by its id or the start of it."""
    if kind == "scope":
        return target
    return str(reading.session_id(dsn, target) if kind == "session" else reading.node_id(dsn, target))


@contextmanager
def _alone(dsn: str) -> Iterator[Connection]:
    """The connection of the journal, on which each statement is a transaction. One erasure at a time: the lock goes
    with the process."""
    with connect(dsn, autocommit=True, name="regraft-erase") as connection:
        row = connection.execute("SELECT pg_try_advisory_lock(%(lock)s) AS mine", {"lock": _LOCK}).fetchone()
        if not row or not row["mine"]:
            raise UnavailableError("Another erasure is running. Try again when it has ended.")
        yield connection


def _dry_run(kind: str, target: str, places: ErasureStores) -> Certificate:
    now, erasure_id = datetime.now(UTC), uuid4()
    work = _Erasure(places, erasure_id, kind, target, None)
    held = _held_rows(work)
    with transaction(places.dsn, name="regraft-erase") as connection:
        store.begin(connection, erasure_id, kind, target, None, now)
        reached = erase_truth(connection, erasure_id, kind, target, now, held)
        connection.rollback()
    return Certificate(
        erasure_id=erasure_id,
        kind=kind,
        target=target if kind != "matching" else None,
        found=dict(reached.found),
        left_over={**reached.left_over, **work.left_over},
        snapshots=tuple({"snapshot_id": one["snapshot_id"], "rows": len(one["rows"])} for one in reached.snapshots),
        remaining=(),
        started_at=now,
        finished_at=None,
        dry_run=True,
    )


def _finish(connection: Connection, erasure_id: UUID, places: ErasureStores, progress: Progress | None) -> Certificate:
    row = store.journal(connection, erasure_id)
    assert row is not None
    work = _Erasure(places, erasure_id, row["kind"], row["target"], row["forget"])
    for name, step in _STEPS:
        if name in row["done"]:
            continue
        if progress:
            progress(name)
        work.found, work.left_over = {}, {}
        if name == "truth":
            _in_one_piece(work)
            continue
        step(work)
        store.finish_step(connection, erasure_id, name, work.found, work.left_over)
    store.run(connection, "end", erasure_id=erasure_id, now=datetime.now(UTC))
    row = store.journal(connection, erasure_id)
    assert row is not None
    return _certificate(row)


def _certificate(row: Mapping[str, Any]) -> Certificate:
    return Certificate(
        erasure_id=row["erasure_id"],
        kind=row["kind"],
        target=row["target"] if row["kind"] != "matching" else None,
        found=row["found"],
        left_over=row["left_over"],
        snapshots=tuple(row["snapshots"]),
        remaining=tuple(name for name, _ in _STEPS if name not in row["done"]) if row["finished_at"] is None else (),
        started_at=row["started_at"],
        finished_at=row["finished_at"],
    )


def _arrivals(work: _Erasure) -> None:
    """What is on its way is stored first, and placed."""
    if work.places.nats_url:
        work.found["packs on their way"] = store_waiting_calls(work.places.dsn, work.places.spool, work.places.nats_url)
    build(work.places.dsn)


def _forget_set(work: _Erasure) -> None:
    """The rows that models were trained on, while they can still be read."""
    if not work.forget:
        return
    assert work.target is not None
    held = _held_rows(work)
    with transaction(work.places.dsn, name="regraft-erase") as connection:
        reached = erase_truth(connection, work.erasure_id, work.kind, work.target, datetime.now(UTC), held)
        connection.rollback()
    by_id = {one["snapshot_id"]: one for one in reached.snapshots}

    def records(snapshot: str) -> Iterator[dict[str, Any]]:
        one = by_id[snapshot]
        places = work.places
        return stored_records(places.dsn, places.warehouse, one["iceberg_table"], one["iceberg_snapshot_id"])

    counts = write_forget_set(Path(work.forget), {name: set(one["rows"]) for name, one in by_id.items()}, records)
    work.found["forget set"] = counts["forget"]
    work.found["retain set"] = counts["retain"]


def _held_rows(work: _Erasure) -> dict[str, list[str]]:
    """The rows of frozen datasets that hold the text, by snapshot."""
    holds = work.holds
    if holds is None:
        return {}
    with transaction(work.places.dsn) as connection:
        left = store.rows(connection, "snapshots_left")
    found = {}
    for row in left:
        records = stored_records(
            work.places.dsn, work.places.warehouse, row["iceberg_table"], row["iceberg_snapshot_id"]
        )
        try:
            ids = rows_that_hold(records, holds)
        except IntegrityError as error:
            work.left_over[f"snapshot {row['snapshot_id']}"] = f"it cannot be read: {error}"
            continue
        if ids:
            found[row["snapshot_id"]] = ids
    return found


def _in_one_piece(work: _Erasure) -> None:
    """Writers that hold some of the locks while they wait for others are let go first."""
    for _ in range(_TRIES - 1):
        try:
            _truth(work)
        except psycopg.errors.DeadlockDetected:
            continue
        return
    _truth(work)


def _truth(work: _Erasure) -> None:
    """Everything in PostgreSQL, and the step's end, in one transaction."""
    assert work.target is not None
    now = datetime.now(UTC)
    with transaction(work.places.dsn, name="regraft-erase") as connection:
        store.run(connection, "wait_for_freezes")
        remove_drafts(work.places.workbench.parent)
        held = _held_rows(work)
        reached = erase_truth(connection, work.erasure_id, work.kind, work.target, now, held)
        noted = []
        for one in reached.snapshots:
            reason = f"content was erased on {now:%Y-%m-%d} (erasure {work.erasure_id})"
            store.run(connection, "withdraw", snapshot_id=one["snapshot_id"], reason=reason, now=now)
            store.run(connection, "forget_report", snapshot_id=one["snapshot_id"])
            noted.append({"snapshot_id": one["snapshot_id"], "rows": len(one["rows"])})
        store.note_snapshots(connection, work.erasure_id, noted)
        left = {**reached.left_over, **work.left_over}
        store.finish_step(connection, work.erasure_id, "truth", dict(reached.found), left)


def _transit(work: _Erasure) -> None:
    """Bytes of delivered calls in the spool and the stream."""
    blanked, clean = forget_delivered(work.places.spool, work.places.nats_url)
    work.found["bytes of the spool"] = blanked
    if not clean:
        raise UnavailableError(
            "Calls keep arriving, so the stream cannot drop old ones. Resume when there is less traffic."
        )


def _workbench(work: _Erasure) -> None:
    work.found["vectors kept"] = rebuild_workbench(work.places.dsn, work.places.workbench)


def _snapshots(work: _Erasure) -> None:
    """Freeze the recipes of withdrawn snapshots again, without what was erased."""
    places = work.places
    with transaction(places.dsn) as connection:
        row = store.journal(connection, work.erasure_id)
        assert row is not None
        noted: list[dict[str, Any]] = list(row["snapshots"])
        ids = [one["snapshot_id"] for one in noted]
        recipes = {
            each["snapshot_id"]: (each["recipe"], each["scope"])  # what was frozen for a tenant stays the tenant's
            for each in store.rows(connection, "recipes_of", ids=ids)
        }
    made: dict[tuple[str, str | None], tuple[str | None, str]] = {}
    for one in noted:
        recipe, scope = wanted = recipes[one["snapshot_id"]]
        if wanted not in made:
            try:
                frozen = freeze(
                    recipe, dsn=places.dsn, workbench=places.workbench, warehouse=places.warehouse, scope=scope
                )
                made[wanted] = frozen.snapshot_id, ""
            except UnavailableError:
                raise
            except RegraftError as error:
                made[wanted] = None, str(error)
        one["successor"], why = made[wanted]
        if why:
            one["why_none"] = why
    with transaction(places.dsn) as connection:
        for one in noted:
            store.run(connection, "succeed", snapshot_id=one["snapshot_id"], successor=one["successor"])
        store.note_snapshots(connection, work.erasure_id, noted)


def _files(work: _Erasure) -> None:
    with transaction(work.places.dsn) as connection:
        row = store.journal(connection, work.erasure_id)
    ids = [one["snapshot_id"] for one in row["snapshots"]] if row else []
    work.found["files of snapshots"] = remove_files(ids, dsn=work.places.dsn, warehouse=work.places.warehouse)
    work.found["exports to fetch"] = remove_archives(work.places.workbench.parent)


def _dagster(work: _Erasure) -> None:
    if work.places.dagster_dsn is None:
        work.left_over["dagster"] = "its storage is your own: no content is written there but in messages of errors"
        return
    work.found["rows of dagster"] = dagster_storage.erase(work.places.dagster_dsn, work.holds)


def _logs(work: _Erasure) -> None:
    work.found["logs"] = empty_logs(work.places.data_dir, work.holds)


def _compaction(work: _Erasure) -> None:
    """From here on the text is not stored anywhere. What is left are bytes of deleted rows."""
    with transaction(work.places.dsn) as connection:
        store.run(connection, "forget_target", erasure_id=work.erasure_id)
    work.left_over.update(compaction.rewrite_tables(work.places.dsn))
    if work.places.dagster_dsn is not None:
        left = compaction.rewrite_tables(work.places.dagster_dsn)
        work.left_over.update({f"dagster: {name}": why for name, why in left.items()})
    work.left_over.update(compaction.drop_old_wal(work.places.dsn))
    if "dead rows" in work.left_over:
        raise UnavailableError(
            "Dead rows are still kept for a transaction that began before the erasure: end it, then resume."
        )


_STEPS: tuple[tuple[str, Callable[[_Erasure], None]], ...] = (
    ("arrivals", _arrivals),
    ("forget set", _forget_set),
    ("truth", _truth),
    ("transit", _transit),
    ("workbench", _workbench),
    ("snapshots", _snapshots),
    ("files", _files),
    ("dagster", _dagster),
    ("logs", _logs),
    ("compaction", _compaction),
)
