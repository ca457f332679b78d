"""The record of an orchestrated call: its session, its steps, its plan."""

from __future__ import annotations

from uuid import UUID

import pytest

from regraft.flows.capture.ingest import SeenIds, ingest
from regraft.flows.lineage import build as lineage
from regraft.flows.orchestration import taskify
from regraft.infra.nats.codec import encode_exchange
from regraft.infra.postgres.orchestration import taskification
from regraft.infra.postgres.pool import connect
from regraft.presentation.gateway.recorder import LARGE
from support.gateways import spooled
from support.orchestrator_crew import PLAN, RULE, Crew, ask, captured, orchestrator, running, step


def stored(truth, tmp_path):
    """The same, ingested and placed; the rows of its runs by step."""
    exchanges = spooled(tmp_path / "spool")
    with connect(truth) as connection:
        counts = ingest(connection, [encode_exchange(each) for each in exchanges], SeenIds())
    assert (counts.quarantined, counts.waiting) == (0, 0)
    lineage.build(truth)
    with connect(truth) as connection:
        runs = connection.execute("SELECT * FROM execution_run_records ORDER BY started_at, run_id").fetchall()
    return {run["taskify_step"]: run for run in runs}


def test_all_calls_of_an_orchestrated_one_stand_in_its_session_and_name_their_step(truth, tmp_path):
    with running(tmp_path, Crew()) as (client, _):
        answer = ask(client)
    runs = stored(truth, tmp_path)
    assert set(runs) == {"plan", "s1", "s2", "s3", "synthesis", "answer"}
    taskification_id = UUID(answer.model_extra["regraft"]["taskification_id"])
    assert {run["taskification_id"] for run in runs.values()} == {taskification_id}
    assert len({run["session_id"] for run in runs.values()}) == 1
    purposes = {name: run["purpose"] for name, run in runs.items()}
    assert purposes == {
        "plan": "taskify",
        **dict.fromkeys(["s1", "s2", "s3"], "worker"),
        **dict.fromkeys(["synthesis", "answer"], "orchestrator"),
    }
    counted = sum(run["prompt_tokens"] for run in runs.values() if run["backend"] != "orchestrator")
    assert runs["answer"]["backend"] == "orchestrator"
    assert runs["answer"]["prompt_tokens"] == counted == 50
    assert runs["answer"]["model_snapshot_id"] == f"orchestrator/team@{orchestrator(retries=0).pin}"


def test_inner_calls_are_in_the_session_that_the_client_named(truth, tmp_path):
    with running(tmp_path, Crew()) as (client, _):
        ask(client, extra_headers={"X-Regraft-Session": "mine", "X-Regraft-Theme": "tests", "X-Regraft-Task": "t1"})
    runs = stored(truth, tmp_path)
    with connect(truth) as connection:
        (session,) = connection.execute("SELECT session_id, external_id FROM session").fetchall()
    assert session["external_id"] == "mine"
    assert {run["session_id"] for run in runs.values()} == {session["session_id"]}
    assert all(run["theme_id"] for run in runs.values())
    assert {name for name, run in runs.items() if run["task_key"] == "t1"} == {"answer"}


def test_a_plan_is_read_off_the_captured_calls_and_stored_once(truth, tmp_path):
    with running(tmp_path, Crew([step("s1", "s9")], PLAN)) as (client, _):
        answer = ask(client)
    runs = stored(truth, tmp_path)
    counts = taskify.collect(truth)
    assert (counts.planned, counts.repaired, counts.failed, counts.waiting) == (0, 1, 0, 0)
    assert taskify.collect(truth) == taskify.CollectCounts(0, 0, 0, 0)
    told = answer.model_extra["regraft"]
    with connect(truth) as connection:
        row = taskification.one(connection, UUID(told["taskification_id"]))
        steps = taskification.steps(connection, row["taskification_id"])
    assert row["status"] == "repaired"
    assert [str(turn) for turn in row["turn_ids"]] == told["plan"]["turn_ids"]
    assert row["problems"] == told["plan"]["problems"]
    assert [each["id"] for each in row["plan"]["subtasks"]] == ["s1", "s2", "s3"]
    assert row["prompt"] == "Compare the two."
    assert row["taskify_rule_version"] == RULE.version
    assert row["node_id"] == runs["answer"]["node_id"]
    assert row["session_id"] == runs["answer"]["session_id"]
    assert (row["generation"], row["supersedes"]) == (1, None)
    assert {each["step"] for each in steps} == {"plan", "repair", "s1", "s2", "s3", "synthesis", "answer"}


def test_a_plan_whose_second_try_never_came_is_stored_as_failed_when_its_time_is_over(truth, tmp_path):
    with running(tmp_path, Crew("no plan")) as (client, _):
        ask(client)
    exchanges = [each for each in spooled(tmp_path / "spool") if not (each.identity.plan or "").endswith(":repair")]
    with connect(truth) as connection:
        ingest(connection, [encode_exchange(each) for each in exchanges], SeenIds())
    assert taskify.collect(truth) == taskify.CollectCounts(0, 0, 0, 1)
    assert taskify.collect(truth, patience=taskify.timedelta(0)) == taskify.CollectCounts(0, 0, 1, 0)
    with connect(truth) as connection:
        (row,) = taskification.recent(connection, 10)
    assert (row["status"], row["subtasks"]) == ("failed", None)


def test_calls_that_only_claim_to_be_taskification_make_no_plan(truth, calls):
    who = [
        {"purpose": "taskify"},
        {"purpose": "taskify", "plan": "x", "variant": "{}"},
        {"purpose": "taskify", "plan": f"{UUID(int=1)}:plan", "variant": '{"subject":"prompt:1"}'},
    ]
    with connect(truth) as connection:
        ingest(connection, [encode_exchange(calls(who=each)) for each in who], SeenIds())
    assert taskify.collect(truth, patience=taskify.timedelta(0)) == taskify.CollectCounts(0, 0, 0, 0)


@pytest.mark.parametrize("stream", [False, True])
def test_a_large_orchestrated_call_is_written_before_its_client_has_the_whole_answer(tmp_path, stream):
    words = "a long document " * (LARGE // 16 + 1)
    with running(tmp_path, Crew()) as (client, _):
        answer = client.chat.completions.create(
            model="orchestrator/team", messages=[{"role": "user", "content": words}], stream=stream
        )
        if stream:
            list(answer)
    (call,) = captured(tmp_path)["answer"]
    assert words.encode() in call.request_body
    assert call.status == 200
    assert (b"[DONE]" in call.response_body) == stream
