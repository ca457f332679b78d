"""Hot queries read a large database by its indexes: no sequential scan of a table that grows with the log."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from regraft.infra.embedded.postgres import PostgresEndpoint
from regraft.infra.postgres.pool import Connection, connect
from regraft.infra.queries import queries

LARGE = Path(__file__).parents[3] / "benchmarks" / "large_graph.sql"
BIG = {
    *("message", "context", "pipeline_event_inbox", "session_turn", "session_lineage", "conversation_branch_nodes"),
    *("execution_run_records", "response_branch_records"),
}


@pytest.fixture(scope="module")
def large(postgres: PostgresEndpoint) -> Iterator[Connection]:
    """A database of its own with 500 conversations of 100 turns."""
    name = f"large_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE regraft_template".encode())
    with connect(postgres.admin_dsn(name), autocommit=True) as connection:
        with connection.transaction():
            connection.execute(LARGE.read_text().format(prefix="bulk", sessions=500, turns=100).encode())
        connection.execute("VACUUM ANALYZE")
        yield connection
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def scanned(connection: Connection, statement: bytes, parameters: dict[str, Any]) -> set[str]:
    """The big tables that a query would read from end to end."""
    row = connection.execute(b"EXPLAIN (FORMAT JSON) " + statement, parameters).fetchone()
    assert row
    found: set[str] = set()
    waiting = [row["QUERY PLAN"][0]["Plan"]]
    while waiting:
        step = waiting.pop()
        waiting.extend(step.get("Plans", ()))
        if step["Node Type"] == "Seq Scan":
            found.add(step["Relation Name"])
    return found & BIG


@pytest.fixture(scope="module")
def some(large: Connection) -> dict[str, Any]:
    """A session of the database, and the last of its turns."""
    row = large.execute(
        "SELECT t.session_id AS session, t.node_id AS node, t.turn_id AS turn, t.turn_id AS anchor"
        " FROM session_turn t JOIN session s USING (session_id) WHERE s.external_id = 'bulk7'"
        " ORDER BY t.context_depth DESC LIMIT 1"
    ).fetchone()
    assert row
    nodes, turns = [row["node"]], [row["turn"]]
    more = {"nodes": nodes, "parents": nodes, "moved": nodes, "turns": turns, "origins": turns, "claims": turns}
    return {**row, **more, "scopes": ["large"], "text": "question", "limit": 20, "after": None}


@pytest.mark.parametrize("name", ["tree", "node", "path", "children", "runs", "anchor", "alternatives"])
def test_reading_goes_by_index(large: Connection, some: dict[str, Any], name: str) -> None:
    assert scanned(large, queries("postgres/lineage/reading")[name], some) == set()


@pytest.mark.parametrize("nodes", [None, 5000])
def test_a_tree_is_read_by_index_whole_and_by_the_page(
    large: Connection, some: dict[str, Any], nodes: int | None
) -> None:
    found = queries("postgres/lineage/reading")
    wanted = nodes and [uuid.uuid4() for _ in range(nodes)]
    assert scanned(large, found["tree_order"], some) == set()
    assert scanned(large, found["tree"], {**some, "nodes": wanted}) == set()


@pytest.mark.parametrize("scope", [None, "large"])
def test_words_are_found_by_index(large: Connection, some: dict[str, Any], scope: str | None) -> None:
    find = queries("postgres/lineage/search")["find"]
    assert scanned(large, find, {**some, "text": "7 100", "scope": scope}) == set()


@pytest.mark.parametrize("scope", [None, "large"])
@pytest.mark.parametrize("noun", ["node", "turn"])
def test_ids_are_resolved_by_index(large: Connection, some: dict[str, Any], noun: str, scope: str | None) -> None:
    bounds = {"low": some[noun], "high": some[noun], "scope": scope}
    assert scanned(large, queries("postgres/lineage/reading")[f"{noun}s_like"], bounds) == set()


@pytest.mark.parametrize("name", ["origins", "parents", "families", "ancestors", "current_parents", "facts"])
def test_the_builder_goes_by_index(large: Connection, some: dict[str, Any], name: str) -> None:
    assert scanned(large, queries("postgres/lineage/graph")[name], some) == set()


def test_claims_are_resolved_by_index(large: Connection, some: dict[str, Any]) -> None:
    assert scanned(large, queries("postgres/capture/inbox")["sessions_of_claims"], some) == set()


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM node_history WHERE node_id = %(node)s",
        "SELECT * FROM anchor_alternatives WHERE context_anchor_turn_id = %(anchor)s",
        "SELECT * FROM errors_per_upstream",
        "SELECT * FROM tool_calls WHERE session_id = %(session)s",
        "SELECT * FROM slow_calls ORDER BY duration_ms DESC LIMIT 10",
        "SELECT * FROM session_overview ORDER BY last_turn_at DESC LIMIT 20",
        "SELECT * FROM task_attempts WHERE task_key = 'none'",
        "SELECT * FROM who_called_whom WHERE session_id = %(session)s",
        "SELECT * FROM session_feedback(%(session)s)",
        "SELECT * FROM outcome_of_turn(%(turn)s)",
    ],
)
def test_questions_are_answered_by_index(large: Connection, some: dict[str, Any], query: str) -> None:
    assert scanned(large, query.encode(), some) == set()


def test_a_scan_of_a_big_table_would_be_seen(large: Connection) -> None:
    assert scanned(large, b"SELECT count(*) FROM session_turn WHERE finish_reason = 'length'", {}) == {"session_turn"}
