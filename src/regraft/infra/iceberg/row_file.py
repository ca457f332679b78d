"""A temporary file of rows: written in batches, read back in batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa

from regraft.domain.datasets.rows import Row
from regraft.infra.iceberg.rows import from_batch, schema, to_batch


class RowFile:
    """Rows of one kind in an Arrow file, in the order in which they were written. ``split`` is empty."""

    def __init__(self, path: Path, kind: str) -> None:
        self._path = path
        self._kind = kind
        self.schema = schema(kind)
        self._writer: pa.RecordBatchFileWriter | None = pa.ipc.new_file(
            str(path), self.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")
        )

    def write(self, rows: Sequence[tuple[Row, str]]) -> None:
        """Append rows."""
        if rows and self._writer:
            self._writer.write_batch(to_batch(rows, self._kind))

    def close(self) -> None:
        """No more rows follow; they can be read now."""
        if self._writer:
            self._writer.close()
            self._writer = None

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows as they are stored, some at a time."""
        with pa.memory_map(str(self._path)) as source:
            reader = pa.ipc.open_file(source)
            for place in range(reader.num_record_batches):
                yield reader.get_batch(place)

    def rows(self) -> Iterator[Row]:
        """The rows, one after another."""
        for batch in self.batches():
            for row, _ in from_batch(batch, self._kind):
                yield row

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
