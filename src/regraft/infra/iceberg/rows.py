"""Rows of datasets as Arrow: the columns that are stored, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from regraft.domain.datasets.kinds import KINDS
from regraft.domain.datasets.messages import ADDED_KEYS, MESSAGE_KEYS, Message
from regraft.domain.datasets.rows import Row, RowSource

_TEXT = pa.string()
_TEXTS = pa.list_(_TEXT)
_CALL = pa.struct([("id", _TEXT), ("type", _TEXT), ("function", pa.struct([("name", _TEXT), ("arguments", _TEXT)]))])
_MESSAGES = pa.list_(
    pa.struct(
        [
            ("role", _TEXT),
            ("content", _TEXT),
            ("tool_calls", pa.list_(_CALL)),
            ("tool_call_id", _TEXT),
            ("name", _TEXT),
            ("parts", _TEXTS),
            ("reasoning", _TEXT),
            ("weight", pa.float64()),
        ]
    )
)
_PLAIN = ("row_id", "session_id", "tools", "anchor", "label", "label_source", "margin", "score", "tools_digest")
_ADDED = ("stratum", "negative", "evidence", "agreement")  # snapshots of before have no such columns


def schema(kind: str) -> pa.Schema:
    """The columns of a kind of dataset. ``split`` is filled when a dataset is frozen."""
    return pa.schema(
        [
            pa.field("row_id", _TEXT, nullable=False),
            pa.field("split", _TEXT, nullable=False),
            *(pa.field(part, _MESSAGES) for part in KINDS[kind].columns),
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
    columns = KINDS[kind].columns
    found = []
    for record in batch.to_pylist():
        sources = zip(record["source_parts"], record["source_nodes"], record["source_turns"], strict=True)
        more: dict[str, Any] = {name: record.get(name) for name in _ADDED}
        more |= {name: more[name] or "" for name in ("stratum", "negative", "evidence")}
        parts: dict[str, Any] = {part: _messages(record[part]) for part in columns}
        row = Row(
            kind=kind,
            sources=tuple(RowSource(*source) for source in sources),
            notes=tuple(record.get("notes") or ()),
            **{name: record.get(name) for name in _PLAIN},
            **more,
            **parts,
        )
        found.append((row, record["split"]))
    return found


def _messages(stored: list[Message] | None) -> tuple[Message, ...]:
    if not stored:
        return ()
    if stored[0].keys() >= set(MESSAGE_KEYS):
        return tuple(stored)
    return tuple({**dict.fromkeys(ADDED_KEYS), **message} for message in stored)
