"""Which of some stored rows are wanted, found in the Arrow columns without making rows of them."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from regraft.domain.datasets.kinds import KINDS


def matching(
    batch: pa.RecordBatch,
    kind: str,
    stratum: str | None = None,
    label: str | None = None,
    label_source: str | None = None,
    text: str | None = None,
) -> list[int]:
    """The places of the rows that fit all of what is not None.

    ``text`` is found whatever its case: in what messages and calls say, or as a prefix of the id of the row, of one of
    its nodes, or of its session.
    """
    mask = pa.array([True] * batch.num_rows)
    for name, wanted in (("stratum", stratum), ("label", label), ("label_source", label_source)):
        if wanted is not None and name in batch.schema.names:
            mask = pc.and_(mask, pc.equal(pc.fill_null(batch.column(name), ""), wanted))
    if text:
        mask = pc.and_(mask, _holding(batch, kind, text))
    found: list[int] = pc.indices_nonzero(mask).to_pylist()
    return found


def _holding(batch: pa.RecordBatch, kind: str, text: str) -> pa.Array:
    rows = pa.array(range(batch.num_rows), pa.int64())
    start = text.strip().casefold()
    hits = [pc.filter(rows, pc.starts_with(batch.column(name), start)) for name in ("row_id", "session_id")]
    nodes = batch.column("source_nodes")
    hits.append(_parents(nodes, pc.starts_with(pc.list_flatten(nodes), start)))
    for part in KINDS[kind].columns:
        messages = batch.column(part)
        said = pc.list_flatten(messages)
        of_row = pc.list_parent_indices(messages)
        hits.append(pc.filter(of_row, _has(pc.struct_field(said, "content"), text)))
        calls = pc.struct_field(said, "tool_calls")
        function = pc.struct_field(pc.list_flatten(calls), "function")
        of_message = pc.list_parent_indices(calls)
        for field in ("name", "arguments"):
            called = pc.filter(of_message, _has(pc.struct_field(function, field), text))
            hits.append(pc.take(of_row, called))
        if said.type.get_field_index("parts") >= 0:
            parts = pc.struct_field(said, "parts")
            hits.append(pc.take(of_row, _parents(parts, _has(pc.list_flatten(parts), text))))
    return pc.is_in(rows, value_set=pa.concat_arrays([pc.cast(one, pa.int64()) for one in hits]))


def _has(texts: pa.Array, text: str) -> pa.Array:
    return pc.fill_null(pc.match_substring(texts, text, ignore_case=True), False)


def _parents(lists: pa.Array, mask: pa.Array) -> pa.Array:
    return pc.filter(pc.list_parent_indices(lists), pc.fill_null(mask, False))
