"""Freeze a dataset: its rows as one tagged Iceberg snapshot, and a row in the registry."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from regraft import __version__
from regraft.domain.datasets.content import content_hash, content_keys
from regraft.domain.datasets.recipe import Recipe, parse_recipe, recipe_hash
from regraft.domain.datasets.rows import Row
from regraft.domain.datasets.splits import Member, assign, leakage
from regraft.domain.errors import IllegalRowError, IntegrityError
from regraft.domain.ids import digest
from regraft.flows.datasets.assembly import assemble
from regraft.infra.iceberg import snapshots
from regraft.infra.postgres.datasets import registry
from regraft.infra.postgres.pool import transaction

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Frozen:
    """A frozen dataset. ``created`` is False when this very snapshot existed; counts are rows by split, refusals by
    reason; ``content_hash`` is hexadecimal."""

    snapshot_id: str
    dataset: str
    kind: str
    created: bool
    row_counts: Mapping[str, int]
    refused: Mapping[str, int]
    leakage: Mapping[str, int]
    content_hash: str
    recipe_hash: str
    code_version: str
    lineage_build: int
    iceberg_table: str
    iceberg_snapshot_id: int
    created_at: datetime
    withdrawn_at: datetime | None


def freeze(recipe_text: str, *, dsn: str, workbench: Path, warehouse: str) -> Frozen:
    """Make a recipe's rows and freeze them. The same recipe over the same content is the same snapshot: then nothing is
    written. The registry row is written last, so that a freeze that was killed before it leaves nothing visible.

    Raises ConfigError for a bad recipe, IllegalRowError when no row is left.
    """
    recipe = parse_recipe(recipe_text)
    made = assemble(recipe, dsn, workbench)
    if not made.rows:
        counts = {**made.refused, **made.passed_over}
        why = ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items())) or "nothing was found"
        raise IllegalRowError(f"The recipe {recipe.name} gives no rows: {why}.")
    members = [Member(row.row_id, row.session_id, content_keys(row)) for row in made.rows]
    splits = assign(members, recipe.splits)
    proof = leakage(members, splits)
    if proof.total:
        raise IntegrityError(f"The splits of {recipe.name} leak: {asdict(proof)}.")
    rows = [(row, splits[row.row_id]) for row in made.rows]
    content, meaning = content_hash(rows), recipe_hash(recipe)
    snapshot_id = f"{recipe.name}-{digest(meaning, content).hex()[:16]}"
    counts = Counter(splits.values())
    row_counts = {name: counts[name] for name in recipe.splits}
    with transaction(dsn) as connection:
        registry.lock(connection, recipe.table)
        found = registry.find(connection, snapshot_id)
        if found is not None:
            return _frozen(found, created=False)
        properties = {
            "snapshot-id": snapshot_id,
            "recipe-hash": meaning.hex(),
            "content-hash": content.hex(),
            "code-version": __version__,
            "lineage-build": str(made.build),
            "row-counts": json.dumps(row_counts),
            "refused": json.dumps(made.refused),
            "passed-over": json.dumps(made.passed_over),
            "dropped-fields": json.dumps(made.dropped),
            "leakage": json.dumps(asdict(proof)),
        }
        with snapshots.catalog(dsn, warehouse) as opened:
            table, iceberg_id = snapshots.write(
                opened, recipe.table, recipe.kind, snapshots.to_arrow(rows, recipe.kind), snapshot_id, properties
            )
        record = {
            "snapshot_id": snapshot_id,
            "dataset": recipe.name,
            "kind": recipe.kind,
            "recipe": recipe.text,
            "recipe_hash": meaning,
            "code_version": __version__,
            "lineage_build": made.build,
            "iceberg_table": table,
            "iceberg_snapshot_id": iceberg_id,
            "iceberg_tag": snapshot_id,
            "row_counts": row_counts,
            "refused": dict(made.refused),
            "leakage": asdict(proof),
            "content_hash": content,
            "created_at": datetime.now(UTC),
        }
        nodes = [
            registry.RowNode(row_id=row.row_id, node_id=UUID(source.node_id), part=source.part)
            for row, _ in rows
            for source in row.sources
        ]
        registry.add(connection, record, nodes)
        frozen = _frozen({**record, "withdrawn_at": None}, created=True)
    _log.info("froze %s: %s rows into %s", snapshot_id, len(rows), table)
    return frozen


def _frozen(record: Mapping[str, Any], *, created: bool) -> Frozen:
    same = ("snapshot_id", "dataset", "kind", "row_counts", "leakage", "code_version", "lineage_build")
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
    """A frozen dataset and its recipe, by its id or the start of it. Raises NotFoundError."""
    with transaction(dsn) as connection:
        record = registry.get(connection, snapshot_id)
    return _frozen(record, created=False), parse_recipe(record["recipe"])


def stored_rows(dsn: str, warehouse: str, snapshot: Frozen) -> list[tuple[Row, str]]:
    """The (row, split) of a snapshot as they are stored, by row id. Raises IntegrityError."""
    with snapshots.catalog(dsn, warehouse) as opened:
        table = snapshots.read(opened, snapshot.iceberg_table, snapshot.iceberg_snapshot_id)
    return snapshots.from_arrow(table, snapshot.kind)
