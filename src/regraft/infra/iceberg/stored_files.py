"""The files of one snapshot, read from any row on: a page of rows, and single rows by their ids.

A row's place is its number in the files, one file after another; it never changes. Memory holds one batch of rows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from regraft.domain.errors import IntegrityError
from regraft.infra.iceberg.snapshots import table_at

_BATCH = 500  # rows in memory at a time
_IDS = 65_536  # ids in memory at a time


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A Parquet file that holds ``rows`` rows of one split; ``first`` is the place of the first one."""

    location: str
    split: str
    first: int
    rows: int


class StoredFiles:
    """The files of a snapshot. They are listed once; each read opens those that it needs."""

    def __init__(self, io: Any, files: Sequence[StoredFile]) -> None:
        self._io = io
        self.files = tuple(files)

    @classmethod
    def of(cls, opened: Any, identifier: str, snapshot_id: int) -> StoredFiles:
        """The files of a snapshot, by split and location. Raises IntegrityError when some hold rows that are deleted in
        others, or cannot be read."""
        table = table_at(opened, identifier, snapshot_id)
        try:
            tasks = list(table.scan(snapshot_id=snapshot_id).plan_files())
        except (OSError, ValueError) as error:
            raise IntegrityError(f"The files of {identifier} at {snapshot_id} cannot be listed: {error}") from error
        if any(task.delete_files for task in tasks):
            raise IntegrityError(f"The files of {identifier} at {snapshot_id} hold rows that are deleted in others.")
        files: list[StoredFile] = []
        first = 0
        named = sorted((str(task.file.partition[0]), task.file.file_path, task.file.record_count) for task in tasks)
        for split, location, rows in named:
            files.append(StoredFile(location, split, first, rows))
            first += rows
        return cls(table.io, files)

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return sum(file.rows for file in self.files)

    def scan(
        self, start: int, split: str | None = None, columns: Sequence[str] | None = None
    ) -> Iterator[tuple[int, pa.RecordBatch]]:
        """The rows from a place on, in batches, each with the place of its first row."""
        for file in self.files:
            if file.first + file.rows > start and split in (None, file.split):
                with self._open(file) as parquet:
                    yield from _batches(parquet, file.first, start, columns, _BATCH)

    def places(self, row_ids: Collection[str]) -> Mapping[str, int]:
        """Where rows are, by their ids; ids that no row has are left out."""
        wanted = pa.array(sorted(row_ids), pa.string())
        found: dict[str, int] = {}
        for file in self.files:
            with self._open(file) as parquet:
                for first, batch in _batches(parquet, file.first, 0, ["row_id"], _IDS):
                    for place in pc.indices_nonzero(pc.is_in(batch.column(0), value_set=wanted)).to_pylist():
                        found[batch.column(0)[place].as_py()] = first + place
                    if len(found) == len(wanted):
                        return found
        return found

    def at(self, place: int) -> pa.RecordBatch:
        """One row."""
        for first, batch in self.scan(place):
            return batch.slice(place - first, 1)
        raise IndexError(place)

    @contextmanager
    def _open(self, file: StoredFile) -> Iterator[pq.ParquetFile]:
        try:
            with self._io.new_input(file.location).open() as stream:
                yield pq.ParquetFile(stream)
        except (OSError, pa.ArrowException) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise IntegrityError(f"{file.location} cannot be read: {reason}") from error


def _batches(
    parquet: pq.ParquetFile, first: int, start: int, columns: Sequence[str] | None, size: int
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """The batches of a file that reach ``start``; row groups before it are not read. ``first``: the file's place."""
    for group in range(parquet.metadata.num_row_groups):
        rows = parquet.metadata.row_group(group).num_rows
        if first + rows > start:
            place = first
            for batch in parquet.iter_batches(size, [group], None if columns is None else list(columns)):
                if place + batch.num_rows > start:
                    yield place, batch
                place += batch.num_rows
        first += rows
