"""Whether partitions of the graph's largest table are worthwhile: the builder's and the readers' accesses, at 1 million
nodes.

    python benchmarks/partitions.py [--nodes 1000000]

The table of nodes as it is, in 16 parts by the hash of the session, and in 12 parts by month. In each: appending as the
builder does, nodes by their ids, children of nodes, a path to the root, the tree of a session, and the removal of the
oldest twelfth. Best of some rounds; prints milliseconds, and the ratio to the table as it is (above 1: slower). Writes
JSON to benchmarks/results/partitions.json. Starts a separate PostgreSQL; a million nodes need 2 GB of disk.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from _postgres import temporary_postgres

from regraft.infra.postgres.pool import Connection, connect

RESULTS = Path(__file__).parent / "results"
DEPTH = 100  # nodes of a session
APPENDED = 5_000  # rows at once
ROUNDS = 5
MONTHS = 12

COLUMNS = """node_id uuid NOT NULL, session_id uuid NOT NULL, parent_node_id uuid, turn_id uuid, depth integer NOT NULL,
    branch_kind text NOT NULL, branch_reason text NOT NULL, variant_config jsonb NOT NULL, node_status text NOT NULL,
    context_snapshot_id bytea NOT NULL, parent_evidence text NOT NULL, runs integer NOT NULL, at timestamptz NOT NULL"""
INDEXES = (
    "CREATE INDEX ON {table} (parent_node_id)",
    "CREATE INDEX ON {table} (session_id, depth)",
    "CREATE INDEX ON {table} (session_id) WHERE parent_evidence IN ('longest_prefix', 'unmatched')",
)
# A session's nodes follow each other within a day; sessions are spread over the months.
ROWS = """INSERT INTO {table}
SELECT md5('n' || s || ':' || d)::uuid, md5('s' || s)::uuid,
    CASE WHEN d > 0 THEN md5('n' || s || ':' || (d - 1))::uuid END, md5('t' || s || ':' || d)::uuid, d, 'continuation',
    'the conversation goes on', '{{}}', 'ok', sha256((s || ':' || d)::bytea), 'prefix', 1,
    timestamptz '2026-01-01' + (least(s, {sessions})::float8 / {sessions}) * interval '364 days'
        + d * interval '10 seconds'
FROM generate_series({first}, {last}) AS s, generate_series(0, {deepest}) AS d
ON CONFLICT DO NOTHING"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=1_000_000)
    sessions = parser.parse_args().nodes // DEPTH
    figures: dict[str, dict[str, float]] = {}
    with temporary_postgres() as postgres, connect(postgres.dsn, autocommit=True) as connection:
        for table in ("whole", "by_session", "by_month"):
            make(connection, table)
            fill(connection, table, sessions)
        for table in ("whole", "by_session", "by_month"):
            figures[table] = measure(connection, table, sessions)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "partitions.json").write_text(json.dumps(figures, indent=1))
    print(f"{'ms':<40}{'whole':>12}{'16 by session':>18}{'12 by month':>18}")
    for name, whole in figures["whole"].items():
        others = (figures[table][name] for table in ("by_session", "by_month"))
        print(f"{name:<40}{whole:>12.2f}" + "".join(f"{each:>11.2f} ({each / whole:4.2f})" for each in others))


def make(connection: Connection, table: str) -> None:
    key = {"whole": "node_id", "by_session": "node_id, session_id", "by_month": "node_id, at"}[table]
    parts = {"whole": "", "by_session": "PARTITION BY HASH (session_id)", "by_month": "PARTITION BY RANGE (at)"}[table]
    run(connection, f"CREATE TABLE {table} ({COLUMNS}, PRIMARY KEY ({key})) {parts}")
    for number in range(16 if table == "by_session" else 0):
        bounds = f"WITH (MODULUS 16, REMAINDER {number})"
        run(connection, f"CREATE TABLE {table}_{number} PARTITION OF {table} FOR VALUES {bounds}")
    for number in range(1, MONTHS + 1 if table == "by_month" else 1):
        after = f"2026-{number + 1:02}-01" if number < MONTHS else "2027-02-01"
        bounds = f"FROM ('2026-{number:02}-01') TO ('{after}')"
        run(connection, f"CREATE TABLE {table}_{number} PARTITION OF {table} FOR VALUES {bounds}")
    for index in INDEXES:
        run(connection, index.format(table=table))


def fill(connection: Connection, table: str, sessions: int) -> None:
    """In the order in which the sessions came."""
    for first in range(1, sessions + 1, 500):
        last = min(first + 499, sessions)
        given = {"table": table, "sessions": sessions, "first": first, "last": last, "deepest": DEPTH - 1}
        run(connection, ROWS.format(**given))
    run(connection, f"VACUUM ANALYZE {table}")
    run(connection, "CHECKPOINT")


def measure(connection: Connection, table: str, sessions: int) -> dict[str, float]:
    ids = "ARRAY(SELECT md5('n' || (i * 7919 %% {n} + 1) || ':' || (i %% 99))::uuid FROM generate_series(1, 5000) AS i)"
    nodes = ids.replace("%%", "%").format(n=sessions)
    deepest = f"md5('n' || {sessions // 2} || ':{DEPTH - 1}')::uuid"
    queries = {
        "5,000 nodes by id": f"SELECT node_id, depth FROM {table} WHERE node_id = ANY({nodes})",
        "children of 5,000 nodes": f"SELECT node_id, depth FROM {table} WHERE parent_node_id = ANY({nodes})",
        f"path to the root, depth {DEPTH}": f"""WITH RECURSIVE up AS (
            SELECT node_id, parent_node_id FROM {table} WHERE node_id = {deepest}
            UNION ALL SELECT n.node_id, n.parent_node_id FROM up JOIN {table} n ON n.node_id = up.parent_node_id)
            SELECT count(*) FROM up""",
        "tree of a session": f"SELECT * FROM {table} WHERE session_id = md5('s{sessions // 3}')::uuid ORDER BY depth",
    }
    found = {}
    added = sessions
    appending = []
    for _ in range(ROUNDS):
        given = {"table": table, "sessions": added, "first": added + 1, "deepest": DEPTH - 1}
        added += APPENDED // DEPTH
        appending.append(timed(connection, ROWS.format(**given, last=added)))
    found["appending 5,000 nodes"] = min(appending)
    for name, query in queries.items():
        found[name] = min(timed(connection, query) for _ in range(ROUNDS))
    oldest = f"DELETE FROM {table} WHERE at < '2026-02-01'"
    if table == "by_month":
        oldest = "DROP TABLE by_month_1"
    found["removing the oldest month"] = timed(connection, oldest)
    return found


def run(connection: Connection, statement: str) -> None:
    connection.execute(statement.encode())


def timed(connection: Connection, statement: str) -> float:
    """Milliseconds of a statement with all its rows."""
    began = time.perf_counter()
    cursor = connection.execute(statement.encode())
    if cursor.description:
        cursor.fetchall()
    return (time.perf_counter() - began) * 1e3


if __name__ == "__main__":
    main()
