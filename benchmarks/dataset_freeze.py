"""Datasets: time and memory of preview, freeze, verify and export, over many short conversations.

    python benchmarks/dataset_freeze.py [--rows 100000] [--characters 0]

The truth is filled as sets (large_graph.sql): one conversation of two turns a row, and of each message so many
characters more. Units are measured before the clock starts. A freeze is compared with a bare Parquet write of the very
same rows in the same run, and with its floor: reading the same turns from PostgreSQL and decoding their messages, which
any freeze has to do. Its steps are timed apart: bringing the workbench up to date, ranking, making rows, splitting,
writing. Prints a table and writes JSON to benchmarks/results/dataset_freeze.json. A million rows need about 10 GB of
disk and half an hour.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pyarrow.compute as pc
import pyarrow.parquet as pq
from _postgres import temporary_postgres

from regraft.flows.datasets.assembly import assemble
from regraft.flows.datasets.export import export
from regraft.flows.datasets.freeze import freeze
from regraft.flows.datasets.preview import preview
from regraft.flows.datasets.recorded_turns import QUERIES, TurnReader
from regraft.flows.datasets.stored import RowFilter, StoredSnapshots
from regraft.flows.datasets.verify import verify
from regraft.flows.evaluation.pairs import propose_pairs
from regraft.flows.evaluation.trajectories import materialise_units
from regraft.infra.files.recipes import parse_recipe
from regraft.infra.postgres.arrow import reading
from regraft.infra.postgres.datasets import registry
from regraft.infra.postgres.pool import connect

RESULTS = Path(__file__).parent / "results"
LARGE = Path(__file__).with_name("large_graph.sql")
FILLED_AT_ONCE = 50_000
RECIPE = """
name = "many"
kind = "sft"
[source]
labels = ["signals"]
min_outcome = 0.0
[splits]
train = 0.9
validation = 0.1
"""
Result = TypeVar("Result")


def timed(work: Callable[[], Result]) -> tuple[float, Result]:
    """Seconds, and what came of it."""
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


def main() -> None:
    """Fill, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--characters", type=int, default=0)
    asked = parser.parse_args()
    rows = asked.rows
    with temporary_postgres() as postgres:
        dsn, folder = postgres.database(), postgres.folder / "datasets"
        folder.mkdir()
        bench, warehouse = folder / "workbench.duckdb", str(folder / "warehouse")
        fill(dsn, rows)
        if asked.characters:
            lengthen(dsn, asked.characters)
        seconds, units = timed(lambda: materialise_units(dsn, bench))
        print(f"units measured: {units.units / seconds:,.0f} a second", flush=True)
        propose_pairs(dsn, bench)
        previewed, _ = timed(lambda: preview(RECIPE, dsn=dsn, workbench=bench))
        steps = Steps()
        busy = time.process_time()
        frozen, snapshot = timed(
            lambda: freeze(RECIPE, dsn=dsn, workbench=bench, warehouse=warehouse, progress=steps.progress)
        )
        busy = time.process_time() - busy
        steps.progress("", 0, 0)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        count = sum(snapshot.row_counts.values())
        proved, proof = timed(lambda: verify(snapshot.snapshot_id, dsn=dsn, warehouse=warehouse))
        assert proof.ok, proof
        exported, _ = timed(lambda: export(snapshot.snapshot_id, folder / "out", dsn=dsn, warehouse=warehouse))
        bare, floor = bare_write(dsn, bench, folder / "bare.parquet")
        pages = read_pages(dsn, warehouse)
    figures = {
        "rows": count,
        "preview, seconds (limit 5 at 100,000 candidates)": previewed,
        "freeze, rows a second": count / frozen,
        "bare Parquet write, rows a second": count / bare,
        "freeze over bare Parquet write": bare / frozen,
        "reading and decoding the same turns, rows a second": count / floor,
        "freeze over its floor, reading and decoding (target 0.4)": floor / frozen,
        "freeze, microseconds of this process's CPU for a row": busy / count * 1e6,
        **{f"freeze, share of {name}": seconds / frozen for name, seconds in steps.seconds.items()},
        "verify, rows a second": count / proved,
        "verify over 20,000 rows a second": count / proved / 20_000,
        "export, rows a second": count / exported,
        "export over 20,000 rows a second": count / exported / 20_000,
        **pages,
        "peak memory of the freeze, MB (limit 1,500 at 1,000,000 rows)": peak,
    }
    for name, value in figures.items():
        print(f"{name}: {value:,.3f}" if value < 100 else f"{name}: {value:,.0f}")
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "dataset_freeze.json").write_text(json.dumps(figures, indent=1))


class Steps:
    """Seconds of each step of a freeze, by its progress."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._step, self._began = "", time.perf_counter()

    def progress(self, step: str, done: int, total: int) -> None:
        """Another step begins where its name is another one."""
        if step != self._step:
            now = time.perf_counter()
            if self._step:
                self.seconds[self._step] = self.seconds.get(self._step, 0.0) + now - self._began
            self._step, self._began = step, now


def read_pages(dsn: str, warehouse: str) -> dict[str, float]:
    """Milliseconds of what the page asks of a snapshot, after its files were listed once."""
    with connect(dsn) as connection:
        (record,) = registry.snapshots(connection)
    stored = StoredSnapshots(dsn, warehouse)
    listed, first = timed(lambda: stored.page(record, 0, 100, RowFilter()))
    begin, _ = timed(lambda: stored.page(record, 0, 100, RowFilter()))
    middle, _ = timed(lambda: stored.page(record, first.of // 2, 100, RowFilter()))
    nowhere, _ = timed(lambda: stored.page(record, 0, 100, RowFilter(text="words that no row has")))
    last = stored.page(record, first.of - 1, 1, RowFilter()).rows[0]
    one, _ = timed(lambda: stored.row(record, last.row_id))
    return {
        "first page of rows, files listed, ms": listed * 1000,
        "first page of rows, ms": begin * 1000,
        "a page of rows in the middle, ms (limit 100)": middle * 1000,
        "search through 20,000 rows, ms": nowhere * 1000,
        "one row by its id, the last, ms (limit 100)": one * 1000,
    }


def fill(dsn: str, rows: int) -> None:
    """Store conversations of two turns each."""
    with connect(dsn, autocommit=True) as connection:
        for start in range(0, rows, FILLED_AT_ONCE):
            sessions = min(FILLED_AT_ONCE, rows - start)
            with connection.transaction():
                text = LARGE.read_text().format(prefix=f"fill{start}-", sessions=sessions, turns=2)
                text = text.replace("'answer ' ||", f"'answer {start} ' ||")  # or rows of two fillings are equal
                connection.execute(text.encode())
        connection.execute("VACUUM ANALYZE")


def lengthen(dsn: str, characters: int) -> None:
    """Make each message longer, by words that none of them shares."""
    with connect(dsn, autocommit=True) as connection:
        connection.execute(
            """UPDATE message SET body = json_build_object('role', role, 'content', (body->>'content') || (
                   SELECT string_agg(' ' || md5(message_id::text || each), '') FROM generate_series(1, %s) AS each))""",
            [max(1, characters // 33)],
        )
        connection.execute("VACUUM ANALYZE message")


def bare_write(dsn: str, bench: Path, path: Path) -> tuple[float, float]:
    """Seconds that a plain Parquet write of the same rows takes, and that reading and decoding their turns does."""
    with assemble(parse_recipe(RECIPE), dsn, bench) as made:
        began = time.perf_counter()
        with pq.ParquetWriter(path, made.rows.schema, compression="zstd") as writer:
            for batch in made.rows.batches():
                writer.write_batch(batch)
        written = time.perf_counter() - began
        began = time.perf_counter()
        with reading(dsn, QUERIES) as log:
            reader = TurnReader(log)
            for batch in made.rows.batches():
                reader.read(pc.list_flatten(batch.column("source_turns")).to_pylist())
        return written, time.perf_counter() - began


if __name__ == "__main__":
    main()
