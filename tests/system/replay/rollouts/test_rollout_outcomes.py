"""Ends of rollouts and their reports: failures, commands, trajectories, checks."""

from __future__ import annotations

import json

from regraft.domain.replay.job import Variant
from regraft.flows.evaluation.trajectories import materialise_units
from regraft.flows.replay.rollouts import RolloutOptions
from regraft.infra.duckdb.evaluation.workbench import Workbench
from regraft.infra.postgres import pipeline
from regraft.infra.postgres.pool import transaction
from regraft.infra.postgres.replay import plans as replays
from support.rollouts import MODEL, STORY, answers_of, calls_tool, says

# What fails


def test_a_call_that_fails_ends_the_branch_as_a_failure_and_is_told(path):
    nodes = path.record()
    path.script.answers[MODEL] = [answers_of(STORY)[0], None]
    (row,), watcher = path.grow((nodes[0], Variant(model=MODEL), RolloutOptions()))
    assert (row["stop_reason"], row["steps"]) == ("error", 1)
    assert watcher.failures == [row["stop_detail"]]
    assert "HTTP 500" in row["stop_detail"]
    with transaction(path.dsn) as connection:
        assert replays.finished(connection, [row["fingerprint"]]) == {}


def test_a_branch_that_the_record_ended_is_finished(path):
    nodes = path.record()
    row = path.rollout(nodes[0], [says("Which Rome?")])
    with transaction(path.dsn) as connection:
        (mark, answer) = next(iter(replays.finished(connection, [row["fingerprint"]]).items()))
    assert (mark, answer.turn_id) == (row["fingerprint"], row["turn_ids"][-1])


def test_an_answer_cut_at_its_limit_and_a_refusal_end_a_branch(path):
    nodes = path.record()
    path.script.finish_reasons[MODEL, 0] = "length"
    assert path.rollout(nodes[0], answers_of(STORY))["stop_reason"] == "max_tokens"
    path.script.finish_reasons.clear()
    refusal = {"role": "assistant", "content": None, "refusal": "I cannot help with that."}
    assert path.rollout(nodes[0], [refusal])["stop_reason"] == "refused"


def test_an_answer_that_the_server_gave_up_ends_a_branch_as_an_error(path):
    nodes = path.record()
    path.script.finish_reasons[MODEL, 0] = "insufficient_system_resource"
    row = path.rollout(nodes[0], answers_of(STORY))
    assert row["stop_reason"] == "error"
    with transaction(path.dsn) as connection:
        assert replays.finished(connection, [row["fingerprint"]]) == {}


# As a command


def test_the_command_follows_a_conversation_once_and_shows_how_true_it_was(path):
    nodes = path.record()
    path.script.answers[MODEL] = answers_of(STORY)
    asked = ("replay", nodes[0], "--model", MODEL, "--continue", "--json")
    done = path.command(*asked)
    assert done.returncode == 0, done.stderr + done.stdout
    (row,) = json.loads(done.stdout)["rollouts"]
    assert (row["stop_reason"], row["steps"], row["fidelity"]) == ("end_of_record", 5, 1.0)
    again = json.loads(path.command(*asked).stdout)
    assert (again["ran"], again["skipped"], again["rollouts"]) == (0, 1, [])
    shown = json.loads(path.command("show", nodes[-1], "--json").stdout)
    assert [each["fidelity"] for each in shown["run_records"]] == [None, 1.0]
    assert [each["rollout_id"] for each in shown["rollouts"]] == [row["rollout_id"]]
    tree = json.loads(path.command("tree", shown["session_id"], "--json").stdout)
    assert "first_divergence" in json.dumps(tree)
    plain_words = path.command("show", nodes[-1]).stdout
    assert "5 answers, fidelity 1, as recorded; end_of_record" in plain_words


def test_the_command_refuses_options_that_make_no_sense_in_a_line(path, tmp_path):
    nodes = path.record()
    (tmp_path / "persona.txt").write_text("Polite.")
    for arguments, word in [
        (("--tools", "recorded"), "--continue"),
        (("--continue", "--tools", "loose"), "strict"),
        (("--continue", "--tools", "live"), "tool server"),
        (("--continue", "--simulate-user", "no-such-file"), "no-such-file"),
        (("--continue", "--toward", "00000000"), "There is no node"),
        (("--continue", "--toward", str(nodes[0])), "is not below"),
    ]:
        done = path.command("replay", nodes[-1], "--model", MODEL, *arguments)
        assert done.returncode in (2, 3)
        assert word in done.stderr + done.stdout
        assert "Traceback" not in done.stderr


# What is made of it


def test_trajectories_and_recipes_know_how_true_a_rollout_is(path, tmp_path):
    nodes = path.record()
    drifting = [calls_tool("find", {"to": "Oslo"}), *answers_of(STORY)[1:4], says("Ciao.")]
    path.rollout(nodes[0], drifting, policy="recorded")
    path.rollout(nodes[0], [*answers_of(STORY)[:4], says("See you.")])
    materialise_units(path.dsn, tmp_path / "bench.duckdb")
    units = Workbench(tmp_path / "bench.duckdb").units()
    assert sorted((unit["fidelity"], unit["purpose"]) for unit in units if unit["fidelity"] is not None) == [
        (0.5, "replay"),
        (1.0, "replay"),
    ]
    assert [unit["purpose"] for unit in units if unit["fidelity"] is None] == ["chat"]


def test_checks_of_rollouts_find_what_is_wrong(path):
    nodes = path.record()
    path.rollout(nodes[0], answers_of(STORY))
    names = ("rollouts_are_true_to_the_record", "rollouts_end_well")
    with transaction(path.dsn) as connection:
        assert [pipeline.check(connection, name).bad for name in names] == [0, 0]
        connection.execute("UPDATE rollout SET fidelity = 0.5, stop_reason = 'error'")
        assert [pipeline.check(connection, name).bad for name in names] == [1, 1]
        connection.execute("UPDATE rollout SET fidelity = 1")
        connection.execute("DELETE FROM response_branch_records WHERE is_replay AND branch_index = 1")
        assert pipeline.check(connection, names[0]).bad == 1
