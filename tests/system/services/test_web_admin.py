"""Administration through the web API, within a tenant: keys, tokens, model servers, quarantine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from regraft.flows.access import AccessControl
from regraft.flows.administration import AdminSetup
from regraft.infra.config.upstream import UpstreamSection
from regraft.infra.files.keys import KeyStore
from regraft.infra.files.web_tokens import WebTokenStore
from regraft.infra.postgres.pool import connect
from regraft.presentation.web.app import make_app
from support.gateways import Upstream, free_port
from support.scripted_upstream import Script, Seen, plain

Headers = dict[str, str]


def lists_models(seen: Seen) -> Script:
    """A model server that lists its models to anyone who shows its key."""
    if seen.header("authorization") != "Bearer secret-of-the-server":
        return plain(401, b"{}")
    return plain(200, json.dumps({"data": [{"id": "large"}, {"id": "small"}]}).encode())


@pytest.fixture
def tokens(tmp_path: Path) -> WebTokenStore:
    return WebTokenStore(tmp_path / "web-tokens.json")


@pytest.fixture
def people(tokens: WebTokenStore) -> dict[str, Headers]:
    """Who asks, by name: their tokens are made before the server searches for them."""
    made = {
        "owner": tokens.create("owner", role="admin"),
        "alpha": tokens.create("alpha", "alpha", role="admin"),
        "viewer": tokens.create("viewer"),
        "reviewer": tokens.create("reviewer", role="reviewer"),
        "beta": tokens.create("beta", "beta"),
    }
    return {name: {"Authorization": f"Bearer {secret}"} for name, (_, secret) in made.items()}


@pytest.fixture
def client(truth: str, tokens: WebTokenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.setenv("SERVER_KEY", "secret-of-the-server")
    with Upstream(lists_models) as server:
        upstreams = {
            "there": UpstreamSection(base_url=server.base_url, api_key_env="SERVER_KEY"),
            "refuses": UpstreamSection(base_url=server.base_url),
            "gone": UpstreamSection(base_url=f"http://127.0.0.1:{free_port()}/v1"),
        }
        setup = AdminSetup(keys=tmp_path / "keys.json", tokens=tokens.path, needs_keys=True, upstreams=upstreams)
        app = make_app(truth, access=AccessControl(tokens=tokens.path), admin=setup)
        with TestClient(app, raise_server_exceptions=False) as opened:
            yield opened


def post(client: TestClient, path: str, who: Headers, body: Any = None, status: int = 200) -> Any:
    reply = client.post(f"/api/admin/{path}", json=body or {}, headers=who)
    assert reply.status_code == status, reply.text
    return reply.json()


def get(client: TestClient, path: str, who: Headers, status: int = 200) -> Any:
    reply = client.get(f"/api/admin/{path}", headers=who)
    assert reply.status_code == status, reply.text
    return reply.json()


def test_nobody_but_administrators_sees_or_changes_anything(client: TestClient, people: dict[str, Headers]) -> None:
    document = client.get("/api/openapi.json", headers=people["viewer"]).json()
    paths = [path for path in document["paths"] if path.startswith("/api/admin/")]
    assert len(paths) == 8
    bodies = {"keys": {"name": "x"}, "tokens": {"name": "x"}, "dismiss": {"because": "x"}}
    for path in paths:
        for method in document["paths"][path]:
            for name in ("viewer", "reviewer", "beta"):
                body = bodies.get(path.rpartition("/")[2], {}) if method == "post" else None
                reply = client.request(method, path.replace("{id}", "abcdef"), json=body, headers=people[name])
                assert (reply.status_code, reply.json()["error"]["code"]) == (403, "forbidden"), (method, path, name)


def test_a_key_is_made_shown_once_and_revoked(client: TestClient, people: dict[str, Headers], tmp_path: Path) -> None:
    made = post(
        client, "keys", people["owner"], {"name": "app", "scope": "alpha", "models": ["gpt-*"], "per_minute": 9}
    )
    assert made["secret"].startswith("rgk_")
    found = KeyStore(tmp_path / "keys.json").find(made["secret"])
    assert found is not None
    assert (found.scope, found.models, found.per_minute) == ("alpha", ("gpt-*",), 9)
    listed = client.get("/api/admin/keys", headers=people["owner"])
    assert made["secret"] not in listed.text
    assert listed.json() == {"keys": [made["key"]], "needed": True}
    revoked = post(client, f"keys/{made['key']['id']}/revoke", people["owner"])
    assert revoked["revoked_at"]
    assert KeyStore(tmp_path / "keys.json").find(made["secret"]) is None
    assert "no key" in post(client, "keys/abcdef/revoke", people["owner"], status=404)["error"]["message"]
    assert "not empty" in post(client, "keys", people["owner"], {"name": "  "}, status=400)["error"]["message"]


def test_the_administrator_of_a_tenant_manages_it_alone(client: TestClient, people: dict[str, Headers]) -> None:
    owner, alpha = people["owner"], people["alpha"]
    other = post(client, "keys", owner, {"name": "other", "scope": "beta"})["key"]
    own = post(client, "keys", alpha, {"name": "own"})["key"]
    assert own["scope"] == "alpha"
    assert get(client, "keys", alpha)["keys"] == [own]
    for path in (f"keys/{other['id']}/revoke", "keys/zzz/revoke"):
        assert post(client, path, alpha, status=404)["error"]["code"] == "not_found"
    for path in ("keys", "tokens"):
        assert post(client, path, alpha, {"name": "x", "scope": "beta"}, status=403)["error"]["code"] == "forbidden"
    token = post(client, "tokens", alpha, {"name": "ann", "role": "admin"})["token"]
    assert (token["scope"], token["role"]) == ("alpha", "admin")
    shown = get(client, "tokens", alpha)["tokens"]
    assert {each["name"] for each in shown} == {"ann", "alpha"}
    ids = {each["name"]: each["id"] for each in get(client, "tokens", owner)["tokens"]}
    for name in ("owner", "beta", "viewer"):
        assert post(client, f"tokens/{ids[name]}/revoke", alpha, status=404)["error"]["code"] == "not_found"
    assert get(client, "quarantine", alpha, status=403)["error"]["code"] == "forbidden"
    assert get(client, "upstreams?ask=true", alpha) == {"upstreams": []}


def test_a_revoked_token_signs_its_browsers_out(client: TestClient, truth: str, people: dict[str, Headers]) -> None:
    made = post(client, "tokens", people["owner"], {"name": "ann", "role": "reviewer"})
    sessions = client.app.state.sessions  # type: ignore[attr-defined]
    sessions._access._store._looked = float("-inf")  # as if a second had gone by
    reply = client.post("/api/sign-in", json={"token": made["secret"]}, headers={"X-Regraft-Csrf": "x"})
    assert reply.status_code == 200, reply.text
    listed = {each["name"]: each for each in get(client, "tokens", people["owner"])["tokens"]}
    assert (listed["ann"]["browsers"], listed["ann"]["role"]) == (1, "reviewer")
    assert listed["ann"]["last_used_at"]
    assert post(client, f"tokens/{made['token']['id']}/revoke", people["owner"])["revoked_at"]
    with connect(truth) as connection:
        assert connection.execute("SELECT count(*) AS n FROM browser_sessions").fetchone() == {"n": 0}


def test_model_servers_are_asked_what_they_have(client: TestClient, people: dict[str, Headers]) -> None:
    def shown(path: str) -> dict[str, Any]:
        return {each["name"]: each for each in get(client, path, people["owner"])["upstreams"]}

    assert {each["state"] for each in shown("upstreams").values()} == {"unknown"}
    found = shown("upstreams?ask=true")
    assert {name: each["state"] for name, each in found.items()} == {
        "there": "answers",
        "refuses": "fails",
        "gone": "fails",
    }
    assert found["there"]["models"] == ["large", "small"]
    assert found["there"]["answered_ms"] > 0
    assert "401" in found["refuses"]["problem"]
    assert found["gone"]["problem"]
    assert "secret-of-the-server" not in json.dumps(found)


def test_the_quarantine_is_listed_dismissed_and_tried_again(
    client: TestClient, truth: str, people: dict[str, Headers]
) -> None:
    with connect(truth, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO quarantine SELECT gen_random_uuid(), 'not JSON', 'top secret' FROM generate_series(1, 2)"
        )
    listed = client.get("/api/admin/quarantine", headers=people["owner"])
    assert "top secret" not in listed.text
    calls = listed.json()["calls"]
    assert [(each["reason"], each["bytes"]) for each in calls] == [("not JSON", 10)] * 2
    first = calls[0]["event_id"]
    done = post(client, "quarantine/dismiss", people["owner"], {"calls": [first], "because": "a test"})
    assert done == {"dismissed": 1}
    (dismissed,) = get(client, "quarantine?dismissed=true", people["owner"])["calls"]
    assert (dismissed["event_id"], dismissed["dismissed_because"]) == (first, "a test")
    retried = post(client, "quarantine/retry", people["owner"], {"everything": True})
    assert (retried["tried"], retried["resolved"], retried["left"]) == (1, 0, 1)
    post(client, "quarantine/dismiss", people["owner"], {"because": " "}, status=400)


def test_a_server_without_the_files_says_so(truth: str) -> None:
    with TestClient(make_app(truth, access=AccessControl("a-token-of-sixteen-signs"))) as client:
        shown = {"Authorization": "Bearer a-token-of-sixteen-signs"}
        assert client.get("/api/admin/keys", headers=shown).status_code == 503
