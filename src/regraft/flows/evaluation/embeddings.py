"""Trajectories into vectors. ``neighbours.py`` searches them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regraft.infra.duckdb.evaluation.embeddings import Embeddings, WorkbenchPieces
from regraft.infra.embedding import Embedder
from regraft.infra.embedding.configured import embedder_of

__all__ = ["EmbedCounts", "Embedder", "Progress", "embedder_of", "materialise_embeddings"]

_BATCH = 4_096  # texts that are embedded before their vectors are stored, and their characters:
_BATCH_CHARACTERS = 4_000_000
Progress = Callable[[int, int], None]  # texts embedded, and how many there are to embed


@dataclass(frozen=True, slots=True)
class EmbedCounts:
    """``embedded`` texts were sent to the embedder; ``units`` have a vector of ``model`` now."""

    model: str
    embedded: int
    units: int


def materialise_embeddings(workbench: Path, embedder: Embedder, progress: Progress | None = None) -> EmbedCounts:
    """Bring ``trajectory_embeddings`` up to the units. A text that has a vector is never embedded again."""
    bench = Embeddings(workbench)
    model = embedder.model
    known = WorkbenchPieces(bench, model)
    wanted = bench.refresh(model)
    done = 0
    for batch in _batches(wanted):
        texts = bench.texts([each["unit_id"] for each in batch])
        present = [each for each in batch if each["unit_id"] in texts]
        vectors = embedder.embed([texts[each["unit_id"]] for each in present], known)  # the file is not open meanwhile
        bench.add(model, present, vectors)
        done += len(batch)
        if progress:
            progress(done, len(wanted))
    if any(each["units"] > 1 for each in wanted):
        bench.reuse(model)
    return EmbedCounts(model, len(wanted), bench.count(model))


def _batches(wanted: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    characters = 0
    for each in wanted:
        batch.append(each)
        characters += each["characters"]
        if len(batch) >= _BATCH or characters >= _BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch
