"""Exact search among the vectors of a workbench: one matrix in memory, kept for as long as the file does not change.

100,000 vectors of 384 dimensions are 150 MB; one product with them takes a few milliseconds. The first search of a
process reads them, which takes about a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any
from uuid import UUID

from regraft.domain.evaluation.neighbour import Neighbour
from regraft.infra.duckdb.evaluation.embeddings import Embeddings


class NeighbourIndex:
    """All vectors of one model."""

    def __init__(self, bench: Embeddings, model: str) -> None:
        import numpy as np

        found = bench.vectors(model)
        self._units: list[str] = found["unit_id"].to_pylist()
        self._places = {unit: at for at, unit in enumerate(self._units)}
        sessions = found["session_id"].combine_chunks().dictionary_encode()
        self._sessions: list[str] = sessions.dictionary.to_pylist()
        self._session_of = sessions.indices.to_numpy()
        flat = found["vector"].combine_chunks().flatten().to_numpy()
        self._matrix = np.ascontiguousarray(flat.reshape(len(self._units), -1) if self._units else flat.reshape(0, 0))

    def __len__(self) -> int:
        return len(self._units)

    def vector_of(self, unit: UUID) -> Any | None:
        """The vector of a path; None: it has none."""
        at = self._places.get(str(unit))
        return None if at is None else self._matrix[at]

    def nearest(
        self, vector: Any, limit: int, *, elsewhere_than: UUID | None = None, without: Sequence[UUID] = ()
    ) -> list[Neighbour]:
        """Paths by their similarity to a vector, nearest first; not of one session, without some of them."""
        import numpy as np

        given = np.asarray(vector, dtype=np.float32)
        if not self._units or given.shape != self._matrix.shape[1:]:
            return []
        # Row by row on one thread: it reads memory as fast, and is not held up by whatever else runs.
        similarity = np.vecdot(self._matrix, given)
        left_out = [at for unit in without if (at := self._places.get(str(unit))) is not None]
        similarity[left_out] = -np.inf
        if elsewhere_than is not None and str(elsewhere_than) in self._sessions:
            similarity[self._session_of == self._sessions.index(str(elsewhere_than))] = -np.inf
        best = np.arange(len(similarity))
        if len(best) > limit:
            best = np.flatnonzero(similarity >= np.partition(similarity, -limit)[-limit])
        order = [int(at) for at in best[np.argsort(-similarity[best], kind="stable")] if similarity[at] > -np.inf]
        return [
            Neighbour(
                unit_id=UUID(self._units[at]),
                session_id=UUID(self._sessions[int(self._session_of[at])]),
                similarity=min(1.0, float(similarity[at])),  # rounding may go beyond
            )
            for at in order[:limit]
        ]


_kept: dict[Path, tuple[str, tuple[int, ...], NeighbourIndex]] = {}
_reading = Lock()


def neighbour_index(workbench: Path, model: str) -> NeighbourIndex:
    """The index of a workbench, read again where the file changed. The last one of each file is kept in memory."""
    bench = Embeddings(workbench)
    with _reading:
        now = bench.stamp()  # before it is read: what changes meanwhile is read the next time
        kept = _kept.get(workbench)
        if kept and kept[:2] == (model, now):
            return kept[2]
        _kept.pop(workbench, None)  # two at once would be twice the memory
        index = NeighbourIndex(bench, model)
        _kept[workbench] = (model, now, index)
        return index
