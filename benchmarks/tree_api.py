"""Requests of the tree page to the web API, end to end, each with its limit.

    python benchmarks/tree_api.py [--nodes 10000 20000 100000]

Fills a separate PostgreSQL in a temporary folder with trees of branching_tree.sql; prints a table and writes JSON to
benchmarks/results/tree_api.json. The limit is for 10,000 nodes and grows with them. A ratio above 1 misses its limit.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from statistics import median

from _postgres import temporary_postgres
from starlette.testclient import TestClient

from regraft.infra.postgres.pool import connect
from regraft.presentation.web.app import make_app

RESULTS = Path(__file__).parent / "results"
TREE = Path(__file__).with_name("branching_tree.sql")
LIMITS_MS = {"shape": 100, "words": 300, "stale": 100, "find?q=refund": 200}  # for 10,000 nodes
ROUNDS = 9


def main() -> None:
    """Fill, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, nargs="+", default=[10_000, 20_000, 100_000])
    sizes = parser.parse_args().nodes
    with temporary_postgres() as postgres:
        figures = measure(postgres.database(), postgres.folder, sizes)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "tree_api.json").write_text(json.dumps(figures, indent=1))
    print(f"{'request':<28} {'nodes':>8} {'KB':>8} {'best ms':>9} {'median':>9} {'limit':>7} {'ratio':>6}")
    for each in figures:
        print(
            f"{each['request']:<28} {each['nodes']:>8} {each['bytes'] / 1e3:>8.0f} {each['best_ms']:>9.1f}"
            f" {each['ms']:>9.1f} {each['limit_ms']:>7.0f} {each['ratio']:>6.2f}"
        )


def measure(dsn: str, folder: Path, sizes: list[int]) -> list[dict[str, float | str]]:
    """A row per request and size: bytes, milliseconds, the limit, and the ratio of the median to it."""
    figures: list[dict[str, float | str]] = []
    with connect(dsn, autocommit=True) as connection:
        for nodes in sizes:
            with connection.transaction():
                connection.execute(TREE.read_text().format(name=f"tree{nodes}", nodes=nodes).encode())
        connection.execute("VACUUM ANALYZE")
    with TestClient(make_app(dsn, workbench=folder / "workbench.duckdb")) as client:
        for nodes in sizes:
            for request, limit in LIMITS_MS.items():
                times = []
                for _ in range(ROUNDS):
                    began = time.perf_counter()
                    reply = client.get(f"/api/sessions/tree{nodes}/{request}")
                    times.append((time.perf_counter() - began) * 1e3)
                    assert reply.status_code == 200, reply.text
                scaled = limit * max(nodes / 10_000, 1)
                figures.append(
                    {
                        "request": request,
                        "nodes": nodes,
                        "bytes": len(reply.content),
                        "best_ms": min(times),
                        "ms": median(times[1:]),
                        "limit_ms": scaled,
                        "ratio": median(times[1:]) / scaled,
                    }
                )
    return figures


if __name__ == "__main__":
    main()
