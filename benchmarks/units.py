"""Materialisation of trajectory units: paths a second, from short conversations and from long ones.

    python benchmarks/units.py [--sessions 3000] [--long 60]

Short: four questions each, the last one answered twice, so two paths a session. Long: the 100-turn conversations of
graph.py, whose histories have up to 200 messages. Prints paths and messages a second (target: at least 3,000 short
paths a second), beside the limit measured in the same run: PostgreSQL's answer to the same query, read and thrown away.
Writes JSON to benchmarks/results/units.json. Starts a separate PostgreSQL in a temporary folder.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from uuid import UUID

from _postgres import TemporaryPostgres, temporary_postgres
from graph import _text
from graph import exchanges as long_ones

from regraft.domain.capture.exchange import Exchange, Identity
from regraft.flows.capture.ingest import SeenIds, ingest
from regraft.flows.evaluation.trajectories import materialise_units
from regraft.flows.lineage import build as lineage
from regraft.infra.nats.codec import encode_exchange
from regraft.infra.postgres.arrow import reading
from regraft.infra.postgres.pool import connect

RESULTS = Path(__file__).parent / "results"
TARGET = 3_000
QUESTIONS = 4


def short_ones(sessions: int) -> Iterator[Exchange]:
    """Conversations of four questions; the last one has two answers."""
    made = 0
    for number in range(sessions):
        messages = [{"role": "system", "content": "You are brief."}]
        for turn in range(QUESTIONS):
            messages.append({"role": "user", "content": _text(number * 10 + turn, 20)})
            for retry in range(2 if turn == QUESTIONS - 1 else 1):
                said = {"role": "assistant", "content": _text(number * 10 + turn + 5 * retry, 60)}
                reply = {
                    "model": "m",
                    "choices": [{"index": 0, "finish_reason": "stop", "message": said}],
                    "usage": {"prompt_tokens": 9, "completion_tokens": 9},
                }
                yield Exchange(
                    event_id=UUID(int=(7 << 76) | (2 << 62) | made),
                    scope="default",
                    endpoint="/v1/chat/completions",
                    upstream="bench",
                    upstream_pin="",
                    started_ns=1_700_000_000_000_000_000 + made * 1_000_000,
                    first_byte_ns=1_000_000,
                    duration_ns=5_000_000,
                    request_body=json.dumps({"model": "m", "messages": messages, "temperature": 0.5 + retry}).encode(),
                    status=200,
                    response_type="application/json",
                    response_encoding="",
                    response_body=json.dumps(reply).encode(),
                    identity=Identity(session=f"short-{number}"),
                )
                made += 1
            messages.append(said)


def measured(server: TemporaryPostgres, name: str, calls: Iterable[Exchange]) -> dict[str, float]:
    """Store and place the calls, then materialise their paths."""
    dsn = server.database()
    seen, waiting = SeenIds(), iter(calls)
    with connect(dsn, autocommit=True) as connection:
        while batch := [encode_exchange(each) for each in islice(waiting, 1000)]:
            ingest(connection, batch, seen)
        lineage.build(dsn)
        connection.execute("ANALYZE")
    with reading(dsn, "postgres/evaluation/evaluation") as truth:
        ids = [row["session_id"] for row in truth.rows("session_ids")]
        began = time.perf_counter()
        rows = messages = 0
        for start in range(0, len(ids), 500):
            table = truth.table("units", ids[start : start + 500])
            rows += table.num_rows
        limit = rows / (time.perf_counter() - began)
    bench = server.folder / f"{name}.duckdb"
    cpu, began = time.process_time(), time.perf_counter()
    done = materialise_units(dsn, bench)
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    assert done.units == rows
    with connect(dsn) as connection:
        found = connection.execute(
            "SELECT sum(c.depth) AS messages FROM conversation_branch_nodes n JOIN context c"
            " ON c.context_id = n.context_snapshot_id WHERE NOT EXISTS ("
            " SELECT FROM conversation_branch_nodes b WHERE b.parent_node_id = n.node_id)"
        ).fetchone()
        messages = found["messages"] if found else 0
    began = time.perf_counter()
    assert materialise_units(dsn, bench).units == 0
    return {
        f"{name}: paths": rows,
        f"{name}: paths/s": rows / wall,
        f"{name}: messages/s": float(messages) / wall,
        f"{name}: paths/CPU-s of this process": rows / cpu,
        f"{name}: the query alone, paths/s": limit,
        f"{name}: over the query alone": rows / wall / limit,
        f"{name}: nothing new, s": time.perf_counter() - began,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=3_000, help="short conversations")
    parser.add_argument("--long", type=int, default=60, help="long conversations")
    options = parser.parse_args()
    figures: dict[str, float] = {}
    with temporary_postgres() as server:
        figures |= measured(server, "short", short_ones(options.sessions))
        figures |= measured(server, "long", long_ones(options.long * 110))
    figures[f"short paths/s over the target of {TARGET}"] = figures["short: paths/s"] / TARGET
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "units.json").write_text(json.dumps(figures, indent=1))
    for label, value in figures.items():
        print(f"{label:<44} {value:>14,.2f}")


if __name__ == "__main__":
    main()
