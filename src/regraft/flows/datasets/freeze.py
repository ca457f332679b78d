"""Freeze a dataset: its rows as one tagged Iceberg snapshot, and a row in the registry."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from regraft.domain.datasets.content import content_hash, first_content_hash, row_digest
from regraft.domain.datasets.recipe import Recipe, recipe_hash
from regraft.domain.datasets.rows import Row
from regraft.domain.datasets.splits import assign, leakage
from regraft.domain.errors import IllegalRowError, IntegrityError, UnavailableError, WithdrawnError
from regraft.domain.ids import digest
from regraft.flows.datasets.assembly import Assembly, assemble
from regraft.flows.datasets.progress import Progress, unwatched
from regraft.infra.files.recipes import parse_recipe
from regraft.infra.garbage import reduced_garbage_collection
from regraft.infra.iceberg import snapshots
from regraft.infra.iceberg.row_file import RowFile
from regraft.infra.iceberg.rows import from_batch
from regraft.infra.postgres.datasets import registry
from regraft.infra.postgres.pool import connect, transaction
from regraft.infra.telemetry.emitter import emit
from regraft.infra.telemetry.facts import SnapshotFrozen
from regraft.version import __version__

_log = logging.getLogger(__name__)

HASH_VERSION = 2
_BATCH = 1_000  # stored rows in memory at a time


@dataclass(frozen=True, slots=True)
class Frozen:
    """A frozen dataset. ``created`` is False when this very snapshot existed; counts are rows by split, refusals by
    reason; ``content_hash`` is hexadecimal. ``report`` holds counts by stratum and label source, and what filters
    did."""

    snapshot_id: str
    dataset: str
    kind: str
    created: bool
    row_counts: Mapping[str, int]
    refused: Mapping[str, int]
    passed_over: Mapping[str, int]
    leakage: Mapping[str, int]
    report: Mapping[str, Any]
    content_hash: str
    hash_version: int
    recipe_hash: str
    code_version: str
    lineage_build: int
    iceberg_table: str
    iceberg_snapshot_id: int
    created_at: datetime
    withdrawn_at: datetime | None


def freeze(
    recipe_text: str,
    *,
    dsn: str,
    workbench: Path,
    warehouse: str,
    scope: str | None = None,
    progress: Progress = unwatched,
) -> Frozen:
    """Make a recipe's rows and freeze them. The same recipe over the same content is the same snapshot: then nothing is
    written. The registry row is written last, so that a freeze that was killed before it leaves nothing visible.

    ``scope``: only conversations of this tenant are candidates; None: all are. Raises ConfigError for a bad recipe,
    IllegalRowError when no row is left, UnavailableError when the warehouse cannot be written, and what ``progress``
    raises.
    """
    recipe = parse_recipe(recipe_text)
    began = time.monotonic()
    with connect(dsn, autocommit=True, name="regraft-freeze") as guard, reduced_garbage_collection():
        registry.begin_freeze(guard)
        frozen = _freeze(recipe, dsn=dsn, workbench=workbench, warehouse=warehouse, scope=scope, progress=progress)
    if frozen.created:
        emit(
            SnapshotFrozen(
                kind=frozen.kind,
                rows=sum(frozen.row_counts.values()),
                refused=sum(frozen.refused.values()),
                seconds=time.monotonic() - began,
            )
        )
    return frozen


def _freeze(
    recipe: Recipe, *, dsn: str, workbench: Path, warehouse: str, scope: str | None, progress: Progress
) -> Frozen:
    with assemble(recipe, dsn, workbench, scope=scope, progress=progress) as made:
        if not made:
            raise IllegalRowError(f"The recipe {recipe.name} gives no rows: {made.reasons()}")
        progress("splits", 0, len(made))
        splits = assign(made.members, recipe.splits, links=made.links)
        proof = leakage(made.members, splits, made.links)
        if proof.total:
            raise IntegrityError(f"The splits of {recipe.name} leak: {asdict(proof)}.")
        content = content_hash(zip(made.members.row_ids, splits, made.digests, strict=True))
        meaning = recipe_hash(recipe)
        record = {
            "snapshot_id": f"{recipe.name}-{digest(meaning, content).hex()[:16]}",
            "dataset": recipe.name,
            "kind": recipe.kind,
            "recipe": recipe.text,
            "recipe_hash": meaning,
            "code_version": __version__,
            "lineage_build": made.build,
            "row_counts": {name: splits.count(name) for name in recipe.splits},
            "refused": dict(sorted((+made.counts.refused).items())),
            "passed_over": dict(sorted((+made.counts.passed_over).items())),
            "leakage": asdict(proof),
            "content_hash": content,
            "hash_version": HASH_VERSION,
            "report": {
                "strata": dict(sorted(made.strata.items())),
                "labels": dict(sorted(made.labels.items())),
                "dropped_fields": sorted(made.dropped),
                "filters": dict(made.filters),
                **({} if scope is None else {"scope": scope}),
            },
            "created_at": datetime.now(UTC),
        }
        progress("writing", 0, len(made))
        try:
            return _write(made, splits, record, dsn=dsn, warehouse=warehouse)
        except OSError as error:
            why = error.strerror or error
            raise UnavailableError(
                f"The warehouse {warehouse} cannot be written: {why}. Nothing was frozen; `regraft doctor --repair` "
                "removes what is left of it."
            ) from error


def _write(made: Assembly, splits: list[str], record: dict[str, Any], *, dsn: str, warehouse: str) -> Frozen:
    """The files, then the table's snapshot with its tag, then the registry: nothing is visible before the last step."""
    recipe, snapshot_id = made.recipe, record["snapshot_id"]
    with transaction(dsn) as connection:
        registry.lock(connection, recipe.table)
        found = registry.find(connection, snapshot_id)
        if found is not None and found["withdrawn_at"]:
            raise WithdrawnError(
                f"The same rows were frozen as {snapshot_id}, which was withdrawn: {found['withdrawn_because']}. "
                "Change the recipe."
            )
        if found is not None:
            return _frozen(found, created=False)
        with ThreadPoolExecutor(1, "regraft-nodes") as beside:  # PostgreSQL works while the files are written
            staged = beside.submit(registry.stage_nodes, connection, _row_nodes(made.rows))
            with snapshots.catalog(dsn, warehouse) as opened:
                table = snapshots.open_table(opened, recipe.table, recipe.kind)
                files = snapshots.DataFiles(table, recipe.kind)
                try:
                    files.write_all(made.rows.batches(), splits)
                    staged.result()
                    identifier, iceberg_id = snapshots.commit(table, files, snapshot_id, _properties(record))
                except BaseException:
                    files.remove()
                    raise
        record |= {"iceberg_table": identifier, "iceberg_snapshot_id": iceberg_id, "iceberg_tag": snapshot_id}
        registry.add(connection, record)
    _log.info("froze %s: %s rows into %s", snapshot_id, len(made), identifier)
    return _frozen({**record, "withdrawn_at": None}, created=True)


def _properties(record: Mapping[str, Any]) -> dict[str, str]:
    """What the Iceberg snapshot says of itself."""
    texts = ("snapshot_id", "code_version", "lineage_build", "hash_version")
    documents = ("row_counts", "refused", "passed_over", "leakage", "report")
    return {
        **{name.replace("_", "-"): str(record[name]) for name in texts},
        **{name.replace("_", "-"): json.dumps(record[name]) for name in documents},
        **{name.replace("_", "-"): record[name].hex() for name in ("recipe_hash", "content_hash")},
    }


def _row_nodes(rows: RowFile) -> Iterator[registry.RowNode]:
    for batch in rows.batches():
        columns = (batch.column(name).to_pylist() for name in ("row_id", "source_nodes", "source_parts"))
        for row_id, nodes, parts in zip(*columns, strict=True):
            for node, part in zip(nodes, parts, strict=True):
                yield registry.RowNode(row_id=row_id, node_id=UUID(node), part=part)


def _frozen(record: Mapping[str, Any], *, created: bool) -> Frozen:
    same = (
        *("snapshot_id", "dataset", "kind", "row_counts", "leakage", "code_version", "lineage_build"),
        *("passed_over", "report", "hash_version"),
    )
    last = ("iceberg_table", "iceberg_snapshot_id", "created_at", "withdrawn_at")
    return Frozen(
        **{name: record[name] for name in (*same, *last)},
        created=created,
        refused=dict(sorted(record["refused"].items())),
        content_hash=bytes(record["content_hash"]).hex(),
        recipe_hash=bytes(record["recipe_hash"]).hex(),
    )


def list_snapshots(dsn: str) -> list[Frozen]:
    """Every frozen dataset, oldest first."""
    with transaction(dsn) as connection:
        return [_frozen(record, created=False) for record in registry.snapshots(connection)]


def find_snapshot(dsn: str, snapshot_id: str) -> tuple[Frozen, Recipe]:
    """A frozen dataset and its recipe, by its id or the start of it. Raises NotFoundError, and WithdrawnError for a
    withdrawn one."""
    with transaction(dsn) as connection:
        record = registry.get(connection, snapshot_id)
    require_not_withdrawn(record)
    return _frozen(record, created=False), parse_recipe(record["recipe"])


def require_not_withdrawn(record: Mapping[str, Any]) -> None:
    """Raises WithdrawnError, with the reason, for the registry's row of a withdrawn snapshot."""
    if record["withdrawn_at"]:
        instead = f" {record['successor']} took its place." if record["successor"] else ""
        why = record["withdrawn_because"] or "no reason was given"
        raise WithdrawnError(f"{record['snapshot_id']} was withdrawn: {why}.{instead}")


def stored_rows(dsn: str, warehouse: str, snapshot: Frozen) -> Iterator[list[tuple[Row, str]]]:
    """The (row, split) of a snapshot as they are stored, in batches, in any order. Raises IntegrityError."""
    with snapshots.catalog(dsn, warehouse) as opened:
        for batch in snapshots.read(opened, snapshot.iceberg_table, snapshot.iceberg_snapshot_id):
            for start in range(0, batch.num_rows, _BATCH):
                yield from_batch(batch.slice(start, _BATCH), snapshot.kind)


class StoredHash:
    """The content hash of the rows of a snapshot as they stream past."""

    def __init__(self, version: int) -> None:
        self._entries: list[tuple[str, str, bytes]] = []
        self._rows: list[tuple[Row, str]] | None = [] if version == 1 else None

    def add(self, rows: list[tuple[Row, str]]) -> None:
        """Add some rows."""
        if self._rows is not None:
            self._rows += rows
        else:
            self._entries += ((row.row_id, split, row_digest(row)) for row, split in rows)

    def hex(self) -> str:
        """The hash of all rows, hexadecimal."""
        whole = content_hash(self._entries) if self._rows is None else first_content_hash(self._rows)
        return whole.hex()
