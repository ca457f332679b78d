"""A frozen dataset, read from Python."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from regraft.domain.datasets.recipe import Recipe
from regraft.flows.datasets import tables
from regraft.flows.datasets.freeze import Frozen
from regraft.presentation.python.target_rows import TargetRows

if TYPE_CHECKING:
    from regraft.flows.datasets.verify import Verification


class Snapshot:
    """A frozen dataset: rows that never change, with a proof. `Log.snapshot` and `Log.freeze` give one.

    It reads through its log, so that it can be used as long as that is open.
    """

    def __init__(
        self,
        frozen: Frozen,
        recipe: Recipe,
        *,
        dsn: Callable[[], str],
        warehouse: Callable[[], str],
        workbench: Callable[[], Path],
    ) -> None:
        self._dsn = dsn
        self._workbench = workbench
        self._warehouse = warehouse
        self._frozen = frozen
        self._recipe = recipe

    def __repr__(self) -> str:
        counts = ", ".join(f"{count} {split}" for split, count in self._frozen.row_counts.items())
        return f"<regraft.Snapshot {self.id}: {self.kind}, {counts}>"

    @property
    def id(self) -> str:
        """Its id."""
        return self._frozen.snapshot_id

    @property
    def kind(self) -> str:
        """`sft`, `dpo`, `reward`, `suppression` or `unlearning`."""
        return self._frozen.kind

    @property
    def row_counts(self) -> Mapping[str, int]:
        """Rows by split."""
        return self._frozen.row_counts

    @property
    def refused(self) -> Mapping[str, int]:
        """Candidates that became no row, by reason."""
        return self._frozen.refused

    @property
    def content_hash(self) -> str:
        """Digest of all rows with their splits, hexadecimal."""
        return self._frozen.content_hash

    @property
    def created_at(self) -> datetime:
        """When it was frozen (UTC)."""
        return self._frozen.created_at

    @property
    def recipe(self) -> str:
        """The text of its recipe, TOML."""
        return self._recipe.text

    def rows(self, split: str | None = None) -> pa.Table:
        """Its rows with their certificates, as they are stored, in no order: of all splits, or of one.

        A message is a struct, the arguments of a call are JSON text. Raises `UsageError` for a split that it does not
        have, `IntegrityError` when files are gone or damaged.
        """
        return self.batches(split).read_all()

    def batches(self, split: str | None = None) -> pa.RecordBatchReader:
        """The same rows as a stream of batches, for what is larger than memory."""
        where = (self._dsn(), self._warehouse(), self._frozen)
        return pa.RecordBatchReader.from_batches(tables.row_columns(self.kind), tables.rows(*where, split))

    def verify(self) -> Verification:
        """Recompute its hash from the stored bytes, and each row from the log. `ok` says whether both agree; `files`,
        `rows` and `changed` say what does not."""
        from regraft.flows.datasets.verify import verify

        return verify(self.id, dsn=self._dsn(), warehouse=self._warehouse(), workbench=self._workbench())

    def for_target(self, target: str, split: str | None = None) -> TargetRows:
        """Its rows as records of a trainer: `trl`, `openai`, `together`, `fireworks`, `llamafactory`, `axolotl`,
        `sharegpt` or `alpaca`.

        Each record is read back as the trainer does, and compared with its branch, before it is given. Raises
        `UsageError` for an unknown target or split, or a target that has no form for the kind.
        """
        schema = tables.target_columns(self._frozen, self._recipe, target)
        return TargetRows(
            self._frozen, target=target, split=split, schema=schema, dsn=self._dsn, warehouse=self._warehouse
        )

    def to_datasets(self, target: str = "trl", split: str | None = None) -> Any:
        """Its rows for Hugging Face `datasets`: a `Dataset` of a split, or a `DatasetDict` of all that have rows.

        `datasets` keeps the rows in its own cache on disk. Raises `UsageError` when it is not installed.
        """
        if split is not None:
            return self.for_target(target, split).to_datasets()
        made = {name: self.for_target(target, name).to_datasets() for name, count in self.row_counts.items() if count}
        import datasets

        return datasets.DatasetDict(made)
