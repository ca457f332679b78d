"""Replays through the real gateway, stream and ingest: grouped, never run twice, nothing lost when a process dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from uuid import UUID

import pytest
from starlette.testclient import TestClient

from regraft.domain.errors import ConfigError, NotFoundError, UsageError
from regraft.domain.ids import parse_json
from regraft.domain.replay.budget import Price
from regraft.domain.replay.experiment import Experiment, Query
from regraft.domain.replay.job import Variant
from regraft.flows.lineage import build as lineage
from regraft.flows.replay import plans as flow
from regraft.infra.postgres.pool import connect
from regraft.infra.postgres.replay import plans as store
from regraft.presentation.web.app import make_app
from support.consumer import consuming
from support.gateways import free_port
from support.messages import assistant, user
from support.waiting import until
from support.whole_path import Model, WholePath, gateway_before

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
    with Model() as model, gateway_before(model, stream_url, tmp_path / "spool") as port, consuming(truth, stream_url):
        path = WholePath(truth, stream_url, port)
        original, _, _ = path.call([user("hi")])
        node = path.node(original)
        model.die()
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
        "REGRAFT_UPSTREAMS": json.dumps({"main": {"base_url": model.base_url}}),
    }
    log = (tmp_path / "ingest.log").open("wb")

    def start():
        command = [sys.executable, "-m", "regraft", "ingest"]
        return subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=log, stderr=log)

    def stored():
        with connect(truth) as connection:
            return connection.execute("SELECT count(*) AS n FROM pipeline_event_inbox").fetchone()["n"]

    def at_least(wanted):
        assert process.poll() is None, (tmp_path / "ingest.log").read_text()  # it says why it ended
        return stored() >= wanted

    total = 800
    histories = [[user(f"{n % 40}"), assistant("a"), user(f"{n}")] for n in range(total)]
    with gateway_before(model, stream_url, tmp_path / "spool") as port, ThreadPoolExecutor(4) as clients:
        path = WholePath(truth, stream_url, port)
        process = start()
        try:
            traffic = [clients.submit(path.call, each) for each in histories[:20]]
            until(lambda: at_least(20))  # it is at work
            traffic += [clients.submit(path.call, each) for each in histories[20:]]
            until(lambda: at_least(40))
            process.send_signal(signal.SIGKILL)
            process.wait()
            assert stored() < total  # it died in the middle
            turns = [call.result(60) for call in traffic]
            process = start()
            until(lambda: at_least(total))  # what it held comes again when the stream has waited for it in vain
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


# Plans


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
    assert (counts.ran, counts.tally.stopped) == (3, True)  # of 9 tokens each
    with connect(path.dsn) as connection:
        assert store.progress(connection, counts.plan_id)["state"] == "stopped"
    more = replace(asked, budget_tokens=1000)
    planned = flow.prepare_experiment(path.dsn, more)
    assert planned.plan_id == counts.plan_id
    counts = flow.run(path.dsn, path.url, planned)
    assert (counts.ran, counts.tally.stopped, sum(one.tokens for one in counts.tally.spent.values())) == (7, False, 90)


def test_a_budget_in_money_goes_by_the_prices_of_models(path):
    original, _, _ = path.call([user("hi")])
    asked = Experiment(nodes=(str(path.node(original)),), samples=10, concurrency=1, budget_money=40.0)
    prices = {"small": Price(prompt=1_000_000, completion=6_500_000)}  # 20 an answer
    counts = flow.run(path.dsn, path.url, flow.prepare_experiment(path.dsn, asked), prices=prices)
    assert (counts.ran, counts.tally.stopped) == (2, True)
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


# Any node is a root


@pytest.mark.parametrize(
    ("endpoint", "request_body"),
    [
        (
            "/v1/messages",
            {"model": "small", "max_tokens": 9, "system": "Be brief.", "messages": [{"role": "user", "content": "hi"}]},
        ),
        (
            "/v1/responses",
            {"model": "small", "instructions": "Be brief.", "input": "hi", "max_output_tokens": 9},
        ),
        ("/v1/completions", {"model": "small", "prompt": "hi", "max_tokens": 9}),
    ],
    ids=["anthropic", "responses", "legacy completions"],
)
def test_a_node_of_another_dialect_is_asked_the_same_again_or_as_a_chat(path, model, endpoint, request_body):
    turn = path.post(endpoint, request_body)
    node = path.node(turn)
    counts = path.replay([node], [Variant(), Variant(chat=True)])
    assert counts.failures == []
    assert model.paths[-2:] == [endpoint, "/v1/chat/completions"] or model.paths[-2:] == [
        "/v1/chat/completions",
        endpoint,
    ]
    by_path = dict(zip(model.paths[-2:], model.asked[-2:], strict=True))
    assert by_path[endpoint] == request_body
    chat = by_path["/v1/chat/completions"]
    assert not {"native", "item", "input", "instructions", "system", "prompt"} & chat.keys()
    assert {"role": "user", "content": "hi"} in chat["messages"]
    assert all(message.keys() == {"role", "content"} for message in chat["messages"])
    assert [row["branch_index"] for row in path.group(turn)] == [0, 1, 2]


def test_a_node_inside_a_tool_exchange_is_asked_with_the_call_and_its_result(path, model):
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        user("hi"),
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "42"},
    ]
    tools = [{"type": "function", "function": {"name": "f"}}, {"type": "function", "function": {"name": "g"}}]
    turn, _, _ = path.call(messages, tools=tools)
    path.replay([path.node(turn)], [Variant(without_tools=("g",))])
    assert model.asked[-1]["messages"] == messages
    assert model.asked[-1]["tools"] == tools[:1]
    assert path.group(turn)[1]["branch_kind"] == "tool_variant"


def test_an_imported_node_without_a_known_model_needs_one(path):
    original, _, _ = path.call([user("hi")])
    node = path.node(original)
    with connect(path.dsn, autocommit=True) as connection:
        connection.execute("UPDATE pipeline_event_inbox SET model_requested = NULL")
    with pytest.raises(UsageError, match="--model"):
        flow.prepare(path.dsn, [node], [Variant()])
    assert path.replay([node], [Variant(model="large")]).failures == []


def test_a_replay_belongs_to_the_plan_that_is_named(path):
    original, _, _ = path.call([user("hi")])
    path.replay([path.node(original)], [Variant(plan="rule@2")])
    assert path.group(original)[1]["branch_kind"] == "taskify_variant"


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
