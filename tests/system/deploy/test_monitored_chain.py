"""Gateway, NATS, ingest, `regraft metrics`, Prometheus: what happens is seen at the end, and alerts fire."""

from __future__ import annotations

import time
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from regraft.flows.dashboard_reader import make_dashboard_reader
from regraft.infra.embedded.postgres import PostgresEndpoint
from support.dashboards import filled_promql, filled_sql, queries
from support.filled_stack import node_of
from support.messages import user
from support.prometheus import program
from support.shop_model import FAILING
from support.shop_talks import named
from support.waiting import until
from support.watched_stack import WatchedStack, watched

# No one reviews here, the only judge gives preferences and no scores, no call waits or is refused.
NOT_HERE = {
    *(f"evaluation: Time of a review, p50 and p90 {ref}" for ref in "AB"),
    *(f"evaluation: Scores of judges {ref}" for ref in "AB"),
    "gateway: Calls in flight B",
    "gateway: Retries, cuts and refusals a minute C",
}
SOMETIMES = {"gateway: Alerts that fire A"}
NO_ROWS = {  # no one reviews here, and no replay continues for several turns
    "evaluation: Fidelity A",
    "evaluation: How rollouts ended A",
    "evaluation: Ratings of people A",
    "evaluation: Agreement of people A",
}
PASSWORD = "a password of dashboards"
CHATS = 'sum(regraft_capture_calls_total{job="regraft-metrics", purpose="chat"})'
JOBS = 'sum(regraft_replay_job_seconds_count{job="regraft-metrics"})'
STREAMS = 'sum(gen_ai_client_operation_time_to_first_chunk_seconds_count{job="regraft-metrics"})'
PLANS = 'sum(regraft_orchestration_plans_total{job="regraft-metrics"})'


@pytest.fixture(scope="module")
def chain(postgres: PostgresEndpoint, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatchedStack]:
    """A filled deployment before a Prometheus."""
    program("prometheus")
    with watched(postgres, tmp_path_factory.mktemp("watched")) as made:
        yield made


def _seen(chain: WatchedStack, expression: str) -> float:
    return chain.prometheus.value(expression) or 0.0


def _settled(chain: WatchedStack) -> int:
    """How many chats were stored, once Prometheus has counted as many."""
    chain.stack.wait()
    chats = "SELECT count(*) AS calls FROM pipeline_event_inbox WHERE purpose = 'chat' AND final"
    (stored,) = chain.stack.deployment.ask(chats)
    until(lambda: _seen(chain, CHATS) == stored["calls"])
    return int(stored["calls"])


def test_as_many_calls_are_seen_at_the_end_of_the_chain_as_were_made(chain: WatchedStack) -> None:
    before = _settled(chain)
    for number in range(7):
        chain.talk(f"Is order {number} on its way?")
    assert _settled(chain) == before + 7
    assert _seen(chain, "sum(regraft_gateway_captured_total)") >= before + 7


def test_every_process_answers_prometheus(chain: WatchedStack) -> None:
    jobs = {f"regraft-{name}": "1" for name in ("gateway", "ingest", "metrics", "web")}
    assert {each["metric"]["job"]: each["value"][1] for each in chain.prometheus.query("up")} == jobs
    assert "RegraftServiceDown" not in chain.prometheus.firing()


def test_every_expression_of_the_dashboards_shows_what_happened(chain: WatchedStack) -> None:
    # A rate begins with the second look at a series: what happened once before happens again.
    for number in (1, 2):
        chain.stack.client.call([user("Go.")], named(f"orchestrated-{number}"), model="orchestrator/team")
        until(lambda: _seen(chain, PLANS) == number)  # noqa: B023
    jobs, streams = _seen(chain, JOBS), _seen(chain, STREAMS)
    chain.stack.command("replay", node_of(chain.stack.deployment, chain.stack.client.turns[0]), "--temperature", "0.7")
    chain.stack.client.call([user("Say it in pieces.")], stream=True)
    until(lambda: _seen(chain, JOBS) > jobs and _seen(chain, STREAMS) > streams)
    until(lambda: _seen(chain, "sum(regraft_store_snapshot_rows)") > 0)  # PostgreSQL is looked at every 15 seconds
    since = time.time() - 300
    empty = set()
    for query in queries("prometheus"):
        expression = filled_promql(query, "2m")
        found = chain.prometheus.api("query_range", query=expression, start=since, end=time.time(), step=5)
        if not found["result"]:
            empty.add(str(query))
    assert empty - SOMETIMES == NOT_HERE


def test_the_five_figures_that_matter_are_numbers(chain: WatchedStack) -> None:
    figures = [each for each in queries("prometheus") if each.board == "live"][:5]
    failed = 'sum(regraft_gateway_calls_total{status="5xx"})'
    before = _seen(chain, failed)
    chain.talk(FAILING)
    until(lambda: _seen(chain, failed) > before > 0)
    shown = {each.panel: _seen(chain, filled_promql(each)) for each in figures}
    assert shown["Calls a minute"] > 0
    assert shown["Duration, p95"] > 0
    assert 0 < shown["Failed calls"] < 0.5
    assert shown["Not captured"] == 0
    assert shown["Ingest lag"] < 60


def test_an_alert_fires_when_ingest_is_stopped_and_ends_when_it_runs_again(chain: WatchedStack) -> None:
    prometheus = chain.prometheus
    until(lambda: "RegraftIngestDown" not in prometheus.firing())
    chats = _settled(chain)
    chain.ingest(runs=False)
    for number in range(5):
        chain.talk(f"Who stores call {number}?")
    until(lambda: "RegraftIngestDown" in prometheus.firing())
    until(lambda: _seen(chain, "max(regraft_stream_oldest_seconds)") > 2)
    assert _seen(chain, "max(regraft_stream_packs_waiting)") > 0
    assert _seen(chain, "sum(regraft_gateway_capture_failures_total)") == 0
    chain.ingest(runs=True)
    until(lambda: "RegraftIngestDown" not in prometheus.firing())
    assert _settled(chain) == chats + 5
    until(lambda: _seen(chain, "max(regraft_stream_packs_waiting)") == 0)


def test_every_statement_of_the_dashboards_shows_what_happened(chain: WatchedStack) -> None:
    deployment = chain.stack.deployment
    made = make_dashboard_reader(deployment.dsn, PASSWORD)
    parent = (
        "SELECT a.session_id::text AS id FROM turn_link l JOIN execution_run_records a ON a.run_id = l.from_turn_id"
    )
    session = str(deployment.ask(parent)[0]["id"])
    empty = set()
    address = make_conninfo(deployment.dsn, user=made.role, password=PASSWORD)
    with psycopg.connect(address, autocommit=True) as reader:
        for query in queries("grafana-postgresql-datasource"):
            rows = reader.execute(filled_sql(query, session=session, depth="0")).fetchall()
            if not any(value is not None for row in rows for value in row):
                empty.add(str(query))
    assert empty == NO_ROWS
