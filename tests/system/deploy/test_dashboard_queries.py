"""Every SQL query of the dashboards, as the role of dashboards, on a log with something to show in each of them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row

from regraft.flows.dashboard_reader import make_dashboard_reader
from regraft.infra.postgres.pool import connect, transaction
from support.dashboards import EDGE_COLUMNS, NODE_COLUMNS, NODE_PREFIXES, PanelQuery, filled_sql, queries
from support.small_graph import SmallGraph, every_kind

PASSWORD = "a password of dashboards"
QUERIES = queries("grafana-postgresql-datasource")
# A node below each node, from the root on.
CHAIN = """
    WITH RECURSIVE node AS (
        SELECT node_id, depth, node_id AS above FROM conversation_branch_nodes WHERE session_id = %(session)s
        UNION ALL SELECT gen_random_uuid(), depth + 1, node_id FROM node WHERE depth < %(nodes)s)
    INSERT INTO conversation_branch_nodes (node_id, session_id, parent_node_id, depth, turn_index, branch_kind,
        branch_reason, variant_config, node_status, context_snapshot_id, parent_evidence, runs)
    SELECT node_id, %(session)s, above, depth, depth, 'continuation', '', '{}', 'ok', '\\x00', 'prefix', 1
    FROM node WHERE depth > 0"""


@pytest.fixture
def log(truth: str) -> Iterator[tuple[psycopg.Connection[dict[str, Any]], str]]:
    """A connection of the role, and the largest session of a log with nodes of every kind."""
    with transaction(truth) as connection:
        every_kind(SmallGraph(connection))
        row = connection.execute(
            "SELECT session_id::text AS id FROM conversation_sessions ORDER BY nodes DESC"
        ).fetchone()
        assert row is not None
    made = make_dashboard_reader(truth, PASSWORD)
    address = make_conninfo(truth, user=made.role, password=PASSWORD)
    with psycopg.connect(address, autocommit=True, row_factory=dict_row) as reader:
        yield reader, row["id"]


def _asked(
    log: tuple[psycopg.Connection[dict[str, Any]], str], query: PanelQuery, **variables: str
) -> list[dict[str, Any]]:
    reader, session = log
    return reader.execute(filled_sql(query, **{"session": session, "depth": "0", **variables})).fetchall()


def _of(board: str, panel: str, ref: str = "A") -> PanelQuery:
    (found,) = [each for each in QUERIES if (each.board, each.panel, each.ref) == (board, panel, ref)]
    return found


def test_the_role_may_ask_every_query(log):
    assert len(QUERIES) > 20
    for query in QUERIES:
        _asked(log, query)


def test_queries_answer_where_nothing_was_ever_stored(truth):
    made = make_dashboard_reader(truth, PASSWORD)
    address = make_conninfo(truth, user=made.role, password=PASSWORD)
    with psycopg.connect(address, autocommit=True, row_factory=dict_row) as reader:
        for query in QUERIES:
            _asked((reader, ""), query, depth="")


def test_a_conversation_is_drawn_as_the_tree_that_it_is(log, truth):
    nodes = _asked(log, _of("conversation", "Tree", "nodes"))
    edges = _asked(log, _of("conversation", "Tree", "edges"))
    with connect(truth) as connection:
        stored = connection.execute(
            "SELECT node_id::text AS id, parent_node_id::text AS parent, depth FROM conversation_branch_nodes"
            " WHERE session_id = %s",
            (log[1],),
        ).fetchall()
    assert {each["id"] for each in nodes} == {each["id"] for each in stored}
    assert {(each["source"], each["target"]) for each in edges} == {
        (s["parent"], s["id"]) for s in stored if s["parent"]
    }
    depth = {each["id"]: each["depth"] for each in stored}
    assert all(each["fixedy"] == 130 * depth[each["id"]] for each in nodes)
    assert len({(each["fixedx"], each["fixedy"]) for each in nodes}) == len(nodes)


def test_a_parent_stands_above_the_middle_of_its_leaves_and_siblings_do_not_cross(log):
    nodes = {each["id"]: each for each in _asked(log, _of("conversation", "Tree", "nodes"))}
    below: dict[str, list[str]] = {}
    for edge in _asked(log, _of("conversation", "Tree", "edges")):
        below.setdefault(edge["source"], []).append(edge["target"])

    def leaves(node: str) -> list[float]:
        children = below.get(node, [])
        return [x for child in children for x in leaves(child)] if children else [nodes[node]["fixedx"]]

    spans = {node: (min(leaves(node)), max(leaves(node))) for node in nodes}
    assert any(len(children) > 1 for children in below.values())
    for node, (low, high) in spans.items():
        assert nodes[node]["fixedx"] == pytest.approx((low + high) / 2)
        ordered = sorted(spans[child] for child in below.get(node, []))
        assert all(left[1] < right[0] for left, right in pairwise(ordered))


def test_a_long_conversation_is_drawn_in_parts_of_200_nodes(truth):
    with transaction(truth) as connection:
        session = SmallGraph(connection).session("long")
        connection.execute(CHAIN, {"session": session, "nodes": 450})
    made = make_dashboard_reader(truth, PASSWORD)
    address = make_conninfo(truth, user=made.role, password=PASSWORD)
    with psycopg.connect(address, autocommit=True, row_factory=dict_row) as reader:
        first = _asked((reader, str(session)), _of("conversation", "Tree", "nodes"))
        later = _asked((reader, str(session)), _of("conversation", "Tree", "nodes"), depth="300")
        edges = _asked((reader, str(session)), _of("conversation", "Tree", "edges"), depth="300")
    assert (len(first), max(each["detail__depth"] for each in first)) == (200, 199)
    assert {each["detail__depth"] for each in later} == set(range(300, 451))
    assert len(edges) == len(later) - 1


def test_names_that_models_and_purposes_share_are_two_parties(truth, log):
    with transaction(truth) as connection:
        connection.execute("UPDATE execution_run_records SET model = purpose")
    nodes = _asked(log, _of("orchestrator", "Who talks to whom", "nodes"))
    edges = _asked(log, _of("orchestrator", "Who talks to whom", "edges"))
    ids = [each["id"] for each in nodes]
    assert len(set(ids)) == len(ids)
    assert {end for each in edges for end in (each["source"], each["target"])} == set(ids)
    assert all(each["arc__done"] + each["arc__failed"] == pytest.approx(1) for each in nodes)


@pytest.mark.parametrize(("board", "panel"), [("conversation", "Tree"), ("orchestrator", "Who talks to whom")])
def test_node_graphs_have_the_columns_that_grafana_knows(log, board, panel):
    nodes = _asked(log, _of(board, panel, "nodes"))
    edges = _asked(log, _of(board, panel, "edges"))
    assert {"id", "title"} <= set(nodes[0])
    assert {name for name in nodes[0] if not name.startswith(NODE_PREFIXES)} <= NODE_COLUMNS
    assert {"id", "source", "target"} <= set(edges[0]) <= EDGE_COLUMNS
    assert all(each["source"] and each["target"] for each in edges)
