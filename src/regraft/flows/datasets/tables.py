"""Frozen datasets as Arrow: the registry, the rows of a snapshot as they are stored, and as a trainer's records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import pyarrow as pa

from regraft.domain.datasets.formats import format_named
from regraft.domain.datasets.formats.features import Feature
from regraft.domain.datasets.formats.format import write_row
from regraft.domain.datasets.formats.json_text import line as json_line
from regraft.domain.datasets.messages import RowRefusal
from regraft.domain.datasets.recipe import Recipe
from regraft.domain.errors import IntegrityError, UsageError
from regraft.domain.ids import Number, parse_json
from regraft.flows.columns import COUNTS, TEXT, TIME, as_columns, batches_of, column
from regraft.flows.datasets import registry
from regraft.flows.datasets.freeze import Frozen, StoredHash, find_snapshot, stored_rows
from regraft.infra.iceberg import rows as stored
from regraft.infra.iceberg import snapshots as iceberg

_INT = pa.int64()
_RECORDS = 1_000  # records of a target in one batch

SNAPSHOTS = pa.schema(
    [
        column("snapshot_id", TEXT, "its id"),
        column("dataset", TEXT, "the name in the recipe"),
        column("kind", TEXT, "sft, dpo, reward, suppression or unlearning"),
        column("rows", _INT, "rows of all splits"),
        column("row_counts", COUNTS, "rows by split"),
        column("refused", COUNTS, "candidates that became no row, by reason"),
        column("passed_over", COUNTS, "candidates that the recipe did not ask for, by reason"),
        column("leakage", COUNTS, "components, and what they have in two splits: 0"),
        column("recipe", TEXT, "the text of the recipe"),
        column("recipe_hash", TEXT, "digest of what the recipe means, hexadecimal"),
        column("content_hash", TEXT, "digest of all rows with their splits, hexadecimal"),
        column("code_version", TEXT, "the version of Regraft that froze it"),
        column("lineage_build", _INT, "the build of the graph that it was made from"),
        column("iceberg_table", TEXT, "its Iceberg table"),
        column("iceberg_snapshot_id", _INT, "the snapshot of that table"),
        column("created_at", TIME, "when it was frozen"),
        column("withdrawn_at", TIME, "when it was withdrawn; null: it was not"),
        column("withdrawn_because", TEXT, "why"),
        column("successor", TEXT, "the snapshot that took its place; null: none"),
    ]
)

_ABOUT_ROWS = {
    "row_id": "its id: a path's or a pair's",
    "split": "the split",
    "messages": "the conversation",
    "prompt": "what comes before the sides",
    "completion": "the answer, or what follows the prompt",
    "chosen": "the side that is preferred",
    "rejected": "the other side",
    "alternate": "what to say instead",
    "tools": "the tool list as JSON; null: none",
    "session_id": "the session",
    "source_parts": "names of the parts that come from a node each",
    "source_nodes": "their nodes",
    "source_turns": "their runs",
    "anchor": "the turn under which both sides are compared; null: one side",
    "label_source": "who decided",
    "margin": "how clear it is, 0 to 1",
    "score": "the weighted score, 0 to 1",
    "tools_digest": "digest of the tool list; null: none",
    "label": "`true` or `false` (suppression), `forget` or `retain` (unlearning); null: no label",
    "stratum": "the stratum that it competed in",
    "negative": "the type of a negative; '': none",
    "evidence": "what shows it",
    "agreement": "agreement with people of the model that decided, 0 to 1; null: no model did",
    "notes": "what was done to the recorded messages",
}


def snapshots(dsn: str) -> Iterator[pa.RecordBatch]:
    """The registry in the columns of ``SNAPSHOTS``, the oldest first; withdrawn snapshots are in it."""
    found = registry.snapshots(dsn)
    return batches_of(({**row, "rows": sum(row["row_counts"].values())} for row in found), SNAPSHOTS)


def row_columns(kind: str) -> pa.Schema:
    """The columns of the rows of a kind of dataset. A list of messages is a list of structs; the arguments of a call
    are JSON text."""
    return pa.schema([column(field.name, field.type, _ABOUT_ROWS[field.name]) for field in stored.schema(kind)])


def rows(dsn: str, warehouse: str, snapshot: Frozen, split: str | None = None) -> Iterator[pa.RecordBatch]:
    """The rows of a snapshot as they are stored, in no order; of a split only its files are read.

    Raises UsageError for a split that the snapshot does not have, WithdrawnError when it was withdrawn meanwhile,
    IntegrityError when files cannot be read.
    """
    require_split(snapshot, split)
    require_current(dsn, snapshot)
    schema = row_columns(snapshot.kind)
    with iceberg.catalog(dsn, warehouse) as opened:
        for batch in iceberg.read(opened, snapshot.iceberg_table, snapshot.iceberg_snapshot_id, split):
            yield from as_columns(pa.Table.from_batches([batch]), schema).combine_chunks().to_batches()


def target_columns(snapshot: Frozen, recipe: Recipe, target: str) -> pa.Schema:
    """The keys of a target's records as Arrow columns: what may have any shape, such as a message, is of the canonical
    type ``arrow.json``. Raises UsageError for an unknown target, or one that has no form for the kind."""
    form = format_named(target)
    if snapshot.kind not in form.kinds:
        able = ", ".join(sorted(form.kinds))
        raise UsageError(f"{target} has no form for kind {snapshot.kind}. It takes: {able}.")
    features = form.features(snapshot.kind, last_only=recipe.content.learn == "last")
    return pa.schema([pa.field(name, _arrow(feature)) for name, feature in features.items()])


def _arrow(feature: Feature) -> pa.DataType:
    if isinstance(feature, str):
        plain = {"string": TEXT, "bool": pa.bool_(), "json": pa.json_(TEXT)}
        return plain.get(feature) or pa.type_for_alias(feature)
    if isinstance(feature, Mapping):
        return pa.struct([(name, _arrow(one)) for name, one in feature.items()])
    return pa.list_(_arrow(feature[0]))


def target_lines(
    dsn: str, warehouse: str, snapshot: Frozen, target: str, split: str | None, left_out: Counter[str]
) -> Iterator[str]:
    """The records of a target, each a line of JSON that is proven to be read as its branch said.

    ``left_out`` counts rows without one, by reason, of this split.
    Every stored row passes by, whatever the split: IntegrityError is raised at the end when they are not what was
    frozen; WithdrawnError at the start when the snapshot was withdrawn meanwhile.
    """
    require_split(snapshot, split)
    require_current(dsn, snapshot)
    form = format_named(target)
    seen = StoredHash(snapshot.hash_version)
    for batch in stored_rows(dsn, warehouse, snapshot):
        seen.add(batch)
        for row, place in batch:
            if split not in (None, place):
                continue
            line = write_row(form, row)
            if isinstance(line, RowRefusal):
                left_out[line.reason] += 1
            else:
                yield line
    if seen.hex() != snapshot.content_hash:
        raise IntegrityError(f"{snapshot.snapshot_id} differs from what was frozen. Its verify() says what changed.")


def target_cells(line: str, schema: pa.Schema) -> dict[str, Any]:
    """A line as values for a target's columns; what is of any shape is JSON text, with its numbers as written."""
    record = parse_json(line)
    return {field.name: _cell(record.get(field.name), field.type) for field in schema}


def line_batches(lines: Iterator[str], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Lines as batches of a target's columns."""
    while some := list(islice(lines, _RECORDS)):
        cells = [target_cells(line, schema) for line in some]
        arrays = [_array([each[field.name] for each in cells], field.type) for field in schema]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def _cell(value: Any, kind: pa.DataType) -> Any:
    if value is None:
        return None
    if isinstance(kind, pa.JsonType):
        return json_line(value)
    if pa.types.is_list(kind):
        return [_cell(each, kind.value_type) for each in value]
    if pa.types.is_struct(kind):
        return {field.name: _cell(value.get(field.name), field.type) for field in kind}
    return float(value) if isinstance(value, Number) else value


def _array(values: list[Any], kind: pa.DataType) -> pa.Array:
    return pa.array(values, _storage(kind)).cast(kind)


def _storage(kind: pa.DataType) -> pa.DataType:
    """The type without extension types, which values are made of."""
    if isinstance(kind, pa.JsonType):
        return kind.storage_type
    if pa.types.is_list(kind):
        return pa.list_(_storage(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([(field.name, _storage(field.type)) for field in kind])
    return kind


def require_current(dsn: str, snapshot: Frozen) -> None:
    """Raises WithdrawnError when a snapshot was withdrawn since it was found."""
    find_snapshot(dsn, snapshot.snapshot_id)


def require_split(snapshot: Frozen, split: str | None) -> None:
    """Raises UsageError for a split that the snapshot does not have."""
    if split is not None and split not in snapshot.row_counts:
        known = ", ".join(snapshot.row_counts)
        raise UsageError(f"{snapshot.snapshot_id} has no split {split!r}. It has: {known}.")
