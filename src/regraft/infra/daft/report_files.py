"""The files of a comparison: a row each, a pair each, and the counts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

ROWS, PAIRS, REPORT = "rows.parquet", "pairs.parquet", "report.json"

_ROWS = pa.schema(
    [
        ("row_id", pa.string()),
        ("split", pa.string()),
        ("label", pa.string()),
        ("score", pa.float64()),
        ("words", pa.int64()),
        ("characters", pa.int64()),
        ("group", pa.string()),
        ("keep", pa.bool_()),
    ]
)
_PAIRS = pa.schema([("row_id", pa.string()), ("other_row_id", pa.string()), ("similarity", pa.float64())])


def write_report(
    folder: Path, *, report: Mapping[str, Any], rows: Iterable[Mapping[str, Any]], pairs: Iterable[Mapping[str, Any]]
) -> None:
    """Write the three files into a folder, each at once, the counts last."""
    with TemporaryDirectory(prefix=".report-", dir=folder) as made:
        place = Path(made)
        pq.write_table(pa.Table.from_pylist(list(rows), schema=_ROWS), place / ROWS, compression="zstd")
        pq.write_table(pa.Table.from_pylist(list(pairs), schema=_PAIRS), place / PAIRS, compression="zstd")
        (place / REPORT).write_text(json.dumps(report, indent=2) + "\n", "utf-8")
        for name in (ROWS, PAIRS, REPORT):
            (place / name).replace(folder / name)
