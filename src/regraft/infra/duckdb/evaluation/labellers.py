"""Training data and results of the learned labeller, in the workbench."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from regraft.infra.duckdb.file import Record, WorkbenchFile


class Labellers(WorkbenchFile):
    """``category_labellers``, beside the units, vectors and labels that they are made from."""

    tables = "evaluation/labellers"

    def embedded(self) -> bool:
        """Whether trajectories were ever embedded."""
        rows = self._rows("vectors_there")
        return bool(rows and rows[0]["tables"])

    def state(self, version: str) -> str:
        """A digest of what labels are learned from; ``version`` is that of the taxonomy and the labeller."""
        with self._learnable() as connection:
            return str(connection.execute(self._query("state"), {"version": version}).fetchone()[0])

    def known_state(self) -> str:
        """The digest of what they were learned from last; '' where they never were."""
        rows = self._rows("known_state")
        return str(rows[0]["state"]) if rows else ""

    def units(self) -> pa.Table:
        """The units with vectors and signals: unit_id, session_id, task_key, model, text_hash, vector, signals."""
        with self._learnable() as connection:
            return connection.sql(self._query("units")).to_arrow_table()

    def people(self) -> list[Record]:
        """Human labels: category, unit_id, holds; by category."""
        with self._learnable() as connection:
            found: list[Record] = connection.sql(self._query("people")).to_arrow_table().to_pylist()
            return found

    @contextmanager
    def _learnable(self) -> Iterator[Any]:
        with self._open() as connection:
            connection.execute(self._query("learnable"))
            yield connection

    def replace(self, state: str, figures: pa.Table, labels: list[pa.Table]) -> None:
        """The figures and the learned labels are exactly these, learned from what the state is a digest of."""
        with self._writing(new_figures=figures) as connection:
            for name in ("forget_labels", "forget_figures", "forget_state", "add_figures"):
                connection.execute(self._query(name))
            connection.execute(self._query("add_state"), {"state": state})
            for table in labels:
                connection.register("new_labels", table)
                connection.execute(self._query("add_labels"))

    def figures(self) -> list[Record]:
        """The results of each labeller, by category."""
        return self._rows("figures")
