"""Freeze a dataset for ever, prove that it is still what it was, and write it out for a trainer."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

from regraft import __version__
from regraft.domain.datasets.formats import trl
from regraft.domain.datasets.recipe import Recipe, parse_recipe, recipe_hash
from regraft.domain.datasets.rows import Refusal, Row, content_hash, content_keys, parts_of
from regraft.domain.datasets.splits import Member, assign, leakage
from regraft.domain.errors import IllegalRowError, IntegrityError, UsageError
from regraft.domain.ids import digest
from regraft.flows.datasets.assembly import Plan, Truth, assemble, row_of, turn_truths
from regraft.infra.iceberg import snapshots
from regraft.infra.postgres.arrow import ArrowReader, reading
from regraft.infra.postgres.datasets import registry
from regraft.infra.postgres.pool import transaction

_log = logging.getLogger(__name__)

TARGETS = ("trl",)
_MANIFEST = "manifest.json"
_GENERATOR = "regraft dataset export"
_BATCH = 500  # rows compared with the truth at a time


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


@dataclass(frozen=True, slots=True)
class Verification:
    """``files`` and ``rows`` are '' when all is well, else what is not; ``changed`` names the rows that disagree with
    the truth, and how."""

    snapshot_id: str
    checked: int
    files: str
    rows: str
    changed: tuple[tuple[str, str], ...]

    @property
    def ok(self) -> bool:
        """Whether the snapshot is what it was, byte for byte and row for row."""
        return not self.files and not self.rows


@dataclass(frozen=True, slots=True)
class Exported:
    """Files that were written: name -> SHA-256, and rows by split."""

    snapshot_id: str
    target: str
    folder: Path
    files: Mapping[str, str]
    row_counts: Mapping[str, int]


def freeze(recipe_text: str, *, dsn: str, workbench: Path, warehouse: str) -> Frozen:
    """Make a recipe's rows and keep them for ever. The same recipe over the same content is the same snapshot: then
    nothing is written. The registry row comes last, so a freeze that dies before it never happened.

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
        nodes = [(row.row_id, UUID(source.node_id), source.part) for row, _ in rows for source in row.sources]
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
    with reading(dsn, "postgres/evaluation/evaluation") as truth:
        for start in range(0, len(rows), _BATCH):
            batch = [row for row, _ in rows[start : start + _BATCH]]
            truths = turn_truths(truth, [source.turn_id for row in batch for source in row.sources])
            former = _former_ids(truth, batch, truths)
            for row in batch:
                again = row_of(_plan(row), truths)
                how = _difference(row, again, former)
                if how:
                    changed.append((row.row_id, how))
    disagree = f"{len(changed)} of {len(rows)} rows disagree with the truth" if changed else ""
    return Verification(snapshot_id, len(rows), files, disagree, tuple(changed))


def _plan(row: Row) -> Plan:
    return Plan(
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


def _former_ids(truth: ArrowReader, rows: Sequence[Row], truths: Mapping[str, Truth]) -> frozenset[str]:
    """The node and session ids of stored rows that are not current but were under another projection."""
    current = {each for one in truths.values() for each in (one.node_id, one.session_id)}
    stored = {source.node_id for row in rows for source in row.sources} | {row.session_id for row in rows}
    unknown = sorted(stored - current)
    return frozenset(row["id"] for row in truth.rows("former_ids", unknown)) if unknown else frozenset()


def _difference(stored: Row, again: Row | Refusal, former: frozenset[str]) -> str:
    if isinstance(again, Refusal):
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


def export(snapshot_id: str, folder: Path, *, dsn: str, warehouse: str, target: str = "trl") -> Exported:
    """Write a snapshot's files for a target: one JSON Lines file a split, a dataset card and a manifest of digests.

    Raises UsageError when the folder holds anything but an earlier export, IntegrityError when the stored rows are not
    the ones that were frozen.
    """
    if target not in TARGETS:
        raise UsageError(f"There is no target {target!r}. It is one of: {', '.join(TARGETS)}.")
    snapshot, recipe = find_snapshot(dsn, snapshot_id)
    snapshot_id = snapshot.snapshot_id
    old = _own_files(folder)
    rows = stored_rows(dsn, warehouse, snapshot)
    if content_hash(rows).hex() != snapshot.content_hash:
        raise IntegrityError(
            f"{snapshot_id} is not what was frozen. `regraft dataset verify {snapshot_id}` says what changed."
        )
    by_split: dict[str, list[trl.Record]] = {split: [] for split in recipe.splits}
    for row, split in rows:
        record = trl.encode(row)
        if isinstance(record, Refusal):
            raise IllegalRowError(f"The row {row.row_id} cannot be written for {target}: {record.reason}.")
        by_split[split].append(record)
    contents = {f"{split}.jsonl": trl.lines(records) for split, records in by_split.items() if records}
    contents["README.md"] = _card(snapshot, recipe, target, [split for split, records in by_split.items() if records])
    digests = {name: sha256(content.encode()).hexdigest() for name, content in contents.items()}
    counts = {split: len(records) for split, records in by_split.items()}
    manifest = {
        "generator": _GENERATOR,
        "code_version": snapshot.code_version,
        "snapshot_id": snapshot.snapshot_id,
        "target": target,
        "kind": snapshot.kind,
        "content_hash": snapshot.content_hash,
        "recipe_hash": snapshot.recipe_hash,
        "rows": counts,
        "leakage": dict(snapshot.leakage),
        "sha256": digests,
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name in old:
        if name != _MANIFEST:
            (folder / name).unlink(missing_ok=True)
    # The manifest first: an export that is cut short is then known to be ours, and its digests say it is not whole.
    _write(folder / _MANIFEST, json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")
    for name, content in contents.items():
        _write(folder / name, content)
    return Exported(snapshot_id, target, folder, digests, counts)


def _write(path: Path, content: str) -> None:
    path.write_text(content, "utf-8", newline="\n")


def _own_files(folder: Path) -> list[str]:
    """The files of an earlier export in this folder. Raises UsageError when there is anything else."""
    if not folder.exists():
        return []
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder.")
    present = sorted(one.name for one in folder.iterdir())
    if not present:
        return []
    try:
        manifest = json.loads((folder / _MANIFEST).read_text("utf-8"))
        own = {_MANIFEST, *manifest["sha256"]} if manifest["generator"] == _GENERATOR else set()
    except (OSError, ValueError, KeyError, TypeError):
        own = set()
    foreign = [name for name in present if name not in own]
    if foreign:
        raise UsageError(f"{folder} holds {foreign[0]}, which no export wrote. Name an empty or a new folder.")
    return present


def _card(snapshot: Frozen, recipe: Recipe, target: str, splits: list[str]) -> str:
    files = "\n".join(f"  - split: {split}\n    path: {split}.jsonl" for split in splits)
    rows = "\n".join(f"| {split} | {count} |" for split, count in snapshot.row_counts.items())
    refused = (
        "\n".join(f"| {reason} | {count} |" for reason, count in sorted(snapshot.refused.items())) or "| none | 0 |"
    )
    leaks = snapshot.leakage
    columns = "`messages`, `tools`" if snapshot.kind == "sft" else "`prompt`, `chosen`, `rejected`, `tools`"
    return f"""---
configs:
- config_name: default
  data_files:
{files}
tags:
- {target}
- {snapshot.kind}
---
# {recipe.name}

{recipe.description or "A dataset of recorded and replayed conversations."}

Snapshot `{snapshot.snapshot_id}`, kind {snapshot.kind}, written for {target} (columns {columns}; `tools` is JSON text,
the arguments of a call are an object). Made by Regraft {snapshot.code_version} from build {snapshot.lineage_build}
of the conversation graph.

| split | rows |
|---|---|
{rows}

In more than one split: {leaks["sessions_in_two_splits"]} sessions, {leaks["contents_in_two_splits"]} contents, of
{leaks["components"]} connected components of sessions and equal contents.

| refused because | candidates |
|---|---|
{refused}

Content hash `{snapshot.content_hash}`; Iceberg table `{snapshot.iceberg_table}`, snapshot
`{snapshot.iceberg_snapshot_id}`. `regraft dataset verify {snapshot.snapshot_id}` proves it. To train from the table
itself, `load_dataset("iceberg", ...)` and map it with `regraft.domain.datasets.formats.trl.from_stored`. The recipe:

```toml
{recipe.text.strip()}
```
"""
