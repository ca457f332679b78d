"""Rows of datasets as Arrow: the columns that are stored, and back."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from regraft.domain.datasets.kinds import KINDS
from regraft.domain.datasets.rows import Row, RowSource
from regraft.infra.iceberg.stored_messages import MESSAGES, messages_from

_TEXT = pa.string()
_TEXTS = pa.list_(_TEXT)
_PLAIN = ("row_id", "session_id", "tools", "anchor", "label", "label_source", "margin", "score", "tools_digest")
_ADDED_TEXTS = ("stratum", "negative", "evidence")
_ADDED = (*_ADDED_TEXTS, "agreement")  # snapshots of before have no such columns


def schema(kind: str) -> pa.Schema:
    """The columns of a kind of dataset. ``split`` is filled when a dataset is frozen."""
    return pa.schema(
        [
            pa.field("row_id", _TEXT, nullable=False),
            pa.field("split", _TEXT, nullable=False),
            *(pa.field(part, MESSAGES) for part in KINDS[kind].columns),
            pa.field("tools", _TEXT),
            pa.field("session_id", _TEXT, nullable=False),
            pa.field("source_parts", _TEXTS),
            pa.field("source_nodes", _TEXTS),
            pa.field("source_turns", _TEXTS),
            pa.field("anchor", _TEXT),
            pa.field("label_source", _TEXT),
            pa.field("margin", pa.float64()),
            pa.field("score", pa.float64()),
            pa.field("tools_digest", _TEXT),
            pa.field("label", _TEXT),
            pa.field("stratum", _TEXT),
            pa.field("negative", _TEXT),
            pa.field("evidence", _TEXT),
            pa.field("agreement", pa.float64()),
            pa.field("notes", _TEXTS),
        ]
    )


def to_batch(rows: Sequence[tuple[Row, str]], kind: str) -> pa.RecordBatch:
    """(row, split) as a batch of the stored columns, in the order given."""
    columns = KINDS[kind].columns
    records = [
        {
            "split": split,
            **{name: getattr(row, name) for name in (*_PLAIN, *_ADDED)},
            **{part: list(getattr(row, part)) for part in columns},
            "source_parts": [source.part for source in row.sources],
            "source_nodes": [source.node_id for source in row.sources],
            "source_turns": [source.turn_id for source in row.sources],
            "notes": list(row.notes),
        }
        for row, split in rows
    ]
    return pa.RecordBatch.from_pylist(records, schema=schema(kind))


def from_batch(batch: pa.RecordBatch, kind: str) -> list[tuple[Row, str]]:
    """Stored rows with their splits, in the order in which they are stored."""
    columns = {name: batch.column(place) for place, name in enumerate(batch.schema.names)}
    absent: list[None] = [None] * batch.num_rows
    plain = {name: columns[name].to_pylist() if name in columns else absent for name in (*_PLAIN, *_ADDED)}
    for name in _ADDED_TEXTS:
        plain[name] = [text or "" for text in plain[name]]
    sources = zip(
        *(columns[name].to_pylist() for name in ("source_parts", "source_nodes", "source_turns")), strict=True
    )
    plain["sources"] = [tuple(map(RowSource, *each)) for each in sources]
    plain["notes"] = [tuple(each or ()) for each in (columns["notes"].to_pylist() if "notes" in columns else absent)]
    for part in KINDS[kind].columns:
        plain[part] = messages_from(columns[part])
    names = tuple(plain)
    rows = (Row(kind=kind, **dict(zip(names, values, strict=True))) for values in zip(*plain.values(), strict=True))
    return list(zip(rows, columns["split"].to_pylist(), strict=True))
