"""Taskification on the whole path: asked through the gateway, read off the log, kept by generations; and its asset."""

from __future__ import annotations

import json
from dataclasses import replace
from uuid import UUID

import pytest
from dagster import AssetKey, DagsterInstance

from regraft.domain.errors import NotFoundError, UnavailableError
from regraft.flows.lineage import build as lineage
from regraft.flows.orchestration import taskify
from regraft.infra.postgres.orchestration import taskification
from regraft.infra.postgres.pool import connect
from regraft.presentation.dagster.definitions import defs
from support.gateways import free_port
from support.planner import RULE, STEP, Planner, planning_path
from support.regraft_command import clean_environment, regraft_command


@pytest.fixture
def planner():
    return Planner()


@pytest.fixture
def home(planner, truth, nats_server, tmp_path):
    with planning_path(planner, truth, nats_server.url, tmp_path / "spool") as made:
        yield made


def test_a_nodes_request_becomes_a_plan_that_stands_with_the_node_and_its_session(home, planner):
    node = home.ask_once("Plan a party.")
    row = home.taskify(taskify.of_node(home.dsn, node, RULE, ("w",)))
    assert (row["status"], row["node_id"], row["prompt"]) == ("planned", node, "Plan a party.")
    assert [each["id"] for each in row["plan"]["subtasks"]] == ["s1", "s2"]
    assert (row["model"], row["model_snapshot_id"]) == ("small", "small@fp")
    assert (row["generation"], row["supersedes"], row["problems"]) == (1, None, [])
    with connect(home.dsn) as truth:
        found = truth.execute("SELECT session_id FROM conversation_branch_nodes WHERE node_id = %s", [node]).fetchone()
    assert found == {"session_id": row["session_id"]}
    assert planner.asked[0]["model"] == "small"


def test_the_same_again_asks_nothing_and_another_rule_or_an_explicit_wish_makes_a_new_generation(home, planner):
    node = home.ask_once("Plan a party.")
    first = home.taskify(taskify.of_node(home.dsn, node, RULE))
    again = taskify.of_node(home.dsn, node, RULE)
    assert again.known
    assert home.taskify(again) == first
    assert len(planner.asked) == 1
    second = home.taskify(taskify.of_node(home.dsn, node, RULE, again=True))
    assert (second["generation"], second["supersedes"]) == (2, first["taskification_id"])
    other = replace(RULE, instructions="Otherwise.")
    third = home.taskify(taskify.of_node(home.dsn, node, other), other)
    assert (third["generation"], third["supersedes"]) == (3, second["taskification_id"])
    assert third["taskify_rule_version"] == other.version
    assert home.count() == 3


def test_a_bare_prompt_has_no_node(home):
    row = home.taskify(taskify.of_prompt(home.dsn, "Plan a trip.", RULE, model="small"))
    assert (row["status"], row["node_id"]) == ("planned", None)
    assert row["subject"].startswith("prompt:")
    assert taskify.of_prompt(home.dsn, "Plan a trip.", RULE).known


def test_a_plan_that_stays_invalid_is_stored_as_failed_at_once_with_all_that_was_wrong(home, planner):
    planner.plans = ["no", json.dumps({"s1": {**STEP, "inputs": ["s7"]}})]
    row = home.taskify(taskify.of_prompt(home.dsn, "x", RULE, model="small"))
    assert (row["status"], row["plan"], len(row["turn_ids"])) == ("failed", None, 2)
    assert row["problems"] == [
        "plan: not_json: the answer is not a JSON object",
        "repair: dangling_input: s1 takes 's7', which is not a subtask",
    ]


def test_a_model_that_refuses_is_a_failed_plan_that_says_so(home, planner):
    planner.plans = [None]
    row = home.taskify(taskify.of_prompt(home.dsn, "x", RULE, model="nobody"))
    assert row["status"] == "failed"
    assert row["problems"] == ["plan: no_answer: no such model"]


def test_without_a_gateway_nothing_is_stored_and_the_error_says_what_is_missing(truth):
    todo = taskify.of_prompt(truth, "x", RULE, model="small")
    with pytest.raises(UnavailableError, match=r"No plan was requested: plan: no_answer: .* cannot be reached"):
        taskify.taskify(truth, f"http://127.0.0.1:{free_port()}", todo, RULE)
    assert taskify.collect(truth) == taskify.CollectCounts(0, 0, 0, 0)


def test_a_node_that_was_never_asked_anything_cannot_be_taskified(truth):
    with pytest.raises(NotFoundError):
        taskify.of_node(truth, UUID(int=5), RULE)


def test_plans_survive_a_rebuild_of_the_graph(home):
    node = home.ask_once("Plan a party.")
    row = home.taskify(taskify.of_node(home.dsn, node, RULE))
    lineage.rebuild(home.dsn)
    with connect(home.dsn) as truth:
        assert taskification.one(truth, row["taskification_id"]) == row
        (run,) = taskification.steps(truth, row["taskification_id"])
    assert (run["step"], run["purpose"], [run["run_id"]]) == ("plan", "taskify", row["turn_ids"])


def test_the_asset_collects_the_plans_that_captured_calls_made(home, tmp_path, monkeypatch):
    home.taskify(taskify.of_prompt(home.dsn, "Plan a trip.", RULE, model="small"))
    with connect(home.dsn) as truth:
        truth.execute("DELETE FROM taskification_results")
    monkeypatch.setenv("REGRAFT_POSTGRES__DSN", home.dsn)
    monkeypatch.setenv("REGRAFT_DATA_DIR", str(tmp_path / "data"))
    key = AssetKey("taskification_results")
    job = defs.resolve_implicit_global_asset_job_def().get_subset(asset_selection={key}, asset_check_selection=set())
    with DagsterInstance.ephemeral() as instance:
        assert job.execute_in_process(instance=instance).success
        event = instance.get_latest_materialization_event(key)
    assert event is not None
    assert event.asset_materialization is not None
    told = {name: value.value for name, value in event.asset_materialization.metadata.items()}
    assert {name: told[name] for name in ("rows", "planned", "new", "waiting")} == {
        "rows": 1,
        "planned": 1,
        "new": 1,
        "waiting": 0,
    }


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["taskify"], 2, "Give a NODE or --prompt TEXT."),
        (["taskify", "abcd", "--prompt", "x"], 2, "Give a NODE or --prompt TEXT."),
        (["taskify", "--prompt", " "], 2, "The prompt is empty."),
        (["taskify", "--prompt", "x", "--rule", "nobody"], 3, "There is no taskify rule nobody."),
        (["taskify", "abcdef0123"], 3, "There is no node abcdef0123."),
        (["taskifications", "xyz"], 2, "'xyz' is not a taskification id"),
        (["taskifications", "abcdef0123"], 3, "There is no taskification abcdef0123."),
        (["orchestrate", ""], 2, "The prompt is empty."),
        (["orchestrate", "x", "--with", "nobody"], 3, "There is no orchestrator nobody. There is: local."),
    ],
)
def test_bad_input_is_one_line_and_an_exit_code(truth, tmp_path, arguments, code, said):
    environment = clean_environment(REGRAFT_POSTGRES__DSN=truth, REGRAFT_DATA_DIR=str(tmp_path / "data"))
    done = regraft_command(*arguments, cwd=tmp_path, environment=environment)
    assert done.returncode == code
    assert done.stderr.startswith(f"regraft: {said}")
    assert done.stderr.count("\n") == 1
