"""Embedding of trajectories, workbench included, beside the bare embedder on the same texts.

    python benchmarks/embedding.py [--units 5000]

Prints texts a second of both and their ratio (target: at least 0.8), what a second run costs, and the time to find the
nearest paths of one node. Writes JSON to benchmarks/results/embedding.json.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from uuid import UUID

import pyarrow as pa
from graph import WORDS

from regraft.flows.evaluation.embeddings import materialise_embeddings
from regraft.flows.evaluation.trajectories import _UNITS
from regraft.infra.duckdb.evaluation.embeddings import Embeddings
from regraft.infra.duckdb.evaluation.workbench import Workbench
from regraft.infra.embedding.static import StaticEmbedder

RESULTS = Path(__file__).parent / "results"
TARGET = 0.8


def text(number: int) -> str:
    """About 1,000 characters that no other number has."""
    return " ".join(WORDS[(number * 7 + at * (3 + number % 5)) % len(WORDS)] for at in range(180)) + f" {number}"


def unit(number: int) -> dict[str, object]:
    """A row of ``trajectory_units``."""
    kinds = {pa.string(): "", pa.int64(): 1, pa.float64(): 1.0, pa.bool_(): False}
    row = {field.name: kinds.get(field.type, []) for field in _UNITS}
    same = str(UUID(int=number))
    return {**row, "unit_id": same, "session_id": same, "turn_id": same, "anchor": same, "text": text(number)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--units", type=int, default=5_000)
    count = parser.parse_args().units
    embedder = StaticEmbedder()
    embedder.embed(["warm"])
    texts = [text(number) for number in range(count)]
    began = time.process_time()
    for start in range(0, count, 4096):
        embedder.embed(texts[start : start + 4096])
    bare = count / (time.process_time() - began)
    with tempfile.TemporaryDirectory() as folder:
        bench = Path(folder) / "bench.duckdb"
        rows = pa.Table.from_pylist([unit(number) for number in range(count)], schema=_UNITS)
        Workbench(bench).replace_units([], rows)
        began = time.process_time()
        assert materialise_embeddings(bench, embedder).units == count
        whole = count / (time.process_time() - began)
        began = time.process_time()
        assert materialise_embeddings(bench, embedder).embedded == 0
        again = time.process_time() - began
        vector = embedder.embed([text(1)])[0].as_py()
        began = time.perf_counter()
        assert len(Embeddings(bench).nearest(embedder.model, vector, UUID(int=1), 10)) == 10
        nearest = time.perf_counter() - began
    figures = {
        "texts": count,
        "bare embedder, texts/CPU-s": bare,
        "materialised, texts/CPU-s": whole,
        f"ratio (target {TARGET})": whole / bare,
        "second run, CPU s": again,
        "nearest 10, ms": nearest * 1e3,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "embedding.json").write_text(json.dumps(figures, indent=1))
    for name, value in figures.items():
        print(f"{name:<40} {value:>14,.2f}")


if __name__ == "__main__":
    main()
