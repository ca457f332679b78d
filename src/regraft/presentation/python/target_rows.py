"""Rows of a snapshot as a trainer takes them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pyarrow as pa

from regraft.domain.errors import UsageError
from regraft.domain.ids import digest
from regraft.flows.datasets import tables
from regraft.flows.datasets.freeze import Frozen

_DATASETS = "datasets>=5.2"


class TargetRows:
    """Records of a snapshot for one trainer. They are read again by each pass, in batches.

    Iterating gives one dict a row, with the keys and values that the trainer expects. It is also an Arrow stream (the
    PyCapsule interface), which Polars, DuckDB, pandas and pyarrow take as it is. A pass over it raises `WithdrawnError`
    when the snapshot was withdrawn, and `IntegrityError` at its end when the stored rows are not what was frozen.
    """

    def __init__(
        self,
        frozen: Frozen,
        *,
        target: str,
        split: str | None,
        schema: pa.Schema,
        dsn: Callable[[], str],
        warehouse: Callable[[], str],
    ) -> None:
        if split is not None:
            tables.require_split(frozen, split)
        self._dsn = dsn
        self._warehouse = warehouse
        self._frozen = frozen
        self._left_out: Counter[str] = Counter()
        self.target = target
        self.split = split
        self.schema = schema

    def __repr__(self) -> str:
        return f"<regraft.TargetRows {self._frozen.snapshot_id} for {self.target}: {self.split or 'all splits'}>"

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for line in self._lines():
            yield json.loads(line)

    def _lines(self) -> Iterator[str]:
        left_out: Counter[str] = Counter()
        where = (self._dsn(), self._warehouse(), self._frozen)
        yield from tables.target_lines(*where, self.target, self.split, left_out)
        self._left_out = left_out

    def _cells(self) -> Iterator[dict[str, Any]]:
        for line in self._lines():
            yield tables.target_cells(line, self.schema)

    @property
    def left_out(self) -> Mapping[str, int]:
        """Rows that the target cannot express, by reason, as the last whole pass found them."""
        return dict(sorted(self._left_out.items()))

    def to_list(self) -> list[dict[str, Any]]:
        """All records, as `datasets.Dataset.from_list` and `pandas.DataFrame` take them."""
        return list(self)

    def batches(self) -> pa.RecordBatchReader:
        """The records as a stream of Arrow batches of a thousand. What has no fixed shape, such as a message, is JSON
        text of the type `arrow.json`, with numbers as they were written."""
        return pa.RecordBatchReader.from_batches(self.schema, tables.line_batches(self._lines(), self.schema))

    def to_arrow(self) -> pa.Table:
        """The same as one table."""
        return self.batches().read_all()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.batches().__arrow_c_stream__(requested_schema)

    def to_datasets(self) -> Any:
        """A `datasets.Dataset`, in which each message has the keys that it was written with, and no others.

        The rows are written to the cache of `datasets` once, under a name made of their content, so that memory does
        not grow with them. Raises `UsageError` when `datasets` is not installed.
        """
        try:
            from datasets import Dataset, Features
        except ImportError as error:
            raise UsageError(f"Hugging Face datasets is not installed: pip install '{_DATASETS}'.") from error

        tables.require_current(self._dsn(), self._frozen)  # what is in the cache already is not read again
        content = "\n".join(
            (self._frozen.content_hash, self._frozen.snapshot_id, self.target, str(self.split), str(self.schema))
        )
        return Dataset.from_generator(
            self._cells,
            features=Features.from_arrow_schema(self.schema),
            fingerprint=digest(content.encode()).hex()[:32],
        )
