"""Replays through the web API: previewed, started, watched, cancelled, resumed, with the required rights."""

from __future__ import annotations

import json
from collections.abc import Iterator
from uuid import UUID

import pytest
from starlette.testclient import TestClient

from regraft.domain.replay.budget import Price
from regraft.flows.replay.service import ReplaySetup
from regraft.infra.gateway_endpoint import GatewayEndpoint
from regraft.presentation.web.app import make_app
from support.messages import user
from support.waiting import until
from support.web_grants import NamedGrants, bearer

PRICES = {"small": Price(prompt=1.0, completion=2.0)}


def setup_of(path) -> ReplaySetup:
    return ReplaySetup(gateway=lambda: GatewayEndpoint(path.url), prices=PRICES)


def served(path, setup: ReplaySetup | None) -> TestClient:
    return TestClient(make_app(path.dsn, access=NamedGrants(), replaying=setup), headers=bearer("admin"))


@pytest.fixture
def client(path) -> Iterator[TestClient]:
    with served(path, setup_of(path)) as running:
        yield running


@pytest.fixture
def node(path) -> str:
    original, _, _ = path.call([user("hi")], max_tokens=50)
    return str(path.node(original))


def asking(node: str, **more) -> dict:
    return {"nodes": [node], **more}


def state(client, plan: str) -> dict:
    return client.get(f"/api/replays/{plan}").json()


def ended(client, plan: str) -> dict:
    until(lambda: state(client, plan)["state"] not in ("running", "planned"), 30)
    return state(client, plan)


def test_a_replay_is_looked_at_before_it_is_asked_for(path, client, node, model):
    side, _, _ = path.call([user("title?")], {"X-Regraft-Purpose": "side:title"})
    asked_before = len(model.asked)
    grid = {"models": [None, "large"], "temperatures": [0.2, 1.1]}
    nodes = [node[:8], str(path.node(side))]
    found = client.post("/api/replays/plan", json={"nodes": nodes, "grid": grid, "samples": 3})
    assert found.status_code == 200, found.text
    told = found.json()
    assert (told["jobs"], told["answered"], told["nodes"], told["node_ids"]) == (12, 0, 1, [node])
    assert told["refused"] == {"side_call": 1}
    assert told["tokens"] == {"prompt": 12 * 7, "completion": 12 * 50}
    assert (told["cost"], told["unpriced"], told["answers_without_limit"]) == (None, ["large"], 0)
    assert [(each["words"], each["jobs"]) for each in told["variants"]] == [
        ("temperature 0.2", 3),
        ("temperature 1.1", 3),
        ("model large, temperature 0.2", 3),
        ("model large, temperature 1.1", 3),
    ]
    assert told["variants"][0]["cost"] == pytest.approx((3 * 7 + 2 * 3 * 50) / 1e6)
    assert (told["plan_id"], told["resumes"]) == (None, False)
    assert client.get("/api/replays").json()["replays"] == []
    assert len(model.asked) == asked_before


def test_a_plan_runs_in_the_background_and_is_asked_for_once(path, client, node, model):
    asked_before = len(model.asked)
    body = asking(node, grid={"temperatures": [0.2, 1.1]}, samples=2, name="two heats")
    started = client.post("/api/replays", json=body)
    assert started.status_code == 202, started.text
    plan = started.json()["plan_id"]
    assert (started.json()["name"], started.json()["jobs"]) == ("two heats", 4)
    events = client.get(f"/api/replays/{plan}/events").text
    assert json.loads(events.strip().splitlines()[-1].removeprefix("data: "))["state"] == "done"
    assert len(model.asked) - asked_before == 4
    compared = client.get(f"/api/compare/{node}").json()
    assert [each["samples"] for each in compared["variants"]] == [1, 2, 2]
    assert client.post("/api/replays", json=body).json()["plan_id"] == plan
    again = client.post("/api/replays/plan", json=body).json()
    assert (again["jobs"], again["answered"], again["plan_id"]) == (0, 4, plan)
    one_more = client.post("/api/replays/plan", json={**body, "samples": 3}).json()
    assert (one_more["jobs"], one_more["answered"], one_more["plan_id"]) == (2, 4, None)
    assert len(model.asked) - asked_before == 4
    fewer = client.post("/api/replays", json=asking(node, grid={"temperatures": [0.2]}))
    assert (fewer.status_code, "there already" in fewer.json()["error"]["message"]) == (400, True)


def test_a_cancelled_plan_starts_no_more_jobs_and_is_resumed_without_asking_twice(path, client, node, model):
    model.pause = 0.2
    asked_before = len(model.asked)
    plan = client.post("/api/replays", json=asking(node, samples=30)).json()["plan_id"]
    until(lambda: len(model.asked) - asked_before >= 4)
    assert client.post(f"/api/replays/{plan[:12]}/cancel").json()["cancel_requested_at"]
    at_most = len(model.asked) + 2  # those that were about to be made
    row = ended(client, plan)
    assert (row["state"], row["stopped"]) == ("stopped", "cancelled")
    assert row["done"] < 30
    assert len(model.asked) <= at_most
    assert row["done"] == len(model.asked) - asked_before
    assert row["planned"] == 30 - row["done"]
    model.pause = 0.0
    resumed = client.post(f"/api/replays/{plan}/resume", json={"concurrency": 8})
    assert (resumed.status_code, resumed.json()["plan_id"]) == (202, plan)
    until(lambda: state(client, plan)["done"] == 30, 30)
    assert ended(client, plan)["state"] == "done"
    assert state(client, plan)["concurrency"] == 8
    assert len(model.asked) - asked_before == 30
    assert client.post(f"/api/replays/{plan}/resume").status_code == 409
    assert client.post(f"/api/replays/{plan}/cancel").json()["state"] == "done"


def test_a_server_that_stops_leaves_a_plan_that_the_next_one_goes_on_with(path, node, model):
    model.pause = 0.2
    asked_before = len(model.asked)
    with served(path, setup_of(path)) as client:
        plan = client.post("/api/replays", json=asking(node, samples=12)).json()["plan_id"]
        until(lambda: len(model.asked) - asked_before >= 3)
    with served(path, setup_of(path)) as client:
        row = ended(client, plan)
        assert (row["state"], row["stopped"]) == ("stopped", "shutdown")
        looked = client.post("/api/replays/plan", json=asking(node, samples=12)).json()
        assert (looked["plan_id"], looked["resumes"], looked["answered"]) == (plan, True, row["done"])
        assert client.post("/api/replays", json=asking(node, samples=12)).json()["plan_id"] == plan
        until(lambda: state(client, plan)["state"] == "done", 30)
        assert len(model.asked) - asked_before == 12


def test_a_budget_stops_a_plan_and_a_larger_one_goes_on(client, node):
    body = asking(node, samples=10, concurrency=1, budget_tokens=25)
    plan = client.post("/api/replays", json=body).json()["plan_id"]
    row = ended(client, plan)
    assert (row["state"], row["stopped"], row["done"]) == ("stopped", "budget", 3)
    client.post(f"/api/replays/{plan}/resume", json={"budget_tokens": 1000})
    until(lambda: state(client, plan)["done"] == 10, 30)


def test_failures_are_told_by_reason_and_run_again_by_a_resume(client, node, model):
    model.refuse = True
    plan = client.post("/api/replays", json=asking(node, samples=2)).json()["plan_id"]
    row = ended(client, plan)
    assert (row["state"], row["failed"]) == ("failed", 2)
    ((reason),) = row["failures"]
    assert reason["jobs"] == 2
    assert "overloaded" in reason["failure"]
    model.refuse = False
    client.post(f"/api/replays/{plan}/resume")
    until(lambda: state(client, plan)["state"] == "done", 30)


def test_an_answer_goes_on_along_the_record(path, client, model):
    first, _, said = path.call([user("hi")])
    message = said["choices"][0]["message"]
    last, _, _ = path.call([user("hi"), message, user("and then?")])
    path.node(last)
    node = str(path.node(first))
    going_on = {"turns": 2, "tools": "recorded", "simulator": ""}
    plan = client.post("/api/replays", json=asking(node, grid={"models": ["large"]}, continuing=going_on)).json()[
        "plan_id"
    ]
    assert ended(client, plan)["state"] == "done"
    (row,) = path.ask("SELECT policy, steps FROM rollout")
    assert row == {"policy": "recorded", "steps": 2}
    bad = asking(node, continuing={"toward": str(UUID(int=7))})
    assert client.post("/api/replays/plan", json=bad).status_code == 404
    assert client.post("/api/replays/plan", json=asking(node, continuing={"tools": "live"})).status_code == 400


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "give nodes"),
        ({"nodes": ["abcdef"], "conditions": {"themes": ["x"]}}, "give nodes"),
        ({"conditions": {}}, "at least one condition"),
        ({"nodes": ["zzzzzz"]}, "not a node id"),
        ({"nodes": ["NODE"], "samples": 0}, "samples"),
        ({"nodes": ["NODE"], "samples": 1000, "grid": {"temperatures": [n / 50 for n in range(50)]}}, "20,000 jobs"),
        ({"nodes": ["NODE"], "grid": {"seeds": list(range(50)), "max_tokens": list(range(1, 51))}}, "2,500 variants"),
        ({"nodes": ["NODE"], "grid": {"without_tools": ["nothing"]}}, "nothing"),
        ({"nodes": ["NODE"], "grid": {"tools": [{"type": 5}]}}, "no name"),
        ({"nodes": ["NODE"], "budget_money": 1.0, "grid": {"models": ["large"]}}, "price of 'large'"),
        ({"nodes": ["NODE"], "surprise": 1}, "surprise"),
    ],
)
def test_what_cannot_be_planned_is_refused_with_the_reason(client, node, body, says):
    body = {**body, **({"nodes": [node]} if body.get("nodes") == ["NODE"] else {})}
    for route in ("/api/replays/plan", "/api/replays"):
        refused = client.post(route, json=body)
        assert refused.status_code == 400, refused.text
        assert says in refused.json()["error"]["message"]


def test_models_that_upstreams_offer_come_before_those_that_answered_before(path, client, node):
    path.call([user("hi")], model="retired")
    path.node(path.call([user("once")])[0])
    found = client.get("/api/models").json()
    assert [(each["name"], each["offered"]) for each in found["models"]] == [
        ("small", True),
        ("large", True),
        ("retired", False),
    ]
    assert found["models"][0]["price"] == {"prompt": 1.0, "completion": 2.0}
    assert (found["models"][0]["runs"], found["problem"]) == (2, "")


def test_without_a_gateway_nothing_is_stored_and_the_reason_is_told(path, node):
    gone = ReplaySetup(gateway=lambda: GatewayEndpoint("http://127.0.0.1:9"))
    with served(path, gone) as client:
        refused = client.post("/api/replays", json=asking(node))
        assert (refused.status_code, "does not answer" in refused.json()["error"]["message"]) == (503, True)
        assert client.get("/api/replays").json()["replays"] == []
        models = client.get("/api/models").json()
        assert ("does not answer" in models["problem"], [each["name"] for each in models["models"]]) == (
            True,
            ["small"],
        )
    with served(path, None) as client:
        assert client.post("/api/replays", json=asking(node)).status_code == 503


def test_a_plan_that_another_process_runs_is_cancelled_through_its_record(path, client, node, model):
    from concurrent.futures import ThreadPoolExecutor

    from regraft.domain.replay.job import Variant
    from regraft.flows.replay import plans as flow

    model.pause = 0.2
    planned = flow.prepare(path.dsn, [UUID(node)], [Variant()], 40)
    plan_id = flow.save(path.dsn, planned)
    with ThreadPoolExecutor(1) as driver:
        running = driver.submit(lambda: flow.run(path.dsn, path.url, flow.resume(path.dsn, plan_id)))
        until(lambda: len(model.asked) > 3)
        client.post(f"/api/replays/{plan_id}/cancel")
        counts = running.result(60)
    assert counts.tally.stopped == "cancelled"
    assert counts.ran < 40
    assert ended(client, str(plan_id))["stopped"] == "cancelled"


def test_a_stored_plan_is_cancelled_before_it_starts(path, client, node):
    from regraft.domain.replay.job import Variant
    from regraft.flows.replay import plans as flow

    plan_id = flow.save(path.dsn, flow.prepare(path.dsn, [UUID(node)], [Variant()], 2))
    told = client.post(f"/api/replays/{plan_id}/cancel").json()
    assert (told["state"], told["stopped"], told["planned"]) == ("stopped", "cancelled", 2)
    client.post(f"/api/replays/{plan_id}/resume")
    until(lambda: state(client, str(plan_id))["state"] == "done", 30)
