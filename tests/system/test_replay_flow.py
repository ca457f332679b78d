"""Replays through the real gateway, stream and ingest: grouped, never run twice, nothing lost when a process dies."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID

import pytest

from regraft.domain.errors import NotFoundError
from regraft.domain.ids import parse_json
from regraft.domain.replay import Variant
from regraft.flows import lineage
from regraft.flows import replay as flow
from regraft.flows.arrival import wait_for
from regraft.flows.consume import consume
from regraft.infra.embedded.nats import EmbeddedNats
from regraft.infra.postgres.pool import connect
from regraft.presentation.gateway.app import server_of
from regraft.presentation.gateway.settings import GatewaySettings, UpstreamSettings

sys.path.insert(0, str(Path(__file__).parents[1]))
from scripted_upstream import ScriptedUpstream, Seen, plain


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(true, seconds=120.0):
    """Wait for something that other processes do."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


class Model:
    """A scripted model server. It answers with the number of the call, the model and the sampling it was asked with."""

    def __init__(self) -> None:
        self.asked: list[dict] = []
        self.refuse = False
        self.same = ""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self.server = ScriptedUpstream(self.answer)

    def answer(self, seen: Seen):
        asked = json.loads(seen.body)
        self.asked.append(asked)
        if self.refuse:
            return plain(503, b'{"error":{"message":"overloaded"}}')
        said = self.same or f"answer {len(self.asked)} of {asked['model']} to {len(asked['messages'])}"
        reply = {
            "id": "x",
            "model": asked["model"],
            "system_fingerprint": "fp",
            "choices": [{"index": 0, "finish_reason": "stop", "message": assistant(said)}],
            "usage": {"prompt_tokens": 7, "completion_tokens": 2},
        }
        return plain(200, json.dumps(reply).encode())

    def __enter__(self):
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self.server.__aenter__(), self._loop).result(10)
        return self

    def __exit__(self, *_):
        asyncio.run_coroutine_threadsafe(self.server.__aexit__(), self._loop).result(10)
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0.05), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class WholePath:
    """The whole path of a call: a gateway before a model server, and the database where its calls arrive."""

    def __init__(self, dsn, nats_url, port):
        self.dsn = dsn
        self.nats_url = nats_url
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def call(self, messages, headers=None, **settings) -> tuple[UUID, int, dict]:
        body = json.dumps({"model": "small", "messages": messages, **settings})
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request(
                "POST", "/v1/chat/completions", body, {"Content-Type": "application/json", **(headers or {})}
            )
            response = connection.getresponse()
            return UUID(response.headers["x-regraft-turn"]), response.status, json.loads(response.read())

    def ask(self, query, **values):
        with connect(self.dsn) as connection:
            return connection.execute(query.encode(), values).fetchall()

    def node(self, turn) -> UUID:
        wait_for(self.dsn, [turn])
        lineage.build(self.dsn)
        return self.ask("SELECT node_id FROM session_turn WHERE turn_id = %(turn)s", turn=turn)[0]["node_id"]

    def group(self, anchor) -> list[dict]:
        return self.ask(
            """SELECT b.*, r.model, r.run_status, r.variant, r.purpose FROM response_branch_records b
            JOIN execution_run_records r ON r.run_id = b.turn_id
            WHERE b.context_anchor_turn_id = %(anchor)s ORDER BY b.branch_index""",
            anchor=anchor,
        )

    def replay(self, nodes, variants, samples=1, *, again=False, gateway=None):
        planned = flow.prepare(self.dsn, nodes, variants, samples, again=again)
        return flow.run(self.dsn, gateway or self.url, planned, concurrency=3)


@contextlib.contextmanager
def gateway_before(model, nats_url, spool):
    """A gateway in this process, on a thread of its own, before a model server. Gives its port."""
    port = free_port()
    upstream = UpstreamSettings(base_url=model.server.base_url, connect_timeout=2.0)
    server = server_of(GatewaySettings(upstreams={"main": upstream}, spool=spool, nats_url=nats_url, port=port))
    server.config.timeout_graceful_shutdown = 5
    thread = threading.Thread(target=server.run)
    thread.start()
    until(lambda: server.started or not thread.is_alive())
    yield port
    server.should_exit = True
    thread.join(30)
    assert not thread.is_alive()


@contextlib.contextmanager
def consumer(dsn, nats_url):
    """Ingest in this process, on a thread of its own."""
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    failed: list[BaseException] = []

    def main():
        try:
            loop.run_until_complete(consume(dsn, nats_url, stop))
        except BaseException as error:  # noqa: BLE001 - shown by the test's own thread
            failed.append(error)
        finally:
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()

    thread = threading.Thread(target=main)
    thread.start()
    yield
    loop.call_soon_threadsafe(stop.set)
    thread.join(30)
    assert failed == []
    assert not thread.is_alive()


@pytest.fixture
def stream_url(tmp_path):
    """A stream of its own: what one test leaves there must not arrive in the next one's database."""
    server = EmbeddedNats(tmp_path / "nats")
    yield server.start().url
    server.stop()


@pytest.fixture
def model():
    with Model() as running:
        yield running


@pytest.fixture
def path(truth, stream_url, model, tmp_path):
    with gateway_before(model, stream_url, tmp_path / "spool") as port, consumer(truth, stream_url):
        yield WholePath(truth, stream_url, port)


# Groups


def test_replays_and_their_original_stand_under_one_anchor_numbered_from_zero(path):
    original, _, _ = path.call([user("hi")], temperature=0.5)
    variants = [Variant(), Variant(model="large"), Variant(sampling={"temperature": 1}), Variant(system="Be brief.")]
    counts = path.replay([path.node(original)], variants, samples=2)
    assert (counts.ran, counts.skipped, counts.failures) == (8, 0, [])
    group = path.group(original)
    assert [row["branch_index"] for row in group] == list(range(9))
    assert group[0]["turn_id"] == original
    assert {row["turn_id"] for row in group[1:]} == set(counts.turns)
    assert [row["is_replay"] for row in group] == [False] + [True] * 8
    kinds = {row["branch_kind"] for row in group[1:]}
    assert kinds == {"retry", "model_variant", "sampling_variant", "prompt_variant"}
    assert {row["purpose"] for row in group} == {"chat", "replay"}


def test_a_replay_asks_exactly_what_was_asked(path, model):
    odd = [{"role": "user", "content": "a\0\ud800 b \r\n"}, {**assistant(None), "refusal": None}, user("x")]
    turn, _, _ = path.call(
        odd, temperature=0.7, seed=3, stream=False, tools=[{"type": "function", "function": {"name": "f"}}]
    )
    path.replay([path.node(turn)], [Variant()])
    first, second = model.asked
    assert first.pop("stream") is False
    assert second == first


def test_a_replay_of_a_later_turn_stands_beside_it_and_not_beside_the_first(path):
    first, _, reply = path.call([user("hi")])
    said = reply["choices"][0]["message"]
    second, _, _ = path.call([user("hi"), said, user("more")])
    path.replay([path.node(second)], [Variant()], samples=2)
    assert [row["branch_index"] for row in path.group(second)] == [0, 1, 2]
    assert len(path.group(first)) == 1
    depths = path.ask("SELECT depth FROM conversation_branch_nodes ORDER BY depth")
    assert [row["depth"] for row in depths] == [0, 1, 2, 2, 2]


def test_a_node_that_a_replay_gave_can_be_replayed(path):
    original, _, _ = path.call([user("hi")])
    counts = path.replay([path.node(original)], [Variant(system="Be brief.")])
    path.replay([path.node(counts.turns[0])], [Variant(model="large")])
    assert [row["branch_index"] for row in path.group(original)] == [0, 1, 2]


def test_equal_answers_of_replays_are_one_node_with_its_runs(path, model):
    model.same = "the same"
    original, _, _ = path.call([user("hi")])
    path.replay([path.node(original)], [Variant()], samples=3)
    assert path.ask("SELECT runs FROM conversation_branch_nodes WHERE depth = 1") == [{"runs": 4}]
    assert [row["branch_index"] for row in path.group(original)] == [0, 1, 2, 3]


def test_a_root_and_an_unknown_node_cannot_be_replayed(path):
    turn, _, _ = path.call([user("hi")])
    path.node(turn)
    (root,) = path.ask("SELECT node_id FROM conversation_branch_nodes WHERE depth = 0")
    for node in (root["node_id"], UUID(int=1)):
        with pytest.raises(NotFoundError, match=str(node)):
            flow.prepare(path.dsn, [node], [Variant()])


# Never twice


def test_what_was_finished_is_not_run_again(path, model):
    original, _, _ = path.call([user("hi")])
    node = path.node(original)
    assert path.replay([node], [Variant(model="large")], samples=2).ran == 2
    asked = len(model.asked)
    counts = path.replay([node], [Variant(model="large")], samples=2)
    assert (counts.ran, counts.skipped, counts.turns) == (0, 2, [])
    assert len(model.asked) == asked
    more = path.replay([node], [Variant(model="large")], samples=3)
    assert (more.ran, more.skipped) == (1, 2)
    assert len(path.group(original)) == 4


def test_what_was_finished_is_run_again_when_that_is_asked(path, model):
    original, _, _ = path.call([user("hi")])
    node = path.node(original)
    path.replay([node], [Variant()])
    counts = path.replay([node], [Variant()], again=True)
    assert (counts.ran, counts.skipped) == (1, 0)
    assert [row["branch_index"] for row in path.group(original)] == [0, 1, 2]


def test_what_failed_is_run_again(path, model):
    original, _, _ = path.call([user("hi")])
    node = path.node(original)
    model.refuse = True
    failed = path.replay([node], [Variant()], samples=2)
    assert len(failed.failures) == 2
    assert all("503" in line for line in failed.failures)
    model.refuse = False
    counts = path.replay([node], [Variant()], samples=2)
    assert (counts.ran, counts.skipped, counts.failures) == (2, 0, [])
    assert [row["run_status"] for row in path.group(original)] == ["ok", "error", "error", "ok", "ok"]


# What dies


def test_a_dead_model_server_gives_failures_and_error_nodes(truth, stream_url, tmp_path):
    with Model() as model, gateway_before(model, stream_url, tmp_path / "spool") as port, consumer(truth, stream_url):
        path = WholePath(truth, stream_url, port)
        original, _, _ = path.call([user("hi")])
        node = path.node(original)
        asyncio.run_coroutine_threadsafe(model.server.__aexit__(), model._loop).result(10)
        counts = path.replay([node], [Variant(), Variant(model="large")])
        assert (counts.ran, len(counts.failures), len(counts.turns)) == (2, 2, 2)
        group = path.group(original)
        assert [row["branch_index"] for row in group] == [0, 1, 2]
        assert [row["run_status"] for row in group] == ["ok", "error", "error"]
        statuses = path.ask("SELECT node_status FROM conversation_branch_nodes WHERE depth = 1 ORDER BY node_status")
        assert [row["node_status"] for row in statuses] == ["error", "ok"]


def test_a_dead_gateway_gives_failures_and_no_exception(path):
    original, _, _ = path.call([user("hi")])
    counts = path.replay([path.node(original)], [Variant()], samples=2, gateway=f"http://127.0.0.1:{free_port()}")
    assert (counts.ran, counts.turns, len(counts.failures)) == (2, [], 2)
    assert len(path.group(original)) == 1


def test_an_ingest_process_killed_in_the_middle_of_traffic_loses_and_doubles_nothing(
    truth, stream_url, model, tmp_path
):
    # The environment of a deployment: every server is named, none is started here.
    environment = {
        **os.environ,
        "REGRAFT_DATA_DIR": str(tmp_path / "data"),
        "REGRAFT_POSTGRES__DSN": truth,
        "REGRAFT_NATS__URL": stream_url,
        "REGRAFT_UPSTREAMS": json.dumps({"main": {"base_url": model.server.base_url}}),
    }
    log = (tmp_path / "ingest.log").open("wb")

    def start():
        command = [sys.executable, "-m", "regraft", "ingest"]
        return subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=log, stderr=log)

    def stored():
        with connect(truth) as connection:
            return connection.execute("SELECT count(*) AS n FROM pipeline_event_inbox").fetchone()["n"]

    total = 800
    histories = [[user(f"{n % 40}"), assistant("a"), user(f"{n}")] for n in range(total)]
    with gateway_before(model, stream_url, tmp_path / "spool") as port, ThreadPoolExecutor(4) as clients:
        path = WholePath(truth, stream_url, port)
        process = start()
        try:
            traffic = [clients.submit(path.call, each) for each in histories[:20]]
            until(lambda: stored() >= 20)  # it is at work
            traffic += [clients.submit(path.call, each) for each in histories[20:]]
            until(lambda: stored() >= 40)
            process.send_signal(signal.SIGKILL)
            process.wait()
            assert stored() < total  # it died in the middle
            turns = [call.result(60) for call in traffic]
            process = start()
            until(lambda: stored() >= total)  # what it held comes again when the stream has waited for it in vain
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
            log.close()
    assert {row["event_id"] for row in path.ask("SELECT event_id FROM pipeline_event_inbox")} == {
        t for t, _, _ in turns
    }
    assert path.ask("SELECT count(*) AS n FROM session_turn") == [{"n": total}]
    assert path.ask("SELECT count(*) AS n FROM quarantine") == [{"n": 0}]
    assert lineage.build(truth).turns == total
    assert path.ask("SELECT sum(runs) AS n FROM conversation_branch_nodes") == [{"n": total}]
    rows = path.ask("SELECT context_messages(context_id)::text AS messages FROM pipeline_event_inbox")
    assert {parse_json(row["messages"])[2]["content"] for row in rows} == {str(number) for number in range(total)}
