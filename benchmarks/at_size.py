"""Ingest and graph build as the log grows: time per turn at 10 thousand, 100 thousand and 1 million stored turns.

    python benchmarks/at_size.py [--largest 1000000]

The truth is filled as sets (large_graph.sql); then 10,000 more turns of 100-turn conversations go through the real
ingest and build, twice at each size. Prints each time over that of the smallest size (target: at most 1.3) and writes
JSON to benchmarks/results/at_size.json. Needs about 4 GB of disk and a quarter of an hour for a million turns.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from _postgres import temporary_postgres
from graph import BATCH, exchanges

from regraft.flows.capture.ingest import SeenIds, ingest
from regraft.flows.lineage import build as lineage
from regraft.infra.nats.codec import encode_exchange
from regraft.infra.postgres.pool import Connection, connect

RESULTS = Path(__file__).parent / "results"
LARGE = Path(__file__).with_name("large_graph.sql")
SIZES = (10_000, 100_000, 1_000_000)
ADDED = 10_000  # turns that are measured
ROUNDS = 2
FILLED_AT_ONCE = 1_000  # conversations of 110 turns
TARGET = 1.3


def main() -> None:
    """Fill, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--largest", type=int, default=SIZES[-1])
    sizes = [size for size in SIZES if size <= parser.parse_args().largest]
    figures: dict[str, dict[str, float]] = {}
    with temporary_postgres() as postgres:
        dsn = postgres.database()
        with connect(dsn, autocommit=True) as connection:
            conversation = filled = 0
            for size in sizes:
                filled = fill(connection, size, filled)
                connection.execute("VACUUM ANALYZE")
                rounds = []
                for _ in range(ROUNDS):
                    rounds.append(added(connection, dsn, conversation))
                    conversation += ADDED // 100
                figures[f"{size:,}"] = {name: min(each[name] for each in rounds) for name in rounds[0]}
                told = ", ".join(f"{name} {us:.0f} us" for name, us in figures[f"{size:,}"].items())
                print(f"{size:>9,} turns stored: {told} a turn", flush=True)
    smallest = figures[f"{sizes[0]:,}"]
    for size in sizes[1:]:
        for name, us in figures[f"{size:,}"].items():
            print(f"{name} at {size:,} over {sizes[0]:,}: {us / smallest[name]:.2f} (target {TARGET})")
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "at_size.json").write_text(json.dumps(figures, indent=1))


def fill(connection: Connection, size: int, filled: int) -> int:
    """Store conversations until there are ``size`` turns; returns how many conversations there are."""
    while filled * 110 < size:
        count = min(FILLED_AT_ONCE, -(-(size - filled * 110) // 110))
        with connection.transaction():
            text = LARGE.read_text().format(prefix=f"fill{filled}-", sessions=count, turns=100)
            connection.execute(text.encode())
        filled += count
    return filled


def added(connection: Connection, dsn: str, conversation: int) -> dict[str, float]:
    """Microseconds a turn of ingest and of build, for turns that come on top."""
    records = [encode_exchange(each) for each in exchanges(ADDED, conversation)]
    stored = SeenIds()
    began = time.perf_counter()
    for start in range(0, len(records), BATCH):
        ingest(connection, records[start : start + BATCH], stored)
    between = time.perf_counter()
    assert lineage.build(dsn).turns == len(records)
    ended = time.perf_counter()
    return {"ingest": (between - began) / ADDED * 1e6, "build": (ended - between) / ADDED * 1e6}


if __name__ == "__main__":
    main()
