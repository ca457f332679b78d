"""Vectors of trajectories in the workbench."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa

from regraft.domain.ids import digest
from regraft.infra.duckdb.file import Record, WorkbenchFile

_NO_VECTORS = pa.schema(
    [
        *((name, pa.string()) for name in ("unit_id", "session_id", "text_hash")),
        ("vector", pa.list_(pa.float32())),
    ]
)


@dataclass(frozen=True, slots=True)
class VectorState:
    """How many ``vectors`` there are, their ``dimensions``, and a digest of which texts and units they represent."""

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
        """Units with equal texts share a vector."""
        with self._writing() as connection:
            connection.execute(self._query("copy_known"), {"model": model})

    def texts(self, units: list[UUID]) -> dict[UUID, str]:
        """The texts of units."""
        return {row["unit_id"]: row["text"] for row in self._rows("texts", {"units": units})}

    def add(self, model: str, units: list[Record], vectors: pa.ListArray) -> None:
        """The vectors of units, each given with its ``text_hash``."""
        text = pa.string()
        columns = {name: pa.array([str(unit[name]) for unit in units], text) for name in ("unit_id", "text_hash")}
        with self._writing(new_vectors=pa.table({**columns, "vector": vectors})) as connection:
            connection.execute(self._query("add"), {"model": model})

    def find_pieces(self, model: str, hashes: list[str]) -> dict[str, Any]:
        """The vectors of pieces, by hash: those that are known."""
        if not self.path.exists():
            return {}
        with self._open() as connection:
            found = connection.sql(
                self._query("find_pieces"), params={"model": model, "hashes": hashes}
            ).to_arrow_table()
        vectors = (vector.values.to_numpy() for vector in found["vector"])
        return dict(zip(found["piece_hash"].to_pylist(), vectors, strict=True))

    def keep_pieces(self, model: str, vectors: Mapping[str, Any]) -> None:
        """Keep the vectors of pieces, by hash."""
        columns = {
            "piece_hash": pa.array(list(vectors), pa.string()),
            "vector": pa.array(list(vectors.values()), pa.list_(pa.float32())),
        }
        with self._writing(new_pieces=pa.table(columns)) as connection:
            connection.execute(self._query("keep_pieces"), {"model": model})
            connection.execute(self._query("forget_pieces"), {"most": _MOST_PIECES})

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


_MOST_PIECES = 100_000  # that are kept: 150 MB of 384 dimensions


class WorkbenchPieces:
    """The pieces of a model that a workbench knows: see ``PieceVectors``."""

    def __init__(self, bench: Embeddings, model: str) -> None:
        self._bench = bench
        self._model = model

    def find(self, pieces: Collection[bytes]) -> Mapping[bytes, Any]:
        """Those that are known."""
        hashes = {digest(piece).hex(): piece for piece in pieces}
        return {hashes[one]: vector for one, vector in self._bench.find_pieces(self._model, list(hashes)).items()}

    def keep(self, vectors: Mapping[bytes, Any]) -> None:
        """Keep them, and forget those that were not used for the longest time."""
        self._bench.keep_pieces(self._model, {digest(piece).hex(): vector for piece, vector in vectors.items()})
