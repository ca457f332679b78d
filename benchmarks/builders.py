"""Graph build by one builder and by several at once: turns per second, and their ratio.

    python benchmarks/builders.py [--turns 60000] [--builders 2] [--rounds 3]

The same log is built repeatedly: by one builder, by one as if others were running, by threads and by processes. The
best of several rounds counts, because other load only slows a build. Prints each result with that of one builder, and
the CPU time of builders and server, which other load affects less. Writes JSON to benchmarks/results/builders.json.
Starts a separate PostgreSQL in a temporary folder."""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from _postgres import temporary_postgres
from graph import BATCH, exchanges

from regraft.flows.capture.ingest import SeenIds, ingest
from regraft.flows.lineage import build as lineage
from regraft.flows.lineage.chunk import Builder
from regraft.infra.nats.codec import encode_exchange
from regraft.infra.postgres.lineage import graph as store
from regraft.infra.postgres.migrate import migrate
from regraft.infra.postgres.pool import Connection, connect, transaction

RESULTS = Path(__file__).parent / "results"
BUILD = "import sys\nfrom regraft.flows.lineage.build import build\ninput()\nbuild(sys.argv[1])"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=60_000)
    parser.add_argument("--builders", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with temporary_postgres() as postgres:
        figures = measure(postgres.dsn, arguments.turns, arguments.builders, arguments.rounds)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "builders.json").write_text(json.dumps(figures, indent=1))
    for name, value in figures.items():
        print(f"{name:<44} {value:>14,.3f}" if isinstance(value, float) else f"{name:<44} {value:>14,}")


def measure(dsn: str, turns: int, builders: int, rounds: int) -> dict[str, float | int]:
    figures: dict[str, float | int] = {}
    with connect(dsn, autocommit=True) as connection:
        migrate(connection)
        figures["turns"] = count = fill(connection, turns)
        lineage.build(dsn)  # the server's memory is warm from here on
        ways: dict[str, tuple[Callable[[], object], Callable[[], None] | None]] = {
            "1 builder": (lambda: lineage.build(dsn), None),
            "1 builder as if beside others": (lambda: _beside(dsn), None),
            f"{builders} threads": (lambda: lineage.build(dsn, builders=builders), None),
            f"{builders} processes": _processes(dsn, builders),
        }
        best = dict.fromkeys(ways, float("inf"))
        least = dict.fromkeys(ways, float("inf"))
        for _ in range(rounds):
            for name, (build, prepare) in ways.items():
                before = server_cpu(connection)
                best[name] = min(best[name], _timed(connection, build, prepare))
                least[name] = min(least[name], server_cpu(connection) - before)
    for name, seconds in best.items():
        figures[f"{name}, turns/s"] = count / seconds
        figures[f"{name}, over 1 builder"] = best["1 builder"] / seconds
        figures[f"{name}, CPU us/turn"] = least[name] / count * 1e6
    return figures


def server_cpu(connection: Connection) -> float:
    """CPU seconds of this process, of its children that ended, and of the server's connections that ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    own = sum(each.ru_utime + each.ru_stime for each in used)
    server = Path(f"/proc/{_parent(connection.info.backend_pid)}/stat").read_text().rpartition(")")[2].split()
    return own + (int(server[13]) + int(server[14])) / os.sysconf("SC_CLK_TCK")


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _beside(dsn: str) -> None:
    builder = Builder(beside=True)
    while True:
        with transaction(dsn) as connection:
            placed = builder.place(connection)
        if placed is None:
            return
        builder.succeeded(placed)


def fill(connection: Connection, turns: int) -> int:
    """Ingest conversations; returns how many turns."""
    seen, batch, count = SeenIds(), [], 0
    for exchange in exchanges(turns):
        batch.append(encode_exchange(exchange))
        if len(batch) == BATCH:
            ingest(connection, batch, seen)
            count, batch = count + len(batch), []
    return count


def _timed(connection: Connection, build: Callable[[], object], prepare: Callable[[], None] | None = None) -> float:
    """Seconds of a build of the whole log."""
    store.clear(connection)
    connection.execute("VACUUM ANALYZE")
    connection.execute("CHECKPOINT")
    if prepare:
        prepare()
    began = time.perf_counter()
    build()
    return time.perf_counter() - began


def _processes(dsn: str, builders: int) -> tuple[Callable[[], object], Callable[[], None]]:
    """Let builders that have started go, and wait for them; start them."""
    running: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        running.clear()
        command = [sys.executable, "-c", BUILD, dsn]
        running.extend(subprocess.Popen(command, stdin=subprocess.PIPE) for _ in range(builders))
        time.sleep(3)  # until they have imported what they need

    def go() -> None:
        for process in running:
            assert process.stdin
            process.stdin.write(b"\n")
            process.stdin.close()
        assert [process.wait() for process in running] == [0] * builders

    return go, start


if __name__ == "__main__":
    main()
