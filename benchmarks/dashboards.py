"""Every SQL query of the Grafana dashboards over a million runs, over a day and over all of them.

    python benchmarks/dashboards.py [--runs 1000000]

Sessions have 10 runs and began 26 seconds apart; one has a tree of 10,000 nodes. Each query is asked as the role of
dashboards. Prints the slowest beside the time of one sum over the same runs, writes JSON to
benchmarks/results/dashboards.json, and fails where a query takes half of the role's time limit. Starts a PostgreSQL of
its own in a temporary folder.
"""

from __future__ import annotations

import argparse
import json
import secrets
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
from _postgres import temporary_postgres
from psycopg.conninfo import make_conninfo

from regraft.flows.dashboard_reader import make_dashboard_reader
from regraft.infra.postgres.pool import connect

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support.dashboards import filled_sql, queries

RESULTS = Path(__file__).parent / "results"
LIMIT = 7.5  # seconds; the role's statement_timeout is 15
SUM = "SELECT sum(duration_ms) AS ms FROM execution_run_records"

# Only what dashboards read is filled; the log behind it is not, so references are not checked.
FILL = """
SET session_replication_role = replica;
INSERT INTO session (session_id, scope, evidence)
SELECT md5('session ' || s)::uuid, 'default', 'opening' FROM generate_series(1, {sessions}) AS s;
INSERT INTO conversation_sessions (session_id, scope, root_node_id, turns, nodes, started_at, last_turn_at, build,
    models, purposes, kinds)
SELECT md5('session ' || s)::uuid, 'default', md5('root ' || s)::uuid, 10, 10, now() - s * interval '26 seconds',
    now() - s * interval '26 seconds', 1, '{{small}}', '{{chat}}', '{{continuation}}'
FROM generate_series(1, {sessions}) AS s;
INSERT INTO execution_run_records (run_id, session_id, node_id, event_id, purpose, model, model_snapshot_id, backend,
    run_status, prompt_tokens, completion_tokens, duration_ms, sampling, tool_calls, started_at, taskification_id)
SELECT md5(s || ' run ' || i)::uuid, md5('session ' || s)::uuid, md5(s || ' node ' || i)::uuid,
    md5(s || ' run ' || i)::uuid,
    CASE WHEN i = 10 THEN 'orchestrator' WHEN i % 4 = 3 THEN 'worker' WHEN i % 4 = 2 THEN 'judge' ELSE 'chat' END,
    CASE WHEN i = 10 THEN 'orchestrator/team' ELSE 'model-' || i % 5 END, 'pin',
    CASE WHEN i = 10 THEN 'orchestrator' ELSE 'main' END, 'ok', 100, 50, 900, '{{}}', 0,
    now() - s * interval '26 seconds' + i * interval '1 second',
    CASE WHEN i = 10 OR i % 4 = 3 THEN md5('session ' || s)::uuid END
FROM generate_series({sessions}, 1, -1) AS s, generate_series(1, 10) AS i;
INSERT INTO conversation_branch_nodes (node_id, session_id, parent_node_id, depth, turn_index, branch_kind,
    branch_reason, variant_config, node_status, context_snapshot_id, parent_evidence, runs)
SELECT CASE i WHEN 0 THEN md5('root 1')::uuid ELSE md5('tree ' || i)::uuid END, md5('session 1')::uuid,
    CASE WHEN i = 0 THEN NULL WHEN i <= 3 THEN md5('root 1')::uuid ELSE md5('tree ' || (i - 1) / 3)::uuid END,
    CASE i WHEN 0 THEN 0 ELSE 1 + floor(log(3.0, i))::integer END, 0, CASE i WHEN 0 THEN 'root' ELSE 'retry' END,
    '', '{{}}', 'ok', '', 'prefix', 1
FROM generate_series(0, 10000) AS i;
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=1_000_000)
    runs = parser.parse_args().runs
    with temporary_postgres() as server:
        dsn = server.database()
        with connect(dsn, autocommit=True) as connection:
            connection.execute(FILL.format(sessions=runs // 10).encode())
            connection.execute("VACUUM ANALYZE")
        password = secrets.token_hex(16)
        role = make_dashboard_reader(dsn, password).role
        now = datetime.now(UTC)
        spans = {"a day": now - timedelta(days=1), "all": now - timedelta(days=365)}
        with psycopg.connect(make_conninfo(dsn, user=role, password=password), autocommit=True) as reader:
            scan = _seconds(reader, SUM)
            took = {
                f"{query}, {name}": _seconds(reader, filled_sql(query, since, now, session=_session(reader), depth="0"))
                for name, since in spans.items()
                for query in queries("grafana-postgresql-datasource")
            }
    slowest = sorted(took.items(), key=lambda each: -each[1])[:8]
    print(f"{'query':<64}{'ms':>8}{'x one sum':>12}")
    for name, seconds in slowest:
        print(f"{name:<64}{seconds * 1000:>8.0f}{seconds / scan:>12.1f}")
    print(f"{len(took) // len(spans)} queries over {runs:,} runs; one sum over them {scan * 1000:.0f} ms")
    RESULTS.mkdir(exist_ok=True)
    figures = {"runs": runs, "sum_seconds": scan, "seconds": took, "limit_seconds": LIMIT}
    (RESULTS / "dashboards.json").write_text(json.dumps(figures, indent=2))
    assert slowest[0][1] < LIMIT, f"{slowest[0][0]} takes {slowest[0][1]:.1f} s, and may take {LIMIT}"


def _session(reader: psycopg.Connection) -> str:
    """The session with the large tree: the one that began last."""
    row = reader.execute(
        "SELECT session_id::text FROM conversation_sessions ORDER BY started_at DESC LIMIT 1"
    ).fetchone()
    assert row is not None
    return str(row[0])


def _seconds(reader: psycopg.Connection, statement: str) -> float:
    """The faster of two times."""
    times = []
    for _ in range(2):
        begun = time.perf_counter()
        reader.execute(statement.encode()).fetchall()
        times.append(time.perf_counter() - begun)
    return min(times)


if __name__ == "__main__":
    main()
