"""The web API over a real truth: what is there, what is not, what is malformed, and nothing harmed on the way."""

from __future__ import annotations

import itertools
import json
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from fastapi.routing import APIRoute
from starlette.testclient import TestClient

from regraft.domain.capture.exchange import Exchange, Identity
from regraft.domain.errors import ConfigError
from regraft.domain.ids import parse_json
from regraft.domain.replay.job import Variant
from regraft.flows.access import AccessControl
from regraft.flows.capture.ingest import SeenIds, ingest
from regraft.flows.evaluation.queue import QueueSize, fill_queue, queue_items
from regraft.flows.lineage import build as lineage
from regraft.flows.replay.plans import prepare, save
from regraft.infra.embedding.static import StaticEmbedder
from regraft.infra.nats.codec import encode_exchange
from regraft.infra.postgres import client_pool
from regraft.infra.postgres.pool import connect
from regraft.infra.settings import load_settings
from regraft.presentation.web import app as web
from regraft.presentation.web.routes import ROUTERS
from support.frozen import register

HOSTILE = "\\u0000<script>\\ud800 1e-999 \\ud83d\\ude00"
Message = dict[str, Any]


def user(content: str) -> Message:
    return {"role": "user", "content": content}


def assistant(content: str) -> Message:
    return {"role": "assistant", "content": content}


OF_WAREHOUSE = (  # they answer where there is one: tests/system/datasets/test_dataset_routes.py
    *("/api/recipes", "/api/dataset-jobs", "/api/exports"),
    *("/api/snapshots/{id}/rows", "/api/snapshots/{id}/diff"),
)
# And what a truth does not have by itself: clusters, work in the background, a gateway, an endless stream.
NOT_HERE = (*OF_WAREHOUSE, "/api/admin/", "/api/clusters/{id}", "/api/jobs/{id}", "/api/models", "/api/live")


@pytest.fixture
def capture(truth: str) -> Callable[..., UUID]:
    """Store a call and place it; returns its turn."""
    number = itertools.count(1)
    stored = SeenIds()

    def call(messages: list[Message] | str, answer: str, *, model: str = "m", status: int = 200, **said: Any) -> UUID:
        at = next(number)
        event = UUID(int=(at << 96) + (7 << 76) + (1 << 63))
        body = messages if isinstance(messages, str) else json.dumps(messages)
        choice = {"index": 0, "finish_reason": "stop", "message": assistant(answer)}
        reply = {"model": model, "choices": [choice], "usage": {"prompt_tokens": 5, "completion_tokens": 3}}
        exchange = Exchange(
            event_id=event,
            scope="default",
            endpoint="/v1/chat/completions",
            upstream="local",
            upstream_pin="",
            started_ns=1_700_000_000_000_000_000 + at * 10**9,
            first_byte_ns=10**6,
            duration_ns=5 * 10**6,
            request_body=f'{{"model": "{model}", "messages": {body}, "top_p": 1.0}}'.encode(),
            status=status,
            response_type="application/json",
            response_encoding="",
            response_body=json.dumps(reply if status == 200 else {"error": {"message": "no"}}).encode(),
            identity=Identity(**said),
        )
        with connect(truth, autocommit=True) as connection:
            ingest(connection, [encode_exchange(exchange)], stored)
        lineage.build(truth)
        return event

    return call


@pytest.fixture
def client(truth: str, tmp_path: Path) -> Iterator[TestClient]:
    with TestClient(
        web.make_app(truth, workbench=tmp_path / "workbench.duckdb", embedder=StaticEmbedder),
        raise_server_exceptions=False,
    ) as made:
        yield made


def ok(client: TestClient, path: str) -> Any:
    reply = client.get(path)
    assert reply.status_code == 200, reply.text
    return reply.json()


def refused(client: TestClient, path: str, status: int) -> str:
    reply = client.get(path)
    assert reply.status_code == status, reply.text
    assert reply.headers["content-type"] == "application/json"
    error = reply.json()["error"]
    assert set(error) == {"code", "message"}
    return str(error["message"])


def test_an_empty_truth_is_healthy_and_says_so(client: TestClient) -> None:
    assert ok(client, "/api/health")["status"] == "ok"
    counts = ok(client, "/api/status")
    names = ("inbox", "turns", "waiting_turns", "sessions", "nodes", "quarantine", "snapshots")
    assert {counts[name] for name in names} == {0}
    assert counts["builds"] == []
    assert ok(client, "/api/sessions") == {"sessions": [], "next": None, "cut": False}
    assert ok(client, "/api/snapshots") == {"snapshots": [], "next": None}
    assert ok(client, "/api/themes") == {"themes": [], "next": None}


def test_status_counts_every_layer(client: TestClient, truth: str, capture: Callable[..., UUID]) -> None:
    capture([user("hi")], "hello")
    capture([user("hi"), assistant("hello"), user("more")], "ok")
    with connect(truth, autocommit=True) as connection:
        connection.execute("INSERT INTO quarantine VALUES (gen_random_uuid(), 'not JSON', '')")
        connection.execute("INSERT INTO lineage_queue SELECT turn_id, session_id FROM session_turn LIMIT 1")
    counts = ok(client, "/api/status")
    counted = {name: counts[name] for name in ("inbox", "turns", "waiting_turns", "waiting_sessions", "sessions")}
    assert counted == {"inbox": 2, "turns": 2, "waiting_turns": 1, "waiting_sessions": 1, "sessions": 1}
    assert (counts["nodes"], counts["runs"], counts["quarantine"], counts["replays"]) == (2, 2, 1, 0)
    assert counts["builds"][0]["name"] == "graph"
    assert counts["builds"][0]["turns_built"] == 2


def test_sessions_come_latest_first_and_page_by_page(client: TestClient, capture: Callable[..., UUID]) -> None:
    for number in range(5):
        capture([user(f"question {number}")], "answer", theme="even" if number % 2 == 0 else "odd")
    page = ok(client, "/api/sessions?limit=2")
    seen = [row["opening"] for row in page["sessions"]]
    while page["next"]:
        reply = client.get("/api/sessions", params={"limit": 2, "before": page["next"]})
        page = reply.json()
        seen += [row["opening"] for row in page["sessions"]]
    assert seen == [f"question {number}" for number in (4, 3, 2, 1, 0)]
    even = ok(client, "/api/sessions?theme=even")["sessions"]
    assert [row["opening"] for row in even] == ["question 4", "question 2", "question 0"]
    assert even[0]["theme"] == "even"
    assert ok(client, "/api/sessions?before=2023-11-14T22:13:23Z")["sessions"][0]["opening"] == "question 1"
    assert ok(client, "/api/sessions?theme=none")["sessions"] == []
    assert {row["name"]: row["sessions"] for row in ok(client, "/api/themes")["themes"]} == {"even": 3, "odd": 2}


def walked(client: TestClient, path: str, rows: str, cursor: str) -> list[Any]:
    """Every row of a list, read two at a time."""
    page = ok(client, f"{path}?limit=2")
    seen = page[rows]
    while page["next"] is not None:
        assert len(page[rows]) == 2
        reply = client.get(path, params={"limit": 2, cursor: page["next"]})
        assert reply.status_code == 200, reply.text
        page = reply.json()
        seen += page[rows]
    return seen


def test_every_list_is_read_page_by_page(client: TestClient, truth: str, capture: Callable[..., UUID]) -> None:
    turns = [capture([user("hi")], f"answer {number}", theme=f"theme {number}") for number in range(5)]
    session = ok(client, f"/api/anchors/{turns[0]}")["session_id"]
    nodes = [UUID(row["node_id"]) for row in ok(client, f"/api/anchors/{turns[0]}")["alternatives"]]
    plans = [save(truth, prepare(truth, nodes[: size + 1], [Variant(model="n")], 5)) for size in range(5)]
    with connect(truth, autocommit=True) as connection:
        for number in range(5):
            register(connection, f"good-{number}", iceberg_snapshot_id=2**62 + number)
    tree = ok(client, f"/api/sessions/{session}/tree")["nodes"]
    assert len(tree) == 6
    assert walked(client, f"/api/sessions/{session}/tree", "nodes", "after") == tree
    assert [row["name"] for row in walked(client, "/api/themes", "themes", "after")] == [f"theme {n}" for n in range(5)]
    snapshots = walked(client, "/api/snapshots", "snapshots", "after")
    assert [row["snapshot_id"] for row in snapshots] == [f"good-{n}" for n in range(5)]
    assert [row["iceberg_snapshot_id"] for row in snapshots] == [str(2**62 + n) for n in range(5)]
    replays = walked(client, "/api/replays", "replays", "before")
    assert [row["plan_id"] for row in replays] == [str(plan) for plan in plans[::-1]]
    jobs = walked(client, f"/api/replays/{plans[0]}", "job_records", "after")
    assert [row["number"] for row in jobs] == [
        row["number"] for row in ok(client, f"/api/replays/{plans[0]}")["job_records"]
    ]
    assert len(jobs) == 5
    anchor = ok(client, f"/api/anchors/{turns[0]}")["alternatives"]
    assert len(anchor) == 5
    assert walked(client, f"/api/anchors/{turns[0]}", "alternatives", "after") == anchor
    root = ok(client, f"/api/nodes/{tree[0]['node_id']}?limit=2")
    assert [child["node_id"] for child in root["children"]] == [row["node_id"] for row in tree[1:3]]
    assert ok(client, f"/api/nodes/{nodes[0]}?limit=2")["siblings"] == anchor[:2]
    nobody = UUID(int=0)
    for path in (f"/api/sessions/{session}/tree", "/api/themes"):
        assert refused(client, f"{path}?after={nobody}", 404)
        assert refused(client, f"{path}?after=nonsense", 400)
    assert refused(client, "/api/snapshots?after=none-1", 404)
    assert refused(client, "/api/snapshots?after=A", 400)
    assert refused(client, "/api/replays?before=yesterday", 400)
    assert refused(client, f"/api/replays/{plans[0]}?after=-1", 400)


def test_a_session_and_its_tree(client: TestClient, capture: Callable[..., UUID]) -> None:
    capture([user("hi")], "hello", session="my chat")
    capture([user("hi"), assistant("hello"), user("more")], "ok", session="my chat")
    capture([user("hi")], "hey", model="other", session="my chat")
    (listed,) = ok(client, "/api/sessions")["sessions"]
    session = listed["session_id"]
    assert ok(client, f"/api/sessions/{session}") == listed
    assert ok(client, f"/api/sessions/{session[:8]}") == listed
    assert ok(client, "/api/sessions/my chat") == listed
    assert (listed["turns"], listed["nodes"], listed["models"]) == (3, 3, ["m", "other"])
    tree = ok(client, f"/api/sessions/{session}/tree")
    assert tree["session"] == listed
    drawn = [(row["depth"], row["branch_kind"], row["asked"], row["answer_text"]) for row in tree["nodes"]]
    assert drawn == [
        (0, "root", None, None),
        (1, "continuation", "hi", "hello"),
        (2, "continuation", "more", "ok"),
        (1, "model_variant", "hi", "hey"),
    ]
    assert tree["nodes"][1]["parent_node_id"] == tree["nodes"][0]["node_id"] == listed["root_node_id"]
    assert tree["nodes"][3]["variant_config"]["model"]


def test_a_node_has_its_history_runs_and_siblings(client: TestClient, capture: Callable[..., UUID]) -> None:
    first = capture([user("hi")], "hello")
    capture([user("hi")], "hello")
    capture([user("hi")], "", status=500)
    capture([user("hi"), assistant("hello"), user("more")], "ok")
    anchor = ok(client, f"/api/anchors/{first}")
    assert anchor["history"] == [user("hi")]
    assert [row["branch_index"] for row in anchor["alternatives"]] == [0, 1, 2]
    assert [row["answer"] for row in anchor["alternatives"]] == [assistant("hello"), assistant("hello"), None]
    node_id = anchor["alternatives"][0]["node_id"]
    node = ok(client, f"/api/nodes/{node_id}")
    assert ok(client, f"/api/nodes/{node_id.replace('-', '')[:10].upper()}") == node
    assert node["history"] == [user("hi")]
    assert [run["answer"] for run in node["run_records"]] == [assistant("hello"), assistant("hello")]
    assert node["run_records"][0]["usage"] == {"prompt_tokens": 5, "completion_tokens": 3}
    assert node["siblings"] == anchor["alternatives"]
    assert [step["depth"] for step in node["path"]] == [0, 1]
    (child,) = node["children"]
    below = ok(client, f"/api/nodes/{child['node_id']}")
    assert below["history"] == [user("hi"), assistant("hello"), user("more")]
    assert node["snapshots"] == []
    root = ok(client, f"/api/nodes/{node['path'][0]['node_id']}")
    assert (root["history"], root["siblings"], root["run_records"]) == ([], [], [])
    failed = ok(client, f"/api/nodes/{anchor['alternatives'][2]['node_id']}")
    assert failed["run_records"][0]["error"]["message"]


def test_stored_json_comes_back_exactly(client: TestClient, capture: Callable[..., UUID]) -> None:
    said = f'[{{"content":"{HOSTILE}","role":"user","n":1.0,"tiny":1e-999,"big":12345678901234567890123}}]'
    turn = capture(said, "answer 1.0")
    reply = client.get(f"/api/anchors/{turn}")
    assert reply.status_code == 200
    body = parse_json(reply.content)
    assert body["history"] == parse_json(said)
    assert b"1e-999" in reply.content
    assert b'"n":1.0' in reply.content
    assert b"12345678901234567890123" in reply.content
    assert b"\\u0000" in reply.content
    assert b"\\ud800" in reply.content
    assert body["alternatives"][0]["answer"] == assistant("answer 1.0")
    assert b'"top_p":1.0' in reply.content
    assert ok(client, "/api/sessions")["sessions"][0]["opening"] is None


def test_an_answer_of_any_characters_comes_back_exactly(client: TestClient, capture: Callable[..., UUID]) -> None:
    turn = capture([user("hi")], "\x00answer\ud800")
    assert parse_json(client.get(f"/api/anchors/{turn}").content)["alternatives"][0]["answer"] == assistant(
        "\x00answer\ud800"
    )


@pytest.mark.parametrize(
    "path",
    [
        "/api/nodes/zzz",
        "/api/nodes/abc",
        "/api/nodes/12345%00",
        "/api/nodes/' OR 1=1 --",
        f"/api/nodes/{'a' * 33}",
        "/api/sessions/%00",
        "/api/sessions/%ff%fe",
        "/api/sessions/abc/tree",
        "/api/anchors/not-an-id",
        "/api/snapshots/..%5C..",
        "/api/snapshots/A",
        "/api/sessions?limit=0",
        "/api/sessions?limit=201",
        "/api/sessions?limit=ten",
        "/api/sessions?before=yesterday",
        "/api/sessions?before=2026-01-01,nonsense",
        "/api/sessions?theme=%00",
    ],
)
def test_what_is_malformed_is_a_400(client: TestClient, path: str) -> None:
    assert refused(client, path, 400)


@pytest.mark.parametrize(
    "path",
    [
        "/api/nodes/00000000-0000-0000-0000-000000000000",
        "/api/sessions/abcdef",
        "/api/sessions/00000000-0000-0000-0000-000000000000/tree",
        "/api/anchors/00000000-0000-0000-0000-000000000000",
        "/api/snapshots/none-1",
        "/api/nothing",
    ],
)
def test_what_is_not_there_is_a_404(client: TestClient, path: str) -> None:
    assert refused(client, path, 404)


def test_a_prefix_of_several_ids_is_refused(client: TestClient, truth: str, capture: Callable[..., UUID]) -> None:
    capture([user("hi")], "hello")
    with connect(truth, autocommit=True) as connection:
        for digit in "12":
            connection.execute(
                "INSERT INTO session (session_id, scope, evidence) VALUES (%s, 'default', 'opening')",
                (f"abcdef0{digit}-0000-0000-0000-000000000000",),
            )
    assert "more digits" in refused(client, "/api/sessions/abcdef", 400)
    assert "not in the graph" in refused(client, "/api/sessions/abcdef01", 404)


def test_nothing_is_written_without_a_token(client: TestClient) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        reply = client.request(method, "/api/sessions")
        assert (reply.status_code, reply.json()["error"]["code"]) == (403, "forbidden")
    with client.app.state.reader.connection() as connection:  # type: ignore[attr-defined]
        assert connection.execute("SHOW default_transaction_read_only").fetchone() == {
            "default_transaction_read_only": "on"
        }


@pytest.mark.parametrize("path", ["/api/health", "/api/nodes/zzz", "/api/nothing"])
def test_every_answer_carries_the_strict_headers(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    assert "script-src 'self'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"


def test_a_request_under_a_foreign_name_is_refused(truth: str) -> None:
    with TestClient(web.make_app(truth, ("127.0.0.1",)), base_url="http://127.0.0.1") as client:
        assert client.get("/api/health").status_code == 200
        for headers in (
            {"host": "evil.example"},
            {"host": "localhost.evil.example:4701"},
            {"origin": "https://evil.example"},
            {"origin": "null"},
            {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"},
        ):
            foreign = client.get("/api/health", headers=headers)
            assert (foreign.status_code, foreign.json()["error"]["code"]) == (403, "forbidden")
            assert foreign.headers["x-content-type-options"] == "nosniff"
        for headers in (
            {"host": "localhost:4701", "origin": "http://localhost:4701"},
            {"host": "[::1]:4701"},
            {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"},
        ):
            assert client.get("/api/health", headers=headers).status_code == 200


def test_a_database_that_is_away_is_a_503(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_pool, "_WAIT_SECONDS", 0.2)
    with TestClient(web.make_app("postgresql://nobody@127.0.0.1:1/none"), raise_server_exceptions=False) as client:
        assert "PostgreSQL" in refused(client, "/api/health", 503)


def test_a_snapshot_is_listed_and_shown(client: TestClient, truth: str) -> None:
    with connect(truth, autocommit=True) as connection:
        register(connection, "good-1")
    (listed,) = ok(client, "/api/snapshots")["snapshots"]
    shown = ok(client, "/api/snapshots/good-1")
    assert {name: shown[name] for name in listed} == listed
    assert shown["holds"] == {"rows": 0, "nodes": 0, "sessions": 0}
    assert (shown["content_hash"], shown["row_counts"]) == ("02ff", {"train": 2})


def test_it_is_served_over_a_socket(truth: str, capture: Callable[..., UUID]) -> None:
    capture([user("hi")], "hello")
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    threading.Thread(target=web.serve_web, args=(truth, "127.0.0.1", port), daemon=True).start()
    url = f"http://127.0.0.1:{port}/api/status"
    deadline = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as reply:
                assert json.load(reply)["turns"] == 1
                return
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_every_route_of_the_document_answers_by_its_declared_model(
    client: TestClient, truth: str, capture: Callable[..., UUID], tmp_path: Path
) -> None:
    turn = capture([user("hi")], "hello", theme="greetings")
    capture([user("hi"), assistant("hello"), user("more")], "ok")
    capture([user("hi")], "hey", model="other")
    node = ok(client, f"/api/anchors/{turn}")["node_id"]
    plan = save(truth, prepare(truth, [UUID(node)], [Variant()], 1))
    with connect(truth, autocommit=True) as connection:
        register(connection, "good-1")
    session = ok(client, "/api/sessions")["sessions"][0]["session_id"]
    ids = {"sessions": session, "nodes": node, "anchors": turn, "compare": node, "replays": plan, "snapshots": "good-1"}
    ids["runs"] = str(turn)
    ids["categories"] = "overlong"
    ids["themes"] = ok(client, "/api/themes")["themes"][0]["theme_id"]
    models = {
        f"/api{route.path}": route.response_model
        for router in ROUTERS
        for route in router.routes
        if isinstance(route, APIRoute) and route.methods == {"GET"}
    }
    document = ok(client, "/api/openapi.json")
    read = {path for path, item in document["paths"].items() if "get" in item}
    assert read == set(models)
    fill_queue(truth, tmp_path / "workbench.duckdb", QueueSize())
    ids["review"] = str(queue_items(truth)[0].item_id)
    walked = elsewhere = 0
    for path in read:
        if models[path] is None or path.endswith("/events") or path.startswith(NOT_HERE):
            elsewhere += 1
            continue
        reply = client.get(path.replace("{id}", str(ids.get(path.split("/")[2], ""))))
        assert reply.status_code == 200, reply.text
        answer = models[path].model_validate_json(reply.content)
        assert set(reply.json()) == set(answer.model_fields_set)
        walked += 1
    assert walked + elsewhere == len(models)
    assert walked > 40


def test_with_a_token_nothing_but_the_health_is_read_without_it(truth: str) -> None:
    with TestClient(
        web.make_app(truth, access=AccessControl("a-token-of-16-signs")), raise_server_exceptions=False
    ) as client:
        assert client.get("/api/health").status_code == 200
        for path in ("/api/status", "/api/sessions", "/api/openapi.json", "/api/nothing", "/api/events"):
            for shown in (None, "Bearer a-token-of-16-sign", "a-token-of-16-signs", "Basic a-token-of-16-signs"):
                reply = client.get(path, headers={"Authorization": shown} if shown else {})
                assert (reply.status_code, reply.json()["error"]["code"]) == (401, "unauthorized")
                assert reply.headers["www-authenticate"] == "Bearer"
                assert reply.headers["x-content-type-options"] == "nosniff"
        for told in ("Bearer a-token-of-16-signs", "bearer  a-token-of-16-signs "):
            assert client.get("/api/status", headers={"Authorization": told}).status_code == 200


def test_an_address_beyond_loopback_needs_a_token(tmp_path: Path) -> None:
    config = tmp_path / "regraft.toml"
    config.write_text('[web]\nhost = "192.0.2.1"\n')
    with pytest.raises(ConfigError, match="REGRAFT_WEB__TOKEN"):
        load_settings(config)
    config.write_text('[web]\nhost = "192.0.2.1"\ntoken = "0123456789abcdef"\n')
    assert "0123456789abcdef" not in repr(load_settings(config))


def test_requests_are_counted_by_the_route_that_answered_them(client: TestClient) -> None:
    client.get("/api/sessions")
    client.get("/api/sessions/no-such-session")
    client.get("/api/nowhere")
    page = client.get("/metrics")
    assert page.status_code == 200
    assert 'regraft_web_requests_total{route="/sessions",status="200"} 1.0' in page.text
    assert 'regraft_web_requests_total{route="none",status="404"} 1.0' in page.text
    assert "no-such-session" not in page.text
    assert "regraft_web_request_seconds_count 3.0" in page.text
