"""Live tools and simulated stand-ins in a rollout: marked as what they are, and recorded or not accordingly."""

from __future__ import annotations

import sys

import pytest

from regraft.domain.errors import ConfigError, UsageError
from regraft.domain.replay.job import Variant
from regraft.flows.replay.rollouts import RolloutOptions
from regraft.infra.config.tool_server import ToolServerSection
from support.messages import user
from support.rollouts import MODEL, STORY, answers_of, calls_tool, result, says
from support.tool_server import PROGRAM


def test_live_tools_run_for_real_in_a_server_of_their_own(path):
    story = [calls_tool("add", {"a": 1, "b": 2}), result("three"), says("3"), user("thanks"), says("Bye.")]
    nodes = path.record(story)
    server = ToolServerSection(command=sys.executable, args=[PROGRAM, "stdio"])
    row = path.rollout(nodes[0], answers_of(story), policy="live", servers={"own": server})
    assert (row["stop_reason"], row["fidelity"], row["tool_sources"]) == ("end_of_record", 0.0, {"live": 1})
    assert row["first_divergence"] == {"turn": 1, "step": 1, "kind": "tool_result", "before": "three", "after": "3.0"}
    assert path.script.followed[MODEL][1][-1] == result("3.0")


def test_what_a_live_tool_said_is_a_record_for_later_branches(path):
    nodes = path.record([says("hello")])
    server = ToolServerSection(command=sys.executable, args=[PROGRAM, "stdio"])
    answers = [calls_tool("add", {"a": 1, "b": 2}), says("3")]
    path.rollout(nodes[0], answers, policy="live", servers={"own": server})
    row = path.rollout(nodes[0], answers)
    assert (row["stop_reason"], row["tool_sources"]) == ("end_of_record", {"sibling": 1})


def test_a_tool_that_no_server_offers_is_answered_from_the_record_or_ends_a_live_branch(path):
    nodes = path.record()
    server = ToolServerSection(command=sys.executable, args=[PROGRAM, "stdio"], only=["add"])
    row = path.rollout(nodes[0], answers_of(STORY), policy="live", servers={"own": server})
    assert (row["stop_reason"], row["tool_sources"]) == ("end_of_record", {"path": 2})
    row = path.rollout(nodes[0], [calls_tool("other", {})], policy="live", servers={"own": server})
    assert row["stop_detail"] == "other({}) is not in the record, and no tool server offers it"


def test_a_tool_server_that_does_not_start_is_a_failure_of_the_job(path):
    nodes = path.record()
    server = ToolServerSection(command="/no/such/program")
    path.script.answers[MODEL] = answers_of(STORY)
    options = RolloutOptions(policy="live", servers={"own": server})
    (row,), watcher = path.grow((nodes[0], Variant(model=MODEL), options))
    assert (row["stop_reason"], row["turn_ids"]) == ("error", [])
    assert "The tool server own (/no/such/program) cannot be used" in watcher.failures[0]


def test_a_simulated_tool_is_marked_and_is_no_record(path):
    nodes = path.record()
    path.script.answers["simulator"] = [says("flight 9")]
    answers = [calls_tool("find", {"to": "Oslo"}), *answers_of(STORY)[:2]]
    row = path.rollout(nodes[0], answers, policy="simulated", simulator="simulator", max_turns=3)
    assert row["tool_sources"] == {"simulated": 1, "path": 1}
    assert row["fidelity"] == 0.5
    asked = path.script.followed["simulator"][0][-1]["content"]
    assert 'Call: find({"to":"Rome"})' in asked
    (worker,) = path.ask("SELECT variant, session_id FROM execution_run_records WHERE purpose = 'worker'")
    assert worker["variant"]["simulated"] == "tool find"
    assert worker["session_id"] != row["session_id"]
    row = path.rollout(nodes[0], answers[:1])
    assert row["stop_reason"] == "unrecorded_tool_call"


def test_a_simulated_user_is_marked_and_speaks_until_there_is_no_more_to_say(path):
    nodes = path.record()
    path.script.answers["simulator"] = [says("Rome in Italy."), says("###STOP###")]
    row = path.rollout(
        nodes[0], [says("Which Rome?"), says("Found it.")], persona="Polite.", simulator="simulator", max_turns=9
    )
    assert (row["stop_reason"], row["simulated_user"], row["steps"]) == ("user_ended", True, 2)
    assert path.script.followed["simulator"][0][0]["content"].startswith("Polite.")
    assert path.script.followed[MODEL][1][-1] == user("Rome in Italy.")
    variants = path.ask("SELECT variant FROM execution_run_records WHERE purpose = 'replay' ORDER BY started_at")
    assert [each["variant"]["rollout"]["user"] for each in variants] == ["simulated"] * 2


def test_a_stand_in_that_fails_ends_the_branch_as_a_failure(path):
    nodes = path.record()
    path.script.answers["simulator"] = []
    row = path.rollout(nodes[0], [says("Which Rome?")], persona="Polite.", simulator="simulator", max_turns=9)
    assert row["stop_reason"] == "error"
    assert "simulates the user" in row["stop_detail"]


def test_options_that_make_no_sense_are_refused():
    with pytest.raises(UsageError, match="one of strict"):
        RolloutOptions(policy="loose")
    with pytest.raises(UsageError, match="at least 1"):
        RolloutOptions(max_turns=0)
    with pytest.raises(ConfigError, match="tool server"):
        RolloutOptions(policy="live")
    with pytest.raises(UsageError, match="persona"):
        RolloutOptions(persona=" ")
