"""Vectors of trajectories in the workbench."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pyarrow as pa

from regraft.infra.duckdb.file import Record, WorkbenchFile

_NO_VECTORS = pa.schema(
    [
        *((name, pa.string()) for name in ("unit_id", "session_id", "text_hash")),
        ("vector", pa.list_(pa.float32())),
    ]
)


@dataclass(frozen=True, slots=True)
class VectorState:
    """How many ``vectors`` there are, their ``dimensions``, and a digest of which texts and units they stand for."""

    vectors: int
    dimensions: int
    state: str


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
            connection.execute(self._query("copy_known"), {"model": model})
            found: list[Record] = (
                connection.sql(self._query("missing"), params={"model": model}).to_arrow_table().to_pylist()
            )
        return [{**each, "unit_id": UUID(str(each["unit_id"]))} for each in found]

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

    def vectors(self, model: str, units: list[UUID] | None = None) -> pa.Table:
        """Vectors of a model, of all units or some: ``unit_id``, ``session_id``, ``text_hash`` and ``vector``."""
        if units is None:
            return self._table("vectors", {"model": model})
        return self._table("vectors_of", {"model": model, "units": units})

    def vector_keys(self, model: str) -> pa.Table:
        """``unit_id``, ``session_id`` and ``text_hash`` of the vectors of a model."""
        return self._table("vector_keys", {"model": model})

    def vector_state(self, model: str) -> VectorState:
        """How many vectors of a model there are, how long they are, and a digest that changes when they change."""
        rows = self._rows("vector_state", {"model": model}) if self._measured() else []
        found = rows[0] if rows else {}
        return VectorState(found.get("vectors") or 0, found.get("dimensions") or 0, found.get("state") or "")

    def stamp(self) -> tuple[int, ...]:
        """Changes whenever the file may have changed."""
        files = (self.path, self.path.with_name(self.path.name + ".wal"))
        found = [file.stat() for file in files if file.exists()]
        return tuple(part for each in found for part in (each.st_ino, each.st_size, each.st_mtime_ns))

    def _table(self, name: str, parameters: Record) -> pa.Table:
        if not self._measured():
            return _NO_VECTORS.empty_table()
        with self._open() as connection:
            return connection.sql(self._query(name), params=parameters).to_arrow_table()

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
