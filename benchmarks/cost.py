"""The cost of a million turns: measured CPU seconds and bytes per turn, times given prices.

    python benchmarks/cost.py [--turns 20000] [--cpu-hour 0.05] [--gb-month 0.12] [--gateway-us 37]

CPU seconds count ingest or the builder together with PostgreSQL's; --gateway-us is the gateway's CPU a call (gateway.py
measures it). Bytes are those of PostgreSQL with all indexes, for conversations of 100 turns with growing histories and
messages of 150 to 300 bytes: longer ones add their compressed bytes. Prices are in any currency.
Writes JSON to benchmarks/results/cost.json. Starts a separate PostgreSQL in a temporary folder.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from _postgres import temporary_postgres
from builders import fill, server_cpu

from regraft.flows.lineage import build as lineage
from regraft.infra.postgres.migrate import migrate
from regraft.infra.postgres.pool import connect

RESULTS = Path(__file__).parent / "results"
MILLION = 1_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=20_000)
    parser.add_argument("--cpu-hour", type=float, default=0.05, help="price of an hour of a core")
    parser.add_argument("--gb-month", type=float, default=0.12, help="price of a gigabyte of disk for a month")
    parser.add_argument("--gateway-us", type=float, default=37.0, help="the gateway's CPU a call, microseconds")
    given = parser.parse_args()
    with temporary_postgres() as postgres:
        figures = measure(postgres.dsn, given.turns)
    figures["gateway, CPU s/million turns"] = given.gateway_us
    cpu = sum(value for name, value in figures.items() if "CPU" in name)
    gigabytes = sum(value for name, value in figures.items() if "GB" in name)
    figures["CPU s/million turns in all"] = cpu
    figures["GB/million turns in all"] = gigabytes
    figures["CPU price/million turns"] = cpu / 3600 * given.cpu_hour
    figures["disk price/million turns and month"] = gigabytes * given.gb_month
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "cost.json").write_text(json.dumps(figures, indent=1))
    for name, value in figures.items():
        print(f"{name:<44} {value:>14,.3f}")


def measure(dsn: str, turns: int) -> dict[str, float]:
    """CPU seconds and gigabytes of a million turns."""
    with connect(dsn, autocommit=True) as watching:
        migrate(watching)
        before = server_cpu(watching)
        with connect(dsn, autocommit=True) as connection:
            count = fill(connection, turns)
        stored = server_cpu(watching)
        lineage.build(dsn)
        built = server_cpu(watching)
        watching.execute("VACUUM ANALYZE")
        tables = watching.execute(
            """SELECT relname IN ('conversation_sessions', 'conversation_branch_nodes', 'execution_run_records',
                'response_branch_records', 'turn_link', 'unsettled_node') AS graph,
                sum(pg_total_relation_size(oid)) AS bytes
            FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace GROUP BY 1"""
        ).fetchall()
    size = {row["graph"]: float(row["bytes"]) for row in tables}
    return {
        "ingest, CPU s/million turns": (stored - before) / count * MILLION,
        "graph, CPU s/million turns": (built - stored) / count * MILLION,
        "log, GB/million turns": size[False] / count * MILLION / 1e9,
        "graph, GB/million turns": size[True] / count * MILLION / 1e9,
    }


if __name__ == "__main__":
    main()
