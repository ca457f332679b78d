"""Columns of the tables that the Python API gives: their Arrow types, and what each one means."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any
from uuid import UUID

import pyarrow as pa

BATCH = 5_000  # rows in memory at a time, of tables without long texts

TEXT = pa.string()
TEXTS = pa.list_(TEXT)
TIME = pa.timestamp("us", tz="UTC")
COUNTS = pa.map_(TEXT, pa.int64())
_ABOUT = b"about"
Key = tuple[str, ...]  # the place of a row in the order of its table


def column(name: str, kind: pa.DataType, about: str) -> pa.Field:
    """A column with its meaning, which a user finds in the metadata of the field and the reference page prints."""
    return pa.field(name, kind, metadata={_ABOUT: about.encode()})


def about(field: pa.Field) -> str:
    """The meaning of a column; '' where none was given."""
    return bytes((field.metadata or {}).get(_ABOUT, b"")).decode()


def batches_of(rows: Iterable[Mapping[str, Any]], schema: pa.Schema, size: int = BATCH) -> Iterator[pa.RecordBatch]:
    """Rows as batches of these columns; ids become text, and keys that the schema does not name are left out."""
    waiting = iter(rows)
    while some := list(islice(waiting, size)):
        values = [{name: _value(row.get(name)) for name in schema.names} for row in some]
        yield pa.RecordBatch.from_pylist(values, schema=schema)


def _value(value: Any) -> Any:
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    if isinstance(value, Mapping):
        return [(str(key), each) for key, each in value.items()]
    return value


def as_columns(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """A table with these columns, in this order and of these types; columns that it lacks are null."""
    rows = table.num_rows
    found = [
        table.column(field.name).cast(field.type) if field.name in table.column_names else pa.nulls(rows, field.type)
        for field in schema
    ]
    return pa.table(found, schema=schema)


def paged(
    page: Callable[[int, Key | None], pa.Table], schema: pa.Schema, key: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    """All rows with these columns, a page at a time. ``page`` gives at most so many rows: those behind the values of
    ``key`` in the last row before, or the first ones (None).

    What is read is opened for each page and closed after it, so that others can write to it meanwhile.
    """
    after: Key | None = None
    while (found := page(BATCH, after)).num_rows:
        yield from as_columns(found, schema).combine_chunks().to_batches()
        if found.num_rows < BATCH:
            return
        after = tuple(found.column(name)[-1].as_py() for name in key)
