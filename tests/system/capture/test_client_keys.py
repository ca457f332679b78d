"""When the gateway needs keys, our own commands send the configured one, or explain what to do without one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from regraft.infra.embedded.postgres import PostgresEndpoint
from regraft.infra.embedding.endpoint import EndpointEmbedder
from regraft.infra.files.keys import KeyStore
from regraft.infra.gateway_endpoint import GatewayEndpoint
from regraft.infra.llm.client import KeyRefusedError
from regraft.presentation.cli.capture.keys import keys_path
from regraft.presentation.gateway.settings import GatewaySettings, UpstreamSettings
from support.deployments import Deployment, deployed, fails
from support.gateways import Gateway, Upstream, free_port
from support.scripted_upstream import plain

CONFIG = """
gateway.require_keys = true
[orchestrators.crew]
model = "small"
workers = { helper = "small" }
"""


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresEndpoint) -> Iterator[Deployment]:
    with deployed(tmp_path_factory.mktemp("locked"), postgres, CONFIG) as running:
        yield running


@pytest.fixture(scope="module")
def keys(locked: Deployment) -> dict[str, str]:
    """A key for each of some tenants, made before the first call: a gateway searches for new ones once a second."""
    store = KeyStore(keys_path(locked.folder / "data"))
    return {tenant: store.create("driver", scope=tenant)[1] for tenant in ("team-a", "team-b", "default")}


def test_a_replay_with_a_key_stands_beside_its_original_in_the_tenants_session(
    locked: Deployment, keys: dict[str, str]
) -> None:
    secret = keys["team-a"]
    node = locked.node("hi", {"Authorization": f"Bearer {secret}", "X-Regraft-Session": "talk"})
    told = locked.told("replay", str(node), "--seed", "1", "--samples", "2", REGRAFT_API_KEY=secret)
    assert (told["ran"], told["failures"]) == (2, [])
    (answers,) = told["anchors"].values()
    assert [row["branch_index"] for row in answers] == [0, 1, 2]
    assert locked.ask(
        "SELECT s.scope, s.external_id, count(*) AS turns FROM session_turn t JOIN session s USING (session_id)"
        " WHERE s.scope = 'team-a' GROUP BY 1, 2"
    ) == [{"scope": "team-a", "external_id": "talk", "turns": 3}]
    kept = b"".join(path.read_bytes() for path in locked.folder.rglob("*") if path.is_file())
    assert secret.encode() not in kept


def test_the_key_may_be_in_a_file_or_in_a_variable_of_another_name(locked: Deployment, keys: dict[str, str]) -> None:
    secret = keys["team-b"]
    node = locked.node("hello", {"Authorization": f"Bearer {secret}"})
    (locked.folder / "key").write_text(f"{secret}\n")
    named = {"REGRAFT_CLIENT__API_KEY_FILE": "key"}
    assert locked.told("replay", str(node), "--seed", "1", **named)["ran"] == 1
    named = {"REGRAFT_CLIENT__API_KEY_ENV": "MY_KEY", "MY_KEY": secret}
    assert locked.told("replay", str(node), "--seed", "2", **named)["ran"] == 1
    (locked.folder / "key").unlink()
    lost = {"REGRAFT_CLIENT__API_KEY_FILE": "key"}
    fails(locked.regraft("replay", str(node), "--seed", "3", **lost), 2, "key", "cannot be read")
    fails(locked.regraft("replay", str(node), "--seed", "3", REGRAFT_API_KEY="a b"), 2, "REGRAFT_API_KEY")


def test_without_a_key_no_job_is_run_and_one_line_says_what_to_do(locked: Deployment, keys: dict[str, str]) -> None:
    secret = keys["default"]
    node = locked.node("good day", {"Authorization": f"Bearer {secret}"})
    asked = len(locked.model.asked)
    command = ("replay", str(node), "--seed", "1", "--samples", "5")
    fails(locked.regraft(*command), 2, "needs a virtual key", "REGRAFT_API_KEY", "client.api_key_file")
    fails(locked.regraft(*command, REGRAFT_API_KEY="rgk_wrong"), 2, "refuses the virtual key", "regraft keys create")
    for other in (("taskify", str(node)), ("orchestrate", "hi")):
        fails(locked.regraft(*other), 2, "needs a virtual key", "REGRAFT_API_KEY")
    assert len(locked.model.asked) == asked
    told = locked.told(*command, REGRAFT_API_KEY=secret)  # the same plan, from where it was
    assert (told["ran"], told["failures"]) == (5, [])


def test_a_refused_key_ends_a_regeneration_with_one_line_and_loses_nothing(
    locked: Deployment, keys: dict[str, str]
) -> None:
    secret = keys["team-b"]
    node = locked.node("make it again", {"Authorization": f"Bearer {secret}"})
    made = locked.told("replay", str(node), "--seed", "7", "--samples", "3", REGRAFT_API_KEY=secret)
    assert made["ran"] == 3
    (answers,) = made["anchors"].values()
    replayed = answers[1]["node_id"]
    assert locked.regraft("outdate", replayed, "--because", "a new fact").returncode == 0
    asked = len(locked.model.asked)
    fails(locked.regraft("regenerate", "--node", replayed), 2, "needs a virtual key", "REGRAFT_API_KEY")
    wrong = locked.regraft("regenerate", "--node", replayed, REGRAFT_API_KEY="rgk_wrong")
    fails(wrong, 2, "refuses the virtual key", "regraft keys create")
    assert len(locked.model.asked) == asked
    again = locked.told("regenerate", "--node", replayed, REGRAFT_API_KEY=secret)
    assert (len(again["made"]), again["failures"]) == (1, [])


def test_a_plan_is_asked_for_with_the_key(locked: Deployment, keys: dict[str, str]) -> None:
    secret = keys["default"]
    node = locked.node("plan it", {"Authorization": f"Bearer {secret}"})
    asked = len(locked.model.asked)
    done = locked.regraft("taskify", str(node), "--json", REGRAFT_API_KEY=secret)
    assert done.returncode == 1, done.stderr  # this model's words are not a plan: that is what is stored
    assert len(locked.model.asked) > asked
    assert locked.ask("SELECT status, scope FROM taskification_results") == [{"status": "failed", "scope": "default"}]


def test_texts_are_embedded_with_the_key_and_a_servers_own_refusal_is_told_as_its_own(tmp_path: Path) -> None:
    keys = KeyStore(tmp_path / "keys.json")
    _, secret = keys.create("driver")
    answers = [
        plain(200, b'{"data":[{"index":0,"embedding":[1.0,0.0]}]}'),
        plain(401, b'{"error":{"message":"Incorrect API key","code":"invalid_api_key"}}'),
    ]
    with Upstream(lambda seen: answers.pop(0)) as upstream:
        settings = GatewaySettings(
            upstreams={"main": UpstreamSettings(base_url=upstream.base_url)},
            spool=tmp_path / "spool",
            nats_url="nats://127.0.0.1:1",
            port=free_port(),
            keys=keys.path,
        )
        with Gateway(settings):
            url = f"http://127.0.0.1:{settings.port}"
            with pytest.raises(KeyRefusedError, match="REGRAFT_API_KEY"):
                EndpointEmbedder(GatewayEndpoint(url), "e").embed(["text"])
            assert EndpointEmbedder(GatewayEndpoint(url, secret), "e").embed(["text"]).to_pylist() == [[1.0, 0.0]]
            with pytest.raises(Exception, match="Incorrect API key"):
                EndpointEmbedder(GatewayEndpoint(url, secret), "e").embed(["text"])
    assert secret not in repr(GatewayEndpoint(url, secret))
