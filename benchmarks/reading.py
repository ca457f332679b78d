"""Reading a large graph: path to root, history, tree of a session, timeline of a session; warm, each beside its limit.

    python benchmarks/reading.py [--sessions 500]

Fills a separate PostgreSQL in a temporary folder with conversations of 100 turns (large_graph.sql), one of 2,300
messages and one of 10,000 nodes; prints a table and writes JSON to benchmarks/results/reading.json. A ratio above 1
misses its limit.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from _postgres import temporary_postgres

from regraft.flows.capture.runtime import build_runtime
from regraft.infra.duckdb.capture.runtime import RuntimeTables
from regraft.infra.postgres.lineage import reading
from regraft.infra.postgres.migrate import migrate
from regraft.infra.postgres.pool import connect

RESULTS = Path(__file__).parent / "results"
LARGE = Path(__file__).with_name("large_graph.sql")
LONG, WIDE, USUAL = "long1", "wide1", "bulk7"
ROUNDS = 11


def main() -> None:
    """Fill, read, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=500)
    sessions = parser.parse_args().sessions
    with temporary_postgres() as postgres:
        figures = measure(postgres.dsn, postgres.folder, sessions)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "reading.json").write_text(json.dumps(figures, indent=1))
    for name, figure in figures.items():
        limit = f"{figure['limit_ms']:>10.0f} {figure['ratio']:>8.2f}" if figure.get("limit_ms") else ""
        print(f"{name:<52} {figure['ms']:>10.2f} {limit}")


def measure(dsn: str, folder: Path, sessions: int) -> dict[str, dict[str, float]]:
    """By what is read: median milliseconds, the limit where there is one, and their ratio."""
    figures: dict[str, dict[str, float]] = {}

    def note(name: str, work: Callable[[], Any], limit: float | None = None) -> None:
        times = []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            work()
            times.append((time.perf_counter() - began) * 1e3)
        figures[name] = {"ms": median(times[1:])}
        if limit:
            figures[name] |= {"limit_ms": limit, "ratio": figures[name]["ms"] / limit}

    with connect(dsn, autocommit=True) as connection:
        migrate(connection)
        for prefix, count, turns in (("bulk", sessions, 100), ("long", 1, 1_150), ("wide", 1, 9_091)):
            with connection.transaction():
                connection.execute(LARGE.read_text().format(prefix=prefix, sessions=count, turns=turns).encode())
        connection.execute("VACUUM ANALYZE")
        ids = {name: reading.resolve_session(connection, name) for name in (LONG, WIDE, USUAL)}
        last = max(reading.session_tree(connection, ids[LONG]), key=lambda row: row["depth"])["node_id"]
        note("path to root, 2,300 messages", lambda: reading.path(connection, last), 10)
        note("history of a node, 2,300 messages", lambda: reading.node(connection, last))
        note("tree, 10,000 nodes", lambda: reading.session_tree(connection, ids[WIDE]), 150)
        note("tree, 110 nodes", lambda: reading.session_tree(connection, ids[USUAL]))
        sql = "SELECT * FROM session_tree(%s)"
        note("tree in SQL, 10,000 nodes", lambda: connection.execute(sql, (ids[WIDE],)).fetchall())
        note("50 sessions", lambda: reading.sessions(connection, 50))
    bench = folder / "workbench.duckdb"
    began = time.perf_counter()
    done = build_runtime(dsn, bench)
    figures["runtime tables, for 1,000 calls"] = {"ms": (time.perf_counter() - began) * 1e6 / max(done.calls, 1)}
    tables = RuntimeTables(bench)
    note("timeline of a session", lambda: tables.rows("session_timeline", session=ids[USUAL], limit=1000), 100)
    return figures


if __name__ == "__main__":
    main()
