"""The web API with the token of a tenant: whatever route there is shows nothing of another tenant."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from starlette.testclient import TestClient

from regraft.domain.capture.exchange import Exchange, Identity
from regraft.domain.ids import time_ordered_uuid
from regraft.domain.lineage.theme import theme_id_of
from regraft.domain.replay.experiment import Experiment, Query
from regraft.domain.replay.job import Variant
from regraft.flows.access import AccessControl
from regraft.flows.capture.ingest import SeenIds, ingest
from regraft.flows.evaluation.categories import label_units
from regraft.flows.evaluation.clusters import materialise_clusters
from regraft.flows.evaluation.embeddings import materialise_embeddings
from regraft.flows.evaluation.pivots import materialise_pivots
from regraft.flows.evaluation.queue import QueueSize, fill_queue, queue_items
from regraft.flows.evaluation.trajectories import materialise_units
from regraft.flows.lineage import build as lineage
from regraft.flows.lineage import reading
from regraft.flows.replay.plans import prepare_experiment, save
from regraft.infra.embedding.static import StaticEmbedder
from regraft.infra.files.taxonomies import parse_taxonomy
from regraft.infra.files.web_tokens import WebTokenStore
from regraft.infra.nats.codec import encode_exchange
from regraft.infra.postgres.pool import connect
from regraft.infra.settings import load_settings
from regraft.presentation.cli.main import main
from regraft.presentation.web import app as web
from support.frozen import register

Headers = dict[str, str]
ELSEWHERE = (  # tests/system/datasets/test_dataset_routes_tenants.py, test_web_jobs.py, replay/test_replays_by_role.py,
    # services/test_web_admin.py, capture/test_live.py, evaluation/test_cluster_commands.py
    *("/api/clusters/{id}", "/api/categories/{id}"),
    *("/api/recipes", "/api/dataset-jobs", "/api/exports"),
    *("/api/snapshots/{id}/rows", "/api/snapshots/{id}/diff"),
    *("/api/jobs", "/api/models", "/api/admin", "/api/live/events"),
    "/api/clusters/{id}",  # two units make no cluster: tests/system/evaluation/test_cluster_commands.py
)
TAXONOMY = parse_taxonomy(
    'name = "t"\n[categories.any]\ndefinition = "d"\n[categories.any.where.turns]\nmin = 1\n', "t.toml"
)


@dataclass
class Tenant:
    """What a tenant has: every id by the kind of its route, and everything that only it may read."""

    name: str
    headers: Headers
    ids: dict[str, str]
    secrets: set[str]


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    return tmp_path / "web-tokens.json"


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    return tmp_path / "workbench.duckdb"


@pytest.fixture
def client(truth: str, tokens: Path, bench: Path) -> Iterator[TestClient]:
    made = web.make_app(truth, access=AccessControl(tokens=tokens), workbench=bench, embedder=StaticEmbedder)
    with TestClient(made, raise_server_exceptions=False) as opened:
        yield opened


@pytest.fixture
def admin(tokens: Path) -> Headers:
    return bearer(WebTokenStore(tokens).create("admin", role="admin")[1])


@pytest.fixture
def tenants(truth: str, tokens: Path, admin: Headers, bench: Path) -> tuple[Tenant, Tenant]:
    """Two tenants that said the same words under the same names, so that only the scope sets them apart."""
    made = [store_of(truth, tokens, name) for name in ("alpha", "beta")]
    with connect(truth, autocommit=True) as connection:
        register(connection, "shared-1", iceberg_table="regraft.shared", refused='{"short": 9}')
        for tenant in made:
            hold(connection, "shared-1", tenant)
        connection.execute("INSERT INTO quarantine VALUES (gen_random_uuid(), 'not JSON', '')")
    save(
        truth,
        prepare_experiment(
            truth,
            Experiment(nodes=tuple(t.ids["nodes"] for t in made), variants=(Variant(model="both"),), samples=1),
        ),
    )
    materialise_units(truth, bench)
    materialise_embeddings(bench, StaticEmbedder())
    assert materialise_pivots(truth, bench).pivots == 2
    label_units(truth, bench, TAXONOMY)
    materialise_clusters(truth, bench, StaticEmbedder().model)
    fill_queue(truth, bench, QueueSize())
    for tenant in made:
        items = queue_items(truth, scope=tenant.name)
        tenant.ids["review"] = str(items[0].item_id)
        tenant.ids["themes"] = str(theme_id_of(tenant.name, "lamps"))
        tenant.secrets |= {str(item.item_id) for item in items}
    return made[0], made[1]


def bearer(token: str) -> Headers:
    return {"Authorization": f"Bearer {token}"}


def store_of(truth: str, tokens: Path, scope: str) -> Tenant:
    turns: list[UUID] = []
    history: list[dict[str, Any]] = []
    for answer in ("hello", "indeed", "hey"):
        asked = (
            [{"role": "user", "content": "hi"}] if answer == "hey" else [*history, {"role": "user", "content": "hi"}]
        )
        said = {"role": "assistant", "content": f"{answer} lighthouse"}
        turns.append(call(truth, scope, asked, said, model="other" if answer == "hey" else f"model-of-{scope}"))
        history = [*asked, said]
    lineage.build(truth)
    with connect(truth, autocommit=True) as connection:
        for turn, reward in ((turns[1], 1), (turns[2], 0)):  # both answers to the first question come to an end
            connection.execute(
                "INSERT INTO feedback (feedback_id, scope, turn_id, name, value, source, given_at)"
                " VALUES (gen_random_uuid(), %s, %s, 'reward', %s, 'tests', now())",
                (scope, turn, reward),
            )
        found = connection.execute(
            "SELECT n.node_id, n.session_id, n.parent_node_id FROM conversation_branch_nodes n WHERE turn_id = %s",
            (turns[0],),
        ).fetchone()
        assert found is not None
        ids = {
            "sessions": str(found["session_id"]),
            "nodes": str(found["node_id"]),
            "anchors": str(turns[0]),
            "runs": str(turns[0]),
            "compare": str(found["node_id"]),
            "snapshots": f"{scope}-set-1",
        }
        recipe, table = f"name = '{scope}-recipe'", f"regraft.{scope}"
        register(connection, ids["snapshots"], recipe=recipe, iceberg_table=table, refused='{"short": 9}')
        tenant = Tenant(scope, bearer(WebTokenStore(tokens).create(scope, scope, role="admin")[1]), ids, set())
        hold(connection, ids["snapshots"], tenant)
        every = connection.execute(
            "SELECT node_id::text AS id FROM conversation_branch_nodes WHERE session_id = %(session)s"
            " UNION SELECT turn_id::text FROM session_turn WHERE session_id = %(session)s"
            " UNION SELECT event_id::text FROM session_turn WHERE session_id = %(session)s"
            " UNION SELECT theme_id::text FROM seed_themes WHERE scope = %(scope)s",
            {"session": ids["sessions"], "scope": scope},
        ).fetchall()
        (theme,) = connection.execute(
            "SELECT theme_id::text AS id FROM seed_themes WHERE scope = %s", (scope,)
        ).fetchall()
        ids |= {"themes": theme["id"], "categories": "any"}
    plan = save(
        truth,
        prepare_experiment(
            truth, Experiment(query=Query(sessions=(ids["sessions"],)), variants=(Variant(model="again"),), samples=2)
        ),
    )
    ids["replays"] = str(plan)
    names = {f"{scope}-recipe", f"model-of-{scope}", f'"{scope}"'}
    tenant.secrets = {*(ids[kind] for kind in ids if kind != "categories"), *(row["id"] for row in every), *names}
    return tenant


def call(truth: str, scope: str, messages: list[dict[str, Any]], answer: dict[str, Any], model: str) -> UUID:
    event = UUID(str(time_ordered_uuid(time.time_ns() // 10**6, b"\x07" * 10)))
    reply = {"model": model, "choices": [{"index": 0, "finish_reason": "stop", "message": answer}]}
    exchange = Exchange(
        event_id=event,
        scope=scope,
        endpoint="/v1/chat/completions",
        upstream="local",
        upstream_pin="",
        started_ns=time.time_ns(),
        first_byte_ns=10**6,
        duration_ns=5 * 10**6,
        request_body=json.dumps({"model": model, "messages": messages}).encode(),
        status=200,
        response_type="application/json",
        response_encoding="",
        response_body=json.dumps(reply).encode(),
        identity=Identity(session="talk", theme="lamps"),
    )
    time.sleep(0.002)  # ids are ordered by time
    with connect(truth, autocommit=True) as connection:
        ingest(connection, [encode_exchange(exchange)], SeenIds())
    return event


def hold(connection: Any, snapshot: str, tenant: Tenant) -> None:
    connection.execute(
        "INSERT INTO dataset_snapshot_nodes VALUES (%s, %s, %s, %s, 'answer')",
        (snapshot, f"row-of-{tenant.name}", tenant.ids["nodes"], tenant.ids["sessions"]),
    )


def routes(client: TestClient, headers: Headers) -> list[str]:
    """Every path of the OpenAPI document that is read. Only such with one id, of a kind that the tenants have, can be
    walked; others are tried with two tenants in their own tests."""
    document = client.get("/api/openapi.json", headers=headers).json()
    return [path for path, item in document["paths"].items() if "get" in item and not path.startswith(ELSEWHERE)]


def filled(path: str, ids: dict[str, str]) -> str:
    return path.replace("{id}", ids[path.split("/")[2]]) if "{" in path else path


def read(client: TestClient, path: str, headers: Headers) -> tuple[int, str]:
    """The status and the text of an answer; of a stream its first event."""
    if not path.endswith("/events"):
        reply = client.get(path, headers=headers)
        return reply.status_code, reply.text
    with client.stream("GET", path, headers=headers) as stream:
        return stream.status_code, next(stream.iter_text())


def test_no_route_shows_a_tenant_anything_of_another(
    client: TestClient, truth: str, tenants: tuple[Tenant, Tenant]
) -> None:
    with connect(truth, autocommit=True) as connection:  # so that the streams of events end
        connection.execute("UPDATE replay_plan SET started_at = now(), ended_at = now()")
    for own, other in (tenants, tenants[::-1]):
        for path in routes(client, own.headers):
            status, text = read(client, filled(path, own.ids), own.headers)
            assert status == 200, (path, text)
            assert {secret for secret in other.secrets if secret in text} == set(), path
            assert "shared-1" not in text, path
        assert own.ids["nodes"] in read(client, "/api/pivots", own.headers)[1]
        (greeting,) = client.get("/api/categories", headers=own.headers).json()["categories"]
        assert (greeting["category"], greeting["labels"]) == ("any", 2)
        assert client.get("/api/clusters", headers=own.headers).json()["run"]["units"] == 2
        assert len(client.get("/api/clusters/map", headers=own.headers).json()["points"]) == 2


def test_an_id_of_another_tenant_is_as_unknown_as_one_that_was_never_given(
    client: TestClient, tenants: tuple[Tenant, Tenant]
) -> None:
    own, other = tenants
    nobody = {**dict.fromkeys(other.ids, "0" * 8 + "-0000-7000-8000-" + "0" * 12), "snapshots": "none-1"}
    for path in routes(client, own.headers):
        if "{" not in path or path.startswith("/api/categories/"):  # names of categories are the same for all
            continue
        status, text = read(client, filled(path, other.ids), own.headers)
        kind = path.split("/")[2]
        assert status == 404, (path, text)
        expected = read(client, filled(path, nobody), own.headers)[1].replace(nobody[kind], other.ids[kind])
        assert text == expected, path
        # The start of an id is neither found nor counted among several.
        for cut in (8, 9, 20):
            if cut >= len(other.ids[kind]):
                continue
            part = {**other.ids, kind: other.ids[kind][:cut]}
            shown = read(client, filled(path, part), own.headers)[1]
            assert {secret for secret in other.secrets if secret in shown} == set(), path


def test_a_tenants_counts_are_its_own(client: TestClient, tenants: tuple[Tenant, Tenant], admin: Headers) -> None:
    whole = client.get("/api/status", headers=admin).json()
    assert (whole["turns"], whole["sessions"], whole["snapshots"], whole["quarantine"]) == (6, 2, 3, 1)
    for tenant in tenants:
        (snapshot,) = client.get("/api/snapshots", headers=tenant.headers).json()["snapshots"]
        assert (snapshot["snapshot_id"], snapshot["refused"]) == (tenant.ids["snapshots"], {})
        counts = client.get("/api/status", headers=tenant.headers).json()
        for name in ("inbox", "turns", "nodes", "runs"):
            assert counts[name] == whole[name] / 2, name
        assert (counts["sessions"], counts["snapshots"]) == (1, 1)
        assert (counts["quarantine"], counts["waiting_calls"], counts["builds"]) == (None, None, [])
        (theme,) = client.get("/api/themes", headers=tenant.headers).json()["themes"]
        assert (theme["name"], theme["scope"], theme["sessions"]) == ("lamps", tenant.name, 1)
        by_name = client.get("/api/sessions/talk", headers=tenant.headers).json()
        assert by_name["session_id"] == tenant.ids["sessions"]
        plan = client.get(f"/api/replays/{tenant.ids['replays']}", headers=tenant.headers).json()
        assert (plan["jobs"], plan["experiment"], set(plan["definition"])) == (4, None, {"variants", "samples"})


def test_a_token_without_a_tenant_sees_all(client: TestClient, tenants: tuple[Tenant, Tenant], admin: Headers) -> None:
    sessions = client.get("/api/sessions", headers=admin).json()["sessions"]
    assert {row["session_id"] for row in sessions} == {tenant.ids["sessions"] for tenant in tenants}
    assert len(client.get("/api/replays", headers=admin).json()["replays"]) == 3
    for tenant in tenants:
        for path in routes(client, admin):
            if not path.endswith("/events"):
                assert client.get(filled(path, tenant.ids), headers=admin).status_code == 200, path


def test_a_reviewer_gets_items_of_their_tenant_alone(
    client: TestClient, tokens: Path, tenants: tuple[Tenant, Tenant]
) -> None:
    own, other = tenants
    reviewer = bearer(WebTokenStore(tokens).create("ann", own.name, role="reviewer")[1])
    everyone = bearer(WebTokenStore(tokens).create("bob", role="reviewer")[1])
    viewers = [bearer(WebTokenStore(tokens).create("eve", scope)[1]) for scope in (own.name, None)]
    reply = client.post("/api/review/claim", headers=reviewer, json={"limit": 10})
    assert reply.status_code == 200, reply.text
    assert reply.json()["reviewer"] == "ann"
    claimed = {item["item_id"] for item in reply.json()["items"]}
    assert claimed
    assert claimed <= own.secrets - other.secrets
    assert {secret for secret in other.secrets if secret in reply.text} == set()
    there = client.post("/api/review/claim", headers=reviewer, json={"session": other.ids["sessions"]})
    assert (there.status_code, there.json()["error"]["code"]) == (404, "not_found")
    lease = client.post("/api/review/claim", headers=everyone, json={}).json()["items"][0]["lease_id"]
    for act, body in (("submit", {"rating": 3}), ("skip", {"reason": "other"}), ("flag", {}), ("renew", {})):
        stolen = client.post(f"/api/review/leases/{lease}/{act}", headers=reviewer, json=body)
        assert (stolen.status_code, stolen.json()["error"]["code"]) == (404, "not_found"), act
    for headers in viewers:  # these tokens only read
        refused = client.post("/api/review/claim", headers=headers, json={})
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "forbidden")


def test_words_are_found_among_the_tenants_nodes_alone(truth: str, tenants: tuple[Tenant, Tenant]) -> None:
    for tenant in tenants:
        found = reading.find(truth, "lighthouse", 10, tenant.name)
        assert found
        assert {str(row["session_id"]) for row in found} == {tenant.ids["sessions"]}
    assert reading.find(truth, "lighthouse", 10, "nobody") == []
    assert len({row["session_id"] for row in reading.find(truth, "lighthouse", 10)}) == 2


def test_a_revoked_token_reads_nothing_any_more_and_none_is_still_needed(
    client: TestClient, tokens: Path, tenants: tuple[Tenant, Tenant], admin: Headers
) -> None:
    own = tenants[0]
    path = f"/api/replays/{own.ids['replays']}/events"
    store = WebTokenStore(tokens)
    with client.stream("GET", path, headers=own.headers) as stream:
        events = stream.iter_text()
        assert "event: progress" in next(events)
        for token in store.all():
            store.revoke(token.key_id)
        assert "event: error" in "".join(events)
    for headers in (own.headers, admin, {}):
        assert client.get("/api/status", headers=headers).status_code == 401
    assert client.get("/api/health").status_code == 200


def test_a_file_of_tokens_that_cannot_be_read_lets_nobody_in(client: TestClient, tokens: Path, admin: Headers) -> None:
    tokens.write_text("{")
    assert client.get("/api/status", headers=admin).status_code == 503
    assert client.get("/api/status").status_code == 503


def test_only_digests_of_tokens_are_stored(tokens: Path, admin: Headers) -> None:
    secret = admin["Authorization"].removeprefix("Bearer ")
    assert secret not in tokens.read_text()
    assert tokens.stat().st_mode & 0o077 == 0
    token = WebTokenStore(tokens).all()[0]
    assert (token.name, token.scope, token.revoked) == ("admin", None, None)


def test_tokens_are_made_listed_and_revoked_by_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def regraft(*words: str) -> Any:
        monkeypatch.setattr("sys.argv", ["regraft", "--config", str(config), "web-token", *words, "--json"])
        with pytest.raises(SystemExit) as left:
            main()
        shown = capsys.readouterr()
        return json.loads(shown.out) if not left.value.code else shown.err

    config = tmp_path / "regraft.toml"
    config.write_text(f'data_dir = "{tmp_path}/data"\n')
    made = regraft("create", "alice", "--scope", "team-a")
    access = AccessControl(tokens=tmp_path / "data/web-tokens.json")
    grant = access.grant(made["token"])
    assert grant is not None
    assert grant.scope == "team-a"
    assert access.grant(None) is None
    (listed,) = regraft("list")
    assert listed == {name: value for name, value in made.items() if name != "token"}
    assert regraft("revoke", made["id"][:6])["revoked"]
    assert "No token begins" in regraft("revoke", "zz")
    assert "not empty" in regraft("create", "bob", "--scope", " ")


def test_beyond_loopback_a_file_of_tokens_will_do_and_makes_them_needed(tmp_path: Path) -> None:
    config = tmp_path / "regraft.toml"
    config.write_text('[web]\nhost = "192.0.2.1"\ntokens_file = "tokens.json"\n')
    assert load_settings(config).web.tokens_file == config.parent / "tokens.json"
    assert AccessControl(tokens=tmp_path / "none.json", required=True).grant(None) is None
    open_to_all = AccessControl(tokens=tmp_path / "none.json").grant(None)
    assert open_to_all is not None
    assert open_to_all.scope is None
