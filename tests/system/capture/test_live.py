"""The live view shows each stored call once, to readers with access, and resumes after a lost connection."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import uvicorn
from starlette.testclient import TestClient

from regraft.domain.capture.exchange import Exchange, Identity
from regraft.domain.ids import time_ordered_uuid
from regraft.flows.access import AccessControl
from regraft.flows.capture.ingest import SeenIds, ingest
from regraft.flows.capture.live import LiveFeed, last_hour, recent_calls
from regraft.infra.files.web_tokens import WebTokenStore
from regraft.infra.nats.codec import encode_exchange
from regraft.infra.postgres.capture.live import TrafficFigures
from regraft.infra.postgres.pool import Connection, connect, transaction
from regraft.presentation.web.app import make_app
from support.gateways import free_port
from support.waiting import until

ASKED = "What does a plum cost?"


def exchange(question: str = ASKED, *, scope: str = "alpha", status: int = 200, **more: Any) -> bytes:
    """A captured call, encoded."""
    identity = {name: more.pop(name) for name in list(more) if name in ("purpose", "plan", "session", "task")}
    body = {"model": "m", "messages": [{"role": "user", "content": question}]}
    choice = {
        "index": 0,
        "finish_reason": "stop",
        "message": {"role": "assistant", "content": f"{question[:20]} Two euros."},
    }
    reply = {"model": "m", "choices": [choice], "usage": {"prompt_tokens": 7, "completion_tokens": 2}}
    fields = {"upstream": "local", "upstream_pin": "", "endpoint": "/v1/chat/completions", **more}
    return encode_exchange(
        Exchange(
            event_id=time_ordered_uuid(time.time_ns() // 10**6, uuid4().bytes[:10]),
            scope=scope,
            started_ns=time.time_ns(),
            first_byte_ns=10**6,
            duration_ns=5 * 10**6,
            request_body=json.dumps(body).encode(),
            status=status,
            response_type="application/json",
            response_encoding="",
            response_body=json.dumps(reply if status == 200 else {"error": {"message": "no"}}).encode(),
            identity=Identity(**identity),
            **fields,
        )
    )


def store(dsn: str, *calls: bytes) -> None:
    with connect(dsn, autocommit=True) as connection:
        ingest(connection, list(calls), SeenIds())


def feed_of(dsn: str, scope: str | None = None, after: int | None = None) -> LiveFeed:
    return LiveFeed(lambda: transaction(dsn), scope, after)


def test_a_call_is_shown_once_it_is_stored_with_who_asked_whom(truth: str) -> None:
    feed = feed_of(truth)
    store(truth, exchange("before"))
    assert feed.next() == []
    store(truth, exchange(ASKED + " " + "x" * 500, session="talk", task="prices"), exchange(status=500))
    first, second = feed.next()
    assert feed.next() == []
    assert (first.caller_kind, first.caller, first.upstream, first.model) == ("client", "client", "local", "m")
    assert (first.outcome, first.prompt_tokens, first.completion_tokens, first.task) == ("ok", 7, 2, "prices")
    assert first.question is not None
    assert first.question.startswith(ASKED)
    assert len(first.question) == 120
    assert first.session_id is not None
    assert (second.outcome, second.http_status) == ("error", 500)
    assert first.seq < second.seq


@pytest.mark.parametrize(
    ("how", "kind", "caller", "step"),
    [
        ({"purpose": "worker", "plan": f"{uuid4()}:s1"}, "orchestrator", "orchestrator", "s1"),
        ({"purpose": "taskify", "plan": f"{uuid4()}:plan"}, "orchestrator", "orchestrator", "plan"),
        (
            {"purpose": "orchestrator", "plan": f"{uuid4()}:answer", "upstream": "orchestrator"},
            "client",
            "client",
            "answer",
        ),
        ({"purpose": "replay"}, "replay", "replay", ""),
        ({"purpose": "judge"}, "program", "judge", ""),
    ],
)
def test_callers_are_told_apart(truth: str, how: dict[str, str], kind: str, caller: str, step: str) -> None:
    store(truth, exchange(**how))
    with transaction(truth) as connection:
        (call,) = recent_calls(connection, None, 10)
    assert (call.caller_kind, call.caller, call.step) == (kind, caller, step)
    assert (call.plan_id is not None) == ("plan" in how)


def test_a_batch_that_is_committed_late_is_not_missed(truth: str) -> None:
    store(truth, exchange("what the others have in common"))
    feed = feed_of(truth)
    feed.next()
    with closing(connect(truth)) as slow:  # it takes its numbers first, and is committed last
        slow.execute("SELECT 1")  # a transaction around that of the batch
        ingest(slow, [exchange("slow")], SeenIds())
        store(truth, exchange("fast"))
        assert [call.question for call in feed.next()] == ["fast"]
        slow.commit()
    assert [call.question for call in feed.next()] == ["slow"]
    assert feed.next() == []


def test_a_feed_goes_on_where_another_one_ended(truth: str) -> None:
    store(truth, exchange("one"), exchange("two"))
    with transaction(truth) as connection:
        one = recent_calls(connection, None, 10)[0]
    store(truth, exchange("three"))
    assert [call.question for call in feed_of(truth, after=one.seq).next()] == ["two", "three"]
    beyond = feed_of(truth, after=10**9)  # of another log
    assert beyond.next() == []
    store(truth, exchange("four"))
    assert [call.question for call in beyond.next()] == ["four"]


def test_a_tenant_sees_its_own_calls_alone(truth: str) -> None:
    feed = feed_of(truth, "beta")
    feed.next()
    store(truth, exchange("of alpha"), exchange("of beta", scope="beta"), exchange("of alpha"))
    assert [(call.question, call.scope) for call in feed.next()] == [("of beta", "beta")]
    with transaction(truth) as connection:
        assert [call.question for call in recent_calls(connection, "beta", 10)] == ["of beta"]
        assert [call.question for call in recent_calls(connection, None, 2)] == ["of beta", "of alpha"]
        assert recent_calls(connection, "gamma", 10) == []


def test_what_postgresql_cannot_hold_as_text_is_left_out(truth: str) -> None:
    store(truth, exchange("a\x00b \ud800"))
    with transaction(truth) as connection:
        (call,) = recent_calls(connection, None, 10)
    assert call.question is None


@pytest.fixture
def port(truth: str, tmp_path: Path) -> Iterator[int]:
    """Of a server that listens until the test ends."""
    chosen = free_port()
    app = make_app(truth, access=AccessControl(tokens=tmp_path / "tokens.json"))
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=chosen, log_level="error", timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    until(lambda: server.started, 30)
    yield chosen
    server.should_exit = True
    thread.join(20)


def events(port: int, token: str, last: str | None = None) -> tuple[http.client.HTTPConnection, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"Authorization": f"Bearer {token}", **({"Last-Event-ID": last} if last else {})}
    connection.request("GET", "/api/live/events", headers=headers)
    answer = connection.getresponse()
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.readline() == b"retry: 2000\n"
    return connection, answer


def event(answer: Any) -> dict[str, str]:
    """The next event: its fields."""
    found: dict[str, str] = {}
    while True:
        line = answer.readline().decode().rstrip("\n")
        if line and not line.startswith(":"):
            name, _, value = line.partition(": ")
            found[name] = value
        elif found:
            return found


def test_a_browser_gets_calls_as_events_and_goes_on_after_a_loss(truth: str, port: int, tmp_path: Path) -> None:
    tokens = WebTokenStore(tmp_path / "tokens.json")
    made, secret = tokens.create("bea", "beta")
    connection, answer = events(port, secret, "0")
    with closing(connection):
        store(truth, exchange("hidden"), exchange("first", scope="beta"))
        got = event(answer)
    assert (got["event"], json.loads(got["data"])["question"]) == ("call", "first")
    assert got["id"] == str(json.loads(got["data"])["seq"])
    store(truth, exchange("second", scope="beta"))
    connection, answer = events(port, secret, got["id"])
    with closing(connection):
        assert json.loads(event(answer)["data"])["question"] == "second"
        tokens.revoke(made.key_id)
        assert event(answer)["event"] == "failure"
        assert answer.read() == b""


def test_the_latest_calls_of_a_page(truth: str) -> None:
    store(truth, *(exchange(f"number {number}") for number in range(5)))
    with TestClient(make_app(truth)) as client:
        shown = client.get("/api/live/recent", params={"limit": 2}).json()
        assert [call["question"] for call in shown["calls"]] == ["number 3", "number 4"]
        assert shown["last"] == shown["calls"][-1]["seq"]
        assert client.get("/api/live/recent", params={"limit": 0}).status_code == 400


def test_figures_of_a_model_server_are_of_the_last_hour(truth: str) -> None:
    from regraft.infra.postgres.capture.live import upstream_figures

    store(truth, *(exchange() for _ in range(3)), exchange(status=429), exchange(status=500, upstream="other"))
    with transaction(truth) as connection:
        _age(connection, "other")
        (figures,) = upstream_figures(connection, 3600, None)
        assert (figures.upstream, figures.calls, figures.errors, figures.limited) == ("local", 4, 1, 1)
        assert figures.median_ms == 5
        assert upstream_figures(connection, 3600, "gamma") == []


def _age(connection: Connection, upstream: str) -> None:
    connection.execute(
        "UPDATE pipeline_event_inbox SET received_at = received_at - interval '2 hours' WHERE upstream = %s",
        (upstream,),
    )


def test_the_last_hour_counts_calls_failures_and_times_without_imports(truth, calls):
    now = time.time_ns()
    said = [
        calls(
            [{"role": "user", "content": f"q {number}"}],
            circumstances={"started_ns": now, "duration_ns": number * 10**9},
        )
        for number in range(1, 21)
    ]
    cut = calls([{"role": "user", "content": "cut"}], circumstances={"started_ns": now, "cut": "client"})
    imported = calls([{"role": "user", "content": "old"}], who={"purpose": "import"})
    assert last_hour(truth) == TrafficFigures(calls=0, failed=0, p95_seconds=None, newest_seconds=None)

    with connect(truth, autocommit=True) as connection:
        ingest(connection, [encode_exchange(each) for each in (*said, cut, calls.failed(), imported)], SeenIds())

    hour = last_hour(truth)
    assert (hour.calls, hour.failed) == (22, 2)
    assert hour.p95_seconds == pytest.approx(19.05)
    assert 0 <= hour.newest_seconds < 60
