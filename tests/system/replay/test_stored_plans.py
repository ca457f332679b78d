"""A stored plan of replays: finished after its driver died, within its budget, by one driver at a time, watched."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from uuid import UUID

import pytest
from starlette.testclient import TestClient

from regraft.domain.errors import ConfigError, UsageError
from regraft.domain.replay.budget import Price
from regraft.domain.replay.experiment import Experiment, Query
from regraft.domain.replay.job import Variant
from regraft.flows.replay import plans as flow
from regraft.infra.postgres.pool import connect
from regraft.infra.postgres.replay import plans as store
from regraft.presentation.web.app import make_app
from support.consumer import consuming
from support.messages import user
from support.waiting import until
from support.whole_path import Model, WholePath, gateway_before


def jobs_of(path, plan_id) -> list[dict]:
    with connect(path.dsn) as connection:
        return store.jobs(connection, plan_id)


def test_a_driver_killed_in_the_middle_leaves_a_plan_that_is_finished_without_asking_anything_twice(
    truth, stream_url, tmp_path
):
    total, concurrency = 1000, 16
    with (
        Model(pause=0.02) as model,
        gateway_before(model, stream_url, tmp_path / "spool") as port,
        consuming(truth, stream_url),
    ):
        path = WholePath(truth, stream_url, port)
        original, _, _ = path.call([user("hi")])
        node = path.node(original)
        asked_before = len(model.asked)
        code = (
            "import sys; from uuid import UUID; from regraft.domain.replay.job import Variant; "
            "from regraft.flows.replay import plans as replay; dsn, url, node = sys.argv[1:]; "
            f"p = replay.prepare(dsn, [UUID(node)], [Variant()], {total}); replay.run(dsn, url, p, {concurrency})"
        )
        driver = subprocess.Popen([sys.executable, "-c", code, truth, path.url, str(node)])
        try:
            until(lambda: len(model.asked) > 300 or driver.poll() is not None)
        finally:
            driver.kill()
            driver.wait()
        assert 300 < len(model.asked) - asked_before < total
        planned = flow.prepare(truth, [node], [Variant()], total)
        assert planned.resumed
        counts = flow.run(truth, path.url, planned, concurrency)
        assert counts.failures == []
        assert {job["state"] for job in jobs_of(path, counts.plan_id)} == {"done"}
        assert len(model.asked) - asked_before <= total + concurrency
        answered = path.ask(
            """SELECT count(DISTINCT replay_fingerprint(e.identity)) AS marks, count(*) AS answers
            FROM pipeline_event_inbox e JOIN session_turn t USING (event_id)
            WHERE e.purpose = 'replay' AND t.node_status = 'ok'"""
        )
        assert answered == [{"marks": total, "answers": total}]
        again = flow.prepare(truth, [node], [Variant()], total)
        assert (again.todo, again.done) == ([], total)


def test_a_plan_that_is_stored_only_is_run_by_its_id(path, model):
    original, _, _ = path.call([user("hi")])
    plan_id = flow.save(path.dsn, flow.prepare(path.dsn, [path.node(original)], [Variant(model="large")], 2))
    assert [job["state"] for job in jobs_of(path, plan_id)] == ["planned", "planned"]
    counts = flow.run(path.dsn, path.url, flow.resume(path.dsn, plan_id))
    assert (counts.ran, counts.plan_id) == (2, plan_id)
    jobs = jobs_of(path, plan_id)
    assert [job["state"] for job in jobs] == ["done", "done"]
    assert {job["turn_id"] for job in jobs} == set(counts.turns)
    assert {(job["prompt_tokens"], job["completion_tokens"]) for job in jobs} == {(7, 2)}


def test_a_plan_has_one_driver_at_a_time(path):
    original, _, _ = path.call([user("hi")])
    planned = flow.prepare(path.dsn, [path.node(original)], [Variant()])
    plan_id = flow.save(path.dsn, planned)
    with connect(path.dsn, autocommit=True) as other:
        assert store.lock(other, plan_id)
        with pytest.raises(UsageError, match="another process"):
            flow.run(path.dsn, path.url, flow.resume(path.dsn, plan_id))


def test_a_spent_budget_starts_no_more_jobs_and_a_larger_one_goes_on(path, model):
    original, _, _ = path.call([user("hi")])
    asked = Experiment(nodes=(str(path.node(original)),), samples=10, concurrency=1, budget_tokens=25)
    counts = flow.run(path.dsn, path.url, flow.prepare_experiment(path.dsn, asked))
    assert (counts.ran, counts.tally.stopped) == (3, "budget")  # of 9 tokens each
    with connect(path.dsn) as connection:
        assert store.progress(connection, counts.plan_id)["state"] == "stopped"
    more = replace(asked, budget_tokens=1000)
    planned = flow.prepare_experiment(path.dsn, more)
    assert planned.plan_id == counts.plan_id
    counts = flow.run(path.dsn, path.url, planned)
    assert (counts.ran, counts.tally.stopped, sum(one.tokens for one in counts.tally.spent.values())) == (7, "", 90)


def test_a_budget_in_money_goes_by_the_prices_of_models(path):
    original, _, _ = path.call([user("hi")])
    asked = Experiment(nodes=(str(path.node(original)),), samples=10, concurrency=1, budget_money=40.0)
    prices = {"small": Price(prompt=1_000_000, completion=6_500_000)}  # 20 an answer
    counts = flow.run(path.dsn, path.url, flow.prepare_experiment(path.dsn, asked), prices=prices)
    assert (counts.ran, counts.tally.stopped) == (2, "budget")
    with pytest.raises(ConfigError, match="price of 'small'"):
        flow.run(path.dsn, path.url, flow.prepare_experiment(path.dsn, asked))


def test_a_server_that_wants_to_be_asked_later_is_asked_later(path, model):
    original, _, _ = path.call([user("hi")])
    node = path.node(original)
    model.later = 3
    counts = path.replay([node], [Variant()], samples=6)
    assert (counts.ran, counts.failures) == (6, [])
    assert counts.tally.limited == 3
    assert path.ask(
        "SELECT count(*) AS n FROM execution_run_records WHERE purpose = 'replay' AND run_status = 'ok'"
    ) == [{"n": 6}]


def test_nodes_are_found_by_what_came_of_them(path):
    good, _, _ = path.call([user("one")], {"X-Regraft-Theme": "weather", "X-Regraft-Task": "t1"})
    bad, _, _ = path.call([user("two")], {"X-Regraft-Theme": "weather"})
    other, _, _ = path.call([user("three")])
    nodes = {name: path.node(turn) for name, turn in (("good", good), ("bad", bad), ("other", other))}
    with connect(path.dsn, autocommit=True) as connection:
        for turn, value in ((good, 1.0), (bad, 0.0)):
            connection.execute(
                "INSERT INTO feedback (feedback_id, scope, turn_id, name, value, source, given_at) SELECT"
                " gen_random_uuid(), s.scope, t.turn_id, 'reward', %s, 'test', now() FROM session_turn t"
                " JOIN session s USING (session_id) WHERE t.turn_id = %s",
                (value, turn),
            )

    def found(**conditions):
        with connect(path.dsn) as connection:
            return [
                name for node in store.choose(connection, Query(**conditions)) for name in nodes if nodes[name] == node
            ]

    assert found() == ["good", "bad", "other"]
    assert found(themes=("weather",)) == ["good", "bad"]
    assert found(tasks=("t1",)) == ["good"]
    assert found(outcome_below=0.5) == ["bad"]
    assert found(outcome_above=0.5) == ["good"]
    assert found(models=("large",)) == []
    assert found(kinds=("retry",)) == []
    assert found(statuses=("ok",), limit=1) == ["good"]
    assert found(pivot=True) == []
    path.replay([nodes["other"]], [Variant()], samples=2)
    assert found(pivot=True) == ["other"]
    assert found() == ["good", "bad", "other"]


def test_any_process_can_watch_a_plan_from_its_stored_jobs(path):
    original, _, _ = path.call([user("hi")])
    plan_id = flow.save(path.dsn, flow.prepare(path.dsn, [path.node(original)], [Variant()], 3))
    with TestClient(make_app(path.dsn)) as client:
        assert client.get("/api/replays").json()["replays"][0]["state"] == "planned"
        assert client.get(f"/api/replays/{UUID(int=9)}/events").status_code == 404
        with ThreadPoolExecutor(1) as driver:

            def drive():
                time.sleep(0.7)
                return flow.run(path.dsn, path.url, flow.resume(path.dsn, plan_id))

            running = driver.submit(drive)
            told = client.get(f"/api/replays/{plan_id}/events").text
            assert running.result().ran == 3
        whole = client.get(f"/api/replays/{plan_id}").json()
    names = [line.removeprefix("event: ") for line in told.splitlines() if line.startswith("event")]
    figures = [json.loads(line.removeprefix("data: ")) for line in told.splitlines() if line.startswith("data")]
    assert names[0] == "progress"
    assert names[-1] == "end"
    assert (figures[0]["state"], figures[0]["planned"]) == ("planned", 3)
    assert (figures[-1]["state"], figures[-1]["done"], figures[-1]["completion_tokens"]) == ("done", 3, 6)
    assert (whole["state"], len(whole["job_records"]), whole["definition"]["samples"]) == ("done", 3, 3)
