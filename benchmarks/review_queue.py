"""Claims of the review queue: 100,000 open items and eight reviewers, each a process that claims and answers.

    python benchmarks/review_queue.py [--items 100000] [--reviewers 8] [--claims 300] [--think 0.05]

Prints how long a claim takes (the lease, and reading and rendering what is shown), beside one that finds its item by id
and locks it, and how often an item was given twice; then the same without a pause between items, and for a reviewer who
is far ahead of everyone else. Writes JSON to benchmarks/results/review_queue.json. Starts a separate PostgreSQL in a
temporary folder.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from _postgres import temporary_postgres

from regraft.domain.evaluation.human_label import Rating
from regraft.domain.evaluation.review_queue import QueueFilter
from regraft.flows.evaluation.desk import ReviewDesk
from regraft.flows.evaluation.desk_records import ReviewPolicy
from regraft.infra.postgres.pool import Connection, connect

RESULTS = Path(__file__).parent / "results"
LIMIT = 0.020  # seconds of a claim, at p99
AHEAD = 5_000  # items that one reviewer judged and no one else did

# A path is one node with a history of six messages; all have the same texts, so that filling takes seconds.
FILL = """
SET session_replication_role = replica;
INSERT INTO message (message_id, role, body)
SELECT decode(md5('message ' || i), 'hex'), CASE WHEN i % 2 = 0 THEN 'assistant' ELSE 'user' END,
       json_build_object('role', CASE WHEN i % 2 = 0 THEN 'assistant' ELSE 'user' END, 'content', repeat('word ', 80))
FROM generate_series(1, 6) AS i;
INSERT INTO context (context_id, parent_id, message_id, depth, projection_id)
SELECT decode(md5('context ' || i), 'hex'), CASE WHEN i > 1 THEN decode(md5('context ' || i - 1), 'hex') END,
       decode(md5('message ' || i), 'hex'), i, decode(md5('projection ' || i), 'hex')
FROM generate_series(1, 5) AS i;
INSERT INTO session (session_id, scope, evidence)
SELECT md5('session ' || s)::uuid, 'default', 'opening' FROM generate_series(0, {items} / 10) AS s;
INSERT INTO session_turn (turn_id, event_id, choice_index, session_id, context_id, context_projection, context_depth,
    answer_id, answer_projection, node_id, node_status, finish_reason, tool_calls, started_at, purpose, system_digest,
    user_digest)
SELECT md5('turn ' || i)::uuid, md5('event ' || i)::uuid, 0, md5('session ' || i / 10)::uuid,
       decode(md5('context 5'), 'hex'), '', 5, decode(md5('message 6'), 'hex'), '', md5('node ' || i)::uuid, 'ok',
       'stop', 0, now(), 'chat', '', ''
FROM generate_series(1, {items}) AS i;
INSERT INTO conversation_branch_nodes (node_id, session_id, parent_node_id, turn_id, depth, turn_index, branch_kind,
    branch_reason, variant_config, node_status, context_snapshot_id, parent_evidence, runs)
SELECT node_id, session_id, session_id, turn_id, 1, 1, 'continuation', '', '{}', 'ok', context_id, 'prefix', 1
FROM session_turn;
INSERT INTO human_sample_queue (item_id, kind, subject_id, session_id, scope, theme, share, priority, draw, needed,
    created_at)
SELECT md5('item ' || i)::uuid, 'unit', md5('node ' || i)::uuid, md5('session ' || i / 10)::uuid, 'default',
       'theme ' || i % 20, CASE WHEN i % 5 = 0 THEN 'random' ELSE 'priority' END, random(), random(), 2, now()
FROM generate_series(1, {items}) AS i;
SET session_replication_role = origin
"""
JUDGED = """
INSERT INTO review_leases (lease_id, item_id, reviewer, claimed_at, expires_at, shown_first, ended_at, ended)
SELECT gen_random_uuid(), item_id, 'ahead', now(), now(), 'a', now(), 'submitted'
FROM human_sample_queue WHERE share = 'priority' AND closed_at IS NULL ORDER BY place, item_id LIMIT {items}
"""
TWICE = """
SELECT count(*) AS twice FROM (SELECT FROM human_eval_labels GROUP BY unit_id, reviewer HAVING count(*) > 1) AS again
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--reviewers", type=int, default=8)
    parser.add_argument("--claims", type=int, default=300)
    parser.add_argument("--think", type=float, default=0.05, help="seconds between an answer and the next claim")
    given = parser.parse_args()
    with temporary_postgres() as postgres:
        dsn = postgres.database()
        with connect(dsn, autocommit=True) as connection:
            for statement in FILL.split(";\n"):
                connection.execute(statement.replace("{items}", str(given.items)).encode())
            connection.execute("VACUUM ANALYZE")
        with multiprocessing.get_context("spawn").Pool(given.reviewers) as pool:
            locks = sorted(one for each in pool.map(_locks, [dsn] * given.reviewers) for one in each)
        bare, worst = locks[len(locks) // 2], locks[int(len(locks) * 0.99)]
        figures: dict[str, Any] = {"items": given.items, "reviewers": given.reviewers, "limit_ms": LIMIT * 1000}
        for name, think in (("thinking", given.think), ("without a pause", 0.0)):
            figures[name] = _measured(dsn, name, given.reviewers, given.claims, think)
        with connect(dsn, autocommit=True) as connection:
            connection.execute(JUDGED.replace("{items}", str(AHEAD)).encode())
            connection.execute("ANALYZE")
        figures["one who is ahead"] = _measured(dsn, "ahead", 1, 100, 0.0)
        with connect(dsn) as connection:
            row = connection.execute(TWICE.encode()).fetchone()
            assert row is not None
            figures["given_twice"] = row["twice"]
    figures |= {"bare_ms": bare * 1000, "bare_p99_ms": worst * 1000}
    print(f"{'case':<20} {'claims':>8} {'p50 ms':>8} {'p99 ms':>8} {'of limit':>9} {'p50/bare':>9} {'per second':>11}")
    for name in ("thinking", "without a pause", "one who is ahead"):
        each = figures[name]
        shares = f"{each['p99_ms'] / figures['limit_ms']:9.2f} {each['p50_ms'] / figures['bare_ms']:9.1f}"
        print(
            f"{name:<20} {each['claims']:>8} {each['p50_ms']:8.1f} {each['p99_ms']:8.1f} {shares}"
            f" {each['per_second']:11.0f}"
        )
    print(f"lock and change an item by its id, as many at once: p50 {bare * 1000:.1f} ms, p99 {worst * 1000:.1f} ms")
    print(f"items judged twice by one reviewer: {figures['given_twice']}")
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "review_queue.json").write_text(json.dumps(figures, indent=2))


def _locks(dsn: str) -> list[float]:
    """Seconds of transactions that each lock an item by its id and change it: what any lease costs at least."""
    times = []
    with connect(dsn, autocommit=True) as connection:
        sample = connection.execute("SELECT item_id FROM human_sample_queue ORDER BY random() LIMIT 150").fetchall()
        for row in sample:
            began = time.perf_counter()
            with connection.transaction():
                connection.execute("SELECT FROM human_sample_queue WHERE item_id = %(item_id)s FOR UPDATE", row)
                connection.execute("UPDATE human_sample_queue SET leased = 0 WHERE item_id = %(item_id)s", row)
            times.append(time.perf_counter() - began)
    return times


def _measured(dsn: str, name: str, reviewers: int, claims: int, think: float) -> dict[str, Any]:
    names = [name] if reviewers == 1 else [f"{name} {number}" for number in range(reviewers)]
    began = time.perf_counter()
    with multiprocessing.get_context("spawn").Pool(reviewers) as pool:
        found = pool.starmap(_review, [(dsn, each, claims, think) for each in names])
    seconds = time.perf_counter() - began
    times = sorted(one for each, _ in found for one in each)
    held = Counter(item for _, items in found for item in items)
    assert max(held.values()) <= 2, "an item was given to more reviewers than it needs"
    return {
        "claims": len(times),
        "p50_ms": times[len(times) // 2] * 1000,
        "p99_ms": times[int(len(times) * 0.99)] * 1000,
        "per_second": len(times) / seconds,
    }


def _review(dsn: str, name: str, claims: int, think: float) -> tuple[list[float], list[str]]:
    rest = random.Random(name)
    with connect(dsn, autocommit=True, name="review-benchmark") as connection:

        @contextmanager
        def transaction() -> Iterator[Connection]:  # the connection stays open, as in the pool of the web process
            with connection.transaction():
                yield connection

        desk = ReviewDesk(transaction, name, policy=ReviewPolicy(gold_share=0))
        times, items = [], []
        for number in range(claims + 10):
            began = time.perf_counter()
            (item,) = desk.claim(QueueFilter(kind="unit"))
            if number >= 10:  # the first ones warm the connection up
                times.append(time.perf_counter() - began)
            items.append(str(item.item_id))
            desk.submit(item.lease_id, Rating(rating=3))
            if think:
                time.sleep(rest.uniform(0, 2 * think))
    return times, items


if __name__ == "__main__":
    main()
