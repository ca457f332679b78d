"""The workbench file is opened late and closed early, also by several threads of one process at a time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from regraft.infra.duckdb.evaluation.clusters import Clusters


def test_threads_of_one_process_may_read_it_at_the_same_time(tmp_path: Path) -> None:
    path = tmp_path / "workbench.duckdb"
    with Clusters(path)._open() as connection:
        connection.execute("CREATE TABLE numbers AS SELECT range AS n FROM range(2000000)")

    def read(_: int) -> int:
        with Clusters(path)._open() as connection:
            return int(connection.execute("SELECT sum(n % 2) FROM numbers").fetchone()[0])

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(read, range(600))) == {1_000_000}
