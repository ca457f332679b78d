"""Tables as lines of JSON: Parquet, Arrow (files and streams) and CSV, a batch of rows at a time.

A row is an object of its cells. Cells without a value are left out at any depth, because a table has a cell for every
member of every row. Text stays text: what a cell holds is for the format of the row to say.
"""

from __future__ import annotations

import base64
import csv
import json
import math
from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import chain
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet

from regraft.domain.errors import UsageError

NAMES = (".parquet", ".arrow", ".feather", ".ipc", ".csv", ".tsv")
_PARQUET, _ARROW, _STREAM = b"PAR1", b"ARROW1", b"\xff\xff\xff\xff"
_ROWS = 256  # of a batch: rows of conversations are large
_LONGEST_CELL = 1 << 29
_DELIMITED = (".csv", ".tsv")

csv.field_size_limit(_LONGEST_CELL)


def is_columnar(head: bytes) -> bool:
    """Whether a file that begins with these bytes is a Parquet or Arrow file."""
    return head.startswith((_PARQUET, _ARROW, _STREAM))


def is_delimited(name: str) -> bool:
    """Whether a file of this name, without the ending of its packing, is a CSV file."""
    return name.endswith(_DELIMITED)


def columnar_lines(file: BinaryIO, name: str) -> Iterator[str]:
    """The rows of a Parquet or Arrow file that can be read from any place. Raises UsageError for one that is broken."""
    head = file.read(len(_ARROW))
    file.seek(0)
    try:
        for batch in _batches(head, file):
            for row in batch.to_pylist():
                yield _line(row)
    except (pa.ArrowException, OSError, ValueError, UnicodeDecodeError) as error:
        raise UsageError(f"{name} cannot be read as a table: {str(error).splitlines()[0]}") from error


def _batches(head: bytes, file: BinaryIO) -> Iterator[pa.RecordBatch]:
    if head.startswith(_PARQUET):
        yield from pa.parquet.ParquetFile(file).iter_batches(batch_size=_ROWS)
        return
    if head.startswith(_ARROW):
        reader = pa.ipc.open_file(file)
        whole: Iterable[pa.RecordBatch] = (reader.get_batch(at) for at in range(reader.num_record_batches))
    else:
        whole = pa.ipc.open_stream(file)
    for batch in whole:
        for start in range(0, batch.num_rows, _ROWS):
            yield batch.slice(start, _ROWS)


def delimited_lines(pieces: Iterable[str], name: str) -> Iterator[str]:
    """The rows of a CSV file whose first line names the columns. Raises UsageError for one that is broken."""
    lines = _text_lines(pieces)
    first = next(lines, "").removeprefix("\ufeff")
    delimiter = max(",;\t|", key=first.count) if not name.endswith(".tsv") else "\t"
    try:
        for row in csv.DictReader(chain([first], lines), delimiter=delimiter, strict=True):
            extra = row.pop(cast("str", None), None)
            if extra is not None:
                raise UsageError(f"{name} has a row with more cells than columns.")
            yield _line({key: cell for key, cell in row.items() if cell})
    except csv.Error as error:
        raise UsageError(f"{name} cannot be read as a table: {error}.") from error


def _text_lines(pieces: Iterable[str]) -> Iterator[str]:
    """Lines with their ends, which may stand in a quoted cell."""
    rest: list[str] = []
    for piece in pieces:
        *whole, last = piece.split("\n")
        for each in whole:
            yield "".join([*rest, each, "\n"])
            rest = []
        rest.append(last)
    if left := "".join(rest):
        yield left


def _line(row: dict[str, Any]) -> str:
    return json.dumps(_plain(row), ensure_ascii=False) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(cell) for key, cell in value.items() if cell is not None}
    if isinstance(value, list):
        if value and all(isinstance(each, tuple) and len(each) == 2 for each in value):  # a map
            return {str(key): _plain(cell) for key, cell in value if cell is not None}
        return [_plain(each) for each in value]
    return _PLAIN.get(type(value), _as_it_is)(value)


def _as_it_is(value: Any) -> Any:
    return value if value is None or isinstance(value, str | int | bool) else str(value)


def _number(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)


def _bytes(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return base64.b64encode(value).decode()


_PLAIN: dict[type, Callable[[Any], Any]] = {
    float: _number,
    bytes: _bytes,
    **dict.fromkeys((date, datetime, time), lambda value: value.isoformat()),
    timedelta: lambda value: value.total_seconds(),
    Decimal: str,
}
