"""Who may replay what through the web API: admins, and of a tenant only what is its own."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import pytest
from starlette.testclient import TestClient

from regraft.domain.replay.job import Variant
from regraft.flows.replay import plans as flow
from regraft.flows.replay.service import ReplaySetup
from regraft.infra.gateway_endpoint import GatewayEndpoint
from regraft.presentation.web.app import make_app
from support.messages import user
from support.waiting import until
from support.web_grants import NamedGrants, bearer

OWN, OTHER = bearer("admin default"), bearer("admin other")  # the gateway of these tests captures as "default"


@pytest.fixture
def client(path) -> Iterator[TestClient]:
    setup = ReplaySetup(gateway=lambda: GatewayEndpoint(path.url))
    with TestClient(make_app(path.dsn, access=NamedGrants(), replaying=setup)) as running:
        yield running


@pytest.fixture
def node(path) -> str:
    original, _, _ = path.call([user("hi")], {"X-Regraft-Theme": "weather"})
    return str(path.node(original))


@pytest.mark.parametrize("role", ["viewer", "reviewer"])
def test_only_an_admin_replays(client, path, node, role):
    plan_id = flow.save(path.dsn, flow.prepare(path.dsn, [UUID(node)], [Variant()]))
    for route in ("replays/plan", "replays", f"replays/{plan_id}/cancel", f"replays/{plan_id}/resume"):
        assert client.post(f"/api/{route}", json={"nodes": [node]}, headers=bearer(role)).status_code == 403
        assert client.post(f"/api/{route}", json={"nodes": [node]}).status_code == 401
    assert client.get("/api/models", headers=bearer(role)).status_code == 200


def test_a_tenant_replays_its_own_nodes_and_knows_of_no_others(client, path, node, model):
    session = str(path.ask("SELECT session_id FROM session")[0]["session_id"])
    for body in ({"nodes": [node]}, {"conditions": {"sessions": [session]}}):
        for route in ("/api/replays/plan", "/api/replays"):
            assert client.post(route, json=body, headers=OTHER).status_code == 404
    by_theme = {"conditions": {"themes": ["weather"]}}
    assert client.post("/api/replays/plan", json=by_theme, headers=OTHER).json()["nodes"] == 0
    assert client.post("/api/replays", json=by_theme, headers=OTHER).status_code == 400
    started = client.post("/api/replays", json=by_theme, headers=OWN)
    assert started.status_code == 202, started.text
    plan = started.json()["plan_id"]
    until(lambda: client.get(f"/api/replays/{plan}", headers=OWN).json()["state"] == "done", 30)
    for action in ("cancel", "resume"):
        assert client.post(f"/api/replays/{plan}/{action}", headers=OTHER).status_code == 404
    assert client.get(f"/api/replays/{plan}/events", headers=OTHER).status_code == 404
    (job,) = client.get("/api/jobs", headers=OWN).json()["jobs"]
    assert (job["name"], job["key"], job["state"]) == ("replay", plan, "done")
    assert client.get("/api/jobs", headers=OTHER).json()["jobs"] == []


def test_a_tenant_runs_no_live_tools_and_sees_no_models_of_others(path, node):
    from regraft.infra.config.tool_server import ToolServerSection

    server = ToolServerSection(url="http://127.0.0.1:9/mcp")
    setup = ReplaySetup(gateway=lambda: GatewayEndpoint(path.url), servers={"shop": server})
    body = {"nodes": [node], "continuing": {"tools": "live"}}
    with TestClient(make_app(path.dsn, access=NamedGrants(), replaying=setup)) as client:
        assert client.post("/api/replays/plan", json=body, headers=OWN).status_code == 403
        assert client.post("/api/replays/plan", json=body, headers=bearer("admin")).status_code == 200
        assert {each["runs"] for each in client.get("/api/models", headers=OWN).json()["models"]} == {0}
