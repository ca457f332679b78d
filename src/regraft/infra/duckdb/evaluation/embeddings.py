"""Vectors of trajectories in the workbench."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pyarrow as pa

from regraft.infra.duckdb.file import Record, WorkbenchFile


class Embeddings(WorkbenchFile):
    """``trajectory_embeddings``, next to the units that the vectors belong to."""

    tables = "evaluation/embeddings"

    def refresh(self, model: str) -> list[Record]:
        """Forget what is no longer true, reuse what is known, and return for each text that lacks a vector a
        ``unit_id`` that reads so, the ``text_hash``, its length in ``characters``, and how many ``units`` read so."""
        if not self._measured():
            return []
        with self._writing() as connection:
            connection.execute(self._query("forget_changed"))
        self.reuse(model)
        return self._rows("missing", {"model": model})

    def reuse(self, model: str) -> None:
        """A unit that reads like another one has its vector."""
        with self._writing() as connection:
            connection.execute(self._query("copy_known"), {"model": model})

    def texts(self, units: list[UUID]) -> dict[UUID, str]:
        """How units read."""
        return {row["unit_id"]: row["text"] for row in self._rows("texts", {"units": units})}

    def add(self, model: str, units: list[Record], vectors: pa.ListArray) -> None:
        """The vectors of units, each given with its ``text_hash``."""
        text = pa.string()
        columns = {name: pa.array([str(unit[name]) for unit in units], text) for name in ("unit_id", "text_hash")}
        with self._writing(new_vectors=pa.table({**columns, "vector": vectors})) as connection:
            connection.execute(self._query("add"), {"model": model})

    def count(self, model: str) -> int:
        """How many units have a vector."""
        rows = self._rows("count", {"model": model})
        return int(rows[0]["units"]) if rows else 0

    def nearest(
        self, model: str, vector: list[float], node: UUID, limit: int, elsewhere_than: UUID | None = None
    ) -> list[Record]:
        """Units by their ``similarity`` to a vector, nearest first, without those whose path goes through ``node``.

        Exact: every vector of the model is looked at, which is fast enough for 100,000 of them.
        """
        if not self._measured():
            return []
        import numpy as np

        given = {"model": model, "length": len(vector), "node": node, "elsewhere_than": elsewhere_than}
        with self._open() as connection:
            found = connection.sql(self._query("candidates"), params=given).to_arrow_table()
        every = found["vector"].combine_chunks().flatten().to_numpy().reshape(-1, len(vector))
        similarity = every @ np.array(vector, dtype=np.float32)
        best = np.argsort(-similarity, kind="stable")[:limit]
        units = {UUID(found["unit_id"][int(at)].as_py()): float(similarity[at]) for at in best}
        shown = {row["unit_id"]: row for row in self._rows("described", {"units": list(units)})}
        return [{"similarity": near, **shown[unit]} for unit, near in units.items() if unit in shown]

    def move_to(self, draft: Path) -> int:
        """Copy the vectors of equal texts to another workbench, which then replaces this one; return their number. No
        other process has the file open meanwhile."""
        with self._open() as connection:
            quoted = str(draft).replace("'", "''")
            connection.execute(f"ATTACH '{quoted}' AS draft")
            connection.execute(self._query("carry_schema"))
            connection.execute(self._query("carry_over"))
            row = connection.execute(self._query("carried")).fetchone()
            connection.execute("DETACH draft")
            draft.replace(self.path)
        return int(row[0])

    def _measured(self) -> bool:
        rows = self._rows("units_there")
        return bool(rows and rows[0]["tables"])
