"""Embedding of trajectories, workbench included, beside the bare models on the same texts.

    python benchmarks/embedding.py [--units 5000] [--long 400]

Prints texts a second of both and their ratio for the static table and for MiniLM (target: at least 0.9), and what a
second run costs. The bare MiniLM is the onnxruntime session alone over the same tokens, sorted by length, in padded
batches of 8. Writes JSON to benchmarks/results/embedding.json.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import numpy as np
import pyarrow as pa
from graph import WORDS

from regraft.flows.evaluation.embeddings import materialise_embeddings
from regraft.flows.evaluation.trajectories import _UNITS
from regraft.infra.duckdb.evaluation.workbench import Workbench
from regraft.infra.embedding import Embedder
from regraft.infra.embedding.minilm import MiniLmEmbedder
from regraft.infra.embedding.static import StaticEmbedder

RESULTS = Path(__file__).parent / "results"
TARGET = 0.9


def text(number: int, words: int = 180) -> str:
    """So many words, about 6 characters each, no ten of which another number has."""
    said = (WORDS[(number * 7 + at * (3 + number % 5)) % len(WORDS)] if at % 10 else str(number) for at in range(words))
    return " ".join(said)


def unit(number: int, words: int) -> dict[str, object]:
    """A row of ``trajectory_units``."""
    kinds = {pa.string(): "", pa.int64(): 1, pa.float64(): 1.0, pa.bool_(): False, pa.timestamp("us"): None}
    row = {field.name: kinds.get(field.type, []) for field in _UNITS}
    same = str(UUID(int=number))
    return {**row, "unit_id": same, "session_id": same, "turn_id": same, "anchor": same, "text": text(number, words)}


def bench_of(folder: str, name: str, count: int, length: Callable[[int], int]) -> Path:
    """A workbench with so many units, which read like ``text``."""
    bench = Path(folder) / name
    rows = pa.Table.from_pylist([unit(number, length(number)) for number in range(count)], schema=_UNITS)
    Workbench(bench).replace_units([], rows)
    return bench


def bare_static(texts: list[str]) -> float:
    """Texts a CPU-second of the table alone."""
    embedder = StaticEmbedder()
    embedder.embed(["warm"])
    began = time.process_time()
    for start in range(0, len(texts), 4096):
        embedder.embed(texts[start : start + 4096])
    return len(texts) / (time.process_time() - began)


def bare_minilm(embedder: MiniLmEmbedder, texts: list[str]) -> float:
    """Texts a CPU-second of the onnxruntime session alone, fed with the same chunks in padded batches of 8."""
    chunks = [np.frombuffer(chunk, np.int32) for one in texts for chunk in embedder._chunks(one)]
    chunks.sort(key=len)
    batches = []
    for start in range(0, len(chunks), 8):
        some = chunks[start : start + 8]
        longest = len(some[-1])
        ids = np.array([np.pad(chunk, (0, longest - len(chunk))) for chunk in some], dtype=np.int64)
        mask = np.array([[1] * len(chunk) + [0] * (longest - len(chunk)) for chunk in some], dtype=np.int64)
        batches.append({"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)})
    began = time.process_time()
    for batch in batches:
        embedder._session.run(None, batch)
    return len(texts) / (time.process_time() - began)


def materialised(bench: Path, embedder: Embedder, count: int) -> tuple[float, float]:
    """Texts a CPU-second, workbench included, and the CPU seconds of a second run."""
    began = time.process_time()
    assert materialise_embeddings(bench, embedder).units == count
    first = time.process_time() - began
    began = time.process_time()
    assert materialise_embeddings(bench, embedder).embedded == 0
    return count / first, time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--units", type=int, default=5_000, help="texts for the static table")
    parser.add_argument("--long", type=int, default=400, help="texts for MiniLM, of 5 to 600 words")
    options = parser.parse_args()
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        static, count = StaticEmbedder(), options.units
        bare = bare_static([text(number) for number in range(count)])
        bench = bench_of(folder, "static.duckdb", count, lambda _: 180)
        static.embed(["warm"])
        whole, again = materialised(bench, static, count)
        figures |= {
            "static: texts": count,
            "static: bare, texts/CPU-s": bare,
            "static: materialised, texts/CPU-s": whole,
            f"static: ratio (target {TARGET})": whole / bare,
            "static: second run, CPU s": again,
        }
        minilm, count = MiniLmEmbedder(), options.long
        minilm.embed(["warm"])

        def length(number: int) -> int:
            return (5, 20, 60, 180, 600)[number % 5]

        bare = bare_minilm(minilm, [text(number, length(number)) for number in range(count)])
        bench = bench_of(folder, "minilm.duckdb", count, length)
        whole, again = materialised(bench, minilm, count)
        figures |= {
            "minilm: texts": count,
            "minilm: bare session, texts/CPU-s": bare,
            "minilm: materialised, texts/CPU-s": whole,
            f"minilm: ratio (target {TARGET})": whole / bare,
            "minilm: second run, CPU s": again,
        }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "embedding.json").write_text(json.dumps(figures, indent=1))
    for name, value in figures.items():
        print(f"{name:<44} {value:>14,.2f}")


if __name__ == "__main__":
    main()
