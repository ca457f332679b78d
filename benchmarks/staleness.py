"""Stale results among a million runs: the whole graph counted per change, and one session's steps in order.

    python benchmarks/staleness.py [--runs 1000000]

Each session has 20 turns of a client, 60 replays of them and 20 turns that grew from replays. Prints each figure beside
its limit, and the time of one aggregate over the same runs in the same database; writes JSON to
benchmarks/results/staleness.json. Starts a separate PostgreSQL in a temporary folder.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from _postgres import temporary_postgres

from regraft.flows.replay import staleness
from regraft.infra.postgres.migrate import migrate
from regraft.infra.postgres.pool import Connection, connect

RESULTS = Path(__file__).parent / "results"
LIMIT = 2.0  # seconds for a plan over a million runs
MODELS = 4
RULES = ["default@1-new"]

# Only what staleness reads is filled; the log behind it is not, so references are not checked. The rows of the table of
# snapshots are made as the trigger makes them, which a replica does not run.
FILL = """
SET session_replication_role = replica;
CREATE TEMP TABLE made AS
SELECT i, md5('run ' || i)::uuid AS run_id, md5('node ' || i)::uuid AS node_id,
       md5('session ' || i / 100)::uuid AS session_id,
       i % 100 AS place,
       CASE WHEN i % 100 BETWEEN 1 AND 19 THEN md5('node ' || i - 1)::uuid
            WHEN i % 100 BETWEEN 21 AND 79 AND i % 20 > 0 THEN md5('node ' || i - i % 100 + i % 20 - 1)::uuid
            WHEN i % 100 >= 80 THEN md5('node ' || i - 60)::uuid
            ELSE md5('root ' || i / 100)::uuid END AS parent,
       CASE WHEN i % 100 >= 80 THEN i % 20 + 2 ELSE i % 20 + 1 END AS depth
FROM generate_series(0, %(runs)s - 1) AS i;
INSERT INTO session (session_id, scope, evidence)
SELECT md5('session ' || s)::uuid, 'default', 'opening' FROM generate_series(0, %(runs)s / 100 - 1) AS s;
INSERT INTO conversation_branch_nodes (node_id, session_id, depth, turn_index, branch_kind, branch_reason,
    variant_config, node_status, context_snapshot_id, parent_evidence, runs)
SELECT md5('root ' || s)::uuid, md5('session ' || s)::uuid, 0, 0, 'root', '', '{}', 'ok', '', 'root', 0
FROM generate_series(0, %(runs)s / 100 - 1) AS s;
INSERT INTO conversation_branch_nodes (node_id, session_id, parent_node_id, turn_id, depth, turn_index, branch_kind,
    branch_reason, variant_config, node_status, context_snapshot_id, parent_evidence, runs)
SELECT node_id, session_id, parent, run_id, depth, depth, 'continuation', '', '{}', 'ok', decode(md5(i::text), 'hex'),
    'prefix', 1
FROM made;
INSERT INTO execution_run_records (run_id, session_id, node_id, event_id, purpose, model, model_snapshot_id, backend,
    run_status, duration_ms, sampling, tool_calls, started_at)
SELECT run_id, session_id, node_id, run_id, CASE WHEN place < 20 THEN 'chat' ELSE 'replay' END,
    'model-' || i / 100 % {models}, 'model-' || i / 100 % {models} || '@' || md5('old'), 'main', 'ok', 1000, '{}', 0,
    timestamptz '2026-01-01' + i * interval '1 second'
FROM made;
-- One answer later by every model that changed.
INSERT INTO model_snapshots (backend, model, model_snapshot_id, pinned_by, first_seen, last_seen, runs)
SELECT backend, model, model_snapshot_id, 'fingerprint', min(started_at), max(started_at), count(*)
FROM execution_run_records GROUP BY backend, model, model_snapshot_id;
DROP TABLE made;
SET session_replication_role = origin
"""
CHANGE = """
INSERT INTO model_snapshots (backend, model, model_snapshot_id, pinned_by, first_seen, last_seen, runs)
SELECT 'main', 'model-' || m, 'model-' || m || '@' || md5('new'), 'fingerprint', timestamptz '2027-01-01',
       timestamptz '2027-01-01', 1
FROM generate_series(0, %s - 1) AS m
ON CONFLICT DO NOTHING
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1_000_000)
    runs = parser.parse_args().runs // 100 * 100
    with temporary_postgres() as postgres, connect(postgres.dsn, autocommit=True) as connection:
        figures = measure(connection, runs)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "staleness.json").write_text(json.dumps(figures, indent=1))
    for name, value in figures.items():
        print(f"{name:<58} {value:>14,.3f}" if isinstance(value, float) else f"{name:<58} {value:>14,}")


def measure(connection: Connection, runs: int) -> dict[str, float | int]:
    """Fill, change one model and then all, and plan."""
    migrate(connection)
    for statement in FILL.replace("{models}", str(MODELS)).replace("%(runs)s", str(runs)).split(";\n"):
        connection.execute(statement.encode())
    connection.execute(b"VACUUM ANALYZE")
    figures: dict[str, float | int] = {"runs": runs}
    figures["one count per model over all runs, s"], _ = _median(
        connection,
        lambda: connection.execute(
            b"SELECT backend, model, model_snapshot_id, count(*) FROM execution_run_records GROUP BY 1, 2, 3"
        ).fetchall(),
    )
    for name, models in (
        ("nothing changed", 0),
        ("a quarter of the models changed", 1),
        ("all models changed", MODELS),
    ):
        connection.execute(CHANGE.replace("%s", str(models)).encode())
        seconds, seen = _median(connection, lambda: staleness.overview(connection, RULES))
        figures[f"{name}: stale runs"] = sum(row["again"] + row["follow"] + row["keep"] for row in seen)
        figures[f"{name}: plan, s (limit {LIMIT})"] = seconds
        figures[f"{name}: share of the limit"] = seconds / LIMIT * (1_000_000 / runs)
    session = connection.execute(b"SELECT session_id FROM execution_run_records LIMIT 1").fetchone()
    assert session is not None
    seconds, found = _median(connection, lambda: staleness.of_sessions(connection, [session["session_id"]], RULES))
    figures["steps of one session"] = len(found.steps)
    figures["steps of one session, s"] = seconds
    return figures


def _median(connection: Connection, work: Callable[[], Any]) -> tuple[float, Any]:
    times, result = [], None
    for _ in range(5):
        began = time.perf_counter()
        with connection.transaction():
            result = work()
        times.append(time.perf_counter() - began)
    return sorted(times)[2], result


if __name__ == "__main__":
    main()
