"""Rollouts through a real gateway, stream and database: recorded conversations are followed, tools from the record.

Only the model is scripted. A recorded conversation is one that a client had, stored as its calls.
"""

from __future__ import annotations

import pytest

from regraft.domain.errors import UsageError
from regraft.domain.replay.job import Variant
from regraft.flows.capture.ingest import SeenIds, ingest
from regraft.flows.lineage import build as lineage
from regraft.flows.replay.rollouts import RolloutOptions, Rollouts
from regraft.infra.nats.codec import encode_exchange
from regraft.infra.postgres.pool import connect
from support.messages import user
from support.rollouts import HELLO, MODEL, STORY, answers_of, calls_tool, result, says


def test_the_recorded_answers_give_the_recorded_conversation_again(path):
    nodes = path.record()
    row = path.rollout(nodes[0], answers_of(STORY))
    assert (row["stop_reason"], row["steps"], row["fidelity"], row["first_divergence"]) == (
        "end_of_record",
        5,
        1.0,
        None,
    )
    assert row["tool_sources"] == {"path": 2}
    assert path.script.followed[MODEL][-1] == [*HELLO, *STORY[:-1]]
    found = path.ask("SELECT node_id, runs FROM conversation_branch_nodes WHERE depth > 0 ORDER BY depth")
    assert [(each["node_id"], each["runs"]) for each in found] == [(node, 2) for node in nodes]


def test_each_call_of_a_rollout_says_how_true_the_branch_is_and_stands_beside_the_recorded_answer(path):
    nodes = path.record()
    row = path.rollout(nodes[0], answers_of(STORY))
    records = path.ask(
        "SELECT b.*, r.variant FROM response_branch_records b JOIN execution_run_records r ON r.run_id = b.turn_id"
        " WHERE is_replay ORDER BY r.started_at"
    )
    assert [each["turn_id"] for each in records] == row["turn_ids"]
    assert [each["branch_index"] for each in records] == [1] * 5
    assert [each["fidelity"] for each in records] == [None, 1.0, 1.0, 1.0, 1.0]
    assert {each["first_divergence"] for each in records} == {None}
    told = [each["variant"]["rollout"] for each in records]
    assert [each["step"] for each in told] == [1, 2, 3, 4, 5]
    assert [each.get("sources") for each in told] == [None, ["path"], None, ["path"], None]
    assert {each["id"] for each in told} == {str(row["rollout_id"])}
    assert all("fingerprint" not in each["variant"] for each in records)


def test_a_rebuild_of_the_graph_gives_the_same_rows(path):
    nodes = path.record()
    path.rollout(nodes[0], answers_of(STORY))
    path.rollout(nodes[0], [*answers_of(STORY)[:3], says("It is done."), says("Ciao.")])
    before = path.graph()
    lineage.rebuild(path.dsn)
    assert path.graph() == before


def test_a_rollout_can_begin_at_any_node_and_ends_where_it_is_told(path):
    nodes = path.record()
    assert path.rollout(nodes[2], answers_of(STORY)[2:])["steps"] == 3
    row = path.rollout(nodes[0], answers_of(STORY), max_turns=2)
    assert (row["stop_reason"], row["steps"]) == ("max_turns", 2)


# Other answers


def test_a_changed_answer_parts_exactly_there_and_the_branch_goes_on(path):
    nodes = path.record()
    changed = answers_of(STORY)
    changed[1] = says("Flight 7, at noon?")
    row = path.rollout(nodes[0], changed)
    assert (row["stop_reason"], row["fidelity"]) == ("end_of_record", 1.0)
    assert row["first_divergence"] == {
        "turn": 2,
        "step": 0,
        "kind": "answer",
        "before": "Flight 7?",
        "after": "Flight 7, at noon?",
    }
    (parted,) = path.ask(
        "SELECT array_agg(first_divergence ->> 'turn' ORDER BY r.started_at) AS turns FROM response_branch_records b"
        " JOIN execution_run_records r ON r.run_id = b.turn_id WHERE is_replay"
    )
    assert parted["turns"] == [None, None, "2", "2", "2"]
    tree = path.ask("SELECT depth, count(*) AS n FROM conversation_branch_nodes GROUP BY depth ORDER BY depth")
    assert [each["n"] for each in tree] == [1, 1, 2, 2, 2, 2]


def test_strict_ends_at_a_call_that_was_not_recorded(path):
    nodes = path.record()
    row = path.rollout(nodes[0], [calls_tool("find", {"to": "Oslo"})])
    assert row["stop_reason"] == "unrecorded_tool_call"
    assert row["stop_detail"] == 'find({"to":"Oslo"}) is not in the record'
    assert row["first_divergence"]["kind"] == "arguments"
    assert row["fidelity"] is None


def test_recorded_gives_a_drifted_call_the_next_result_of_its_tool_and_tells_it(path):
    nodes = path.record()
    row = path.rollout(nodes[0], [calls_tool("find", {"to": "Oslo"}), *answers_of(STORY)[1:]], policy="recorded")
    assert (row["stop_reason"], row["fidelity"]) == ("end_of_record", 0.5)
    assert row["tool_sources"] == {"drift": 1, "path": 1}
    assert row["drift"] == ['find({"to":"Oslo"}) was given the result of find({"to":"Rome"})']


def test_the_users_turn_no_longer_applies_without_the_call_that_it_answers(path):
    nodes = path.record()
    row = path.rollout(nodes[0], [says("Which Rome?")])
    assert row["stop_reason"] == "user_turn_no_longer_applies"
    assert "find(" in row["stop_detail"]


def test_results_of_another_branch_of_the_session_are_in_the_record(path):
    nodes = path.record()
    other = [calls_tool("weather", {"in": "Rome"}, "w"), result("sunny", "w"), says("It is sunny.")]
    path.record(other)
    row = path.rollout(nodes[0], [calls_tool("weather", {"in": "Rome"}, "n"), *answers_of(STORY)], toward=nodes[-1])
    assert row["tool_sources"] == {"sibling": 1, "path": 2}
    assert (row["stop_reason"], row["fidelity"]) == ("end_of_record", 1.0)
    assert path.script.followed[MODEL][1][-1] == result("sunny", "n")


def test_copies_of_results_in_earlier_rollouts_are_no_record(path):
    nodes = path.record()
    find, _, book, *rest = answers_of(STORY)
    assert path.rollout(nodes[0], [find, says("At noon?"), book, *rest])["tool_sources"] == {"path": 2}
    row = path.rollout(nodes[0], [find, says("Flight 7?"), book, book])
    assert row["stop_reason"] == "unrecorded_tool_call"
    assert row["stop_detail"] == 'book({"flight":7}) was called more often than in the record'


def test_the_longest_recorded_path_is_followed_unless_a_goal_is_named(path):
    nodes = path.record()
    other = [*STORY[:3], user("no"), says("Then not.")]
    end = path.record(other, before=4)[-1]
    assert path.rollout(nodes[0], answers_of(STORY))["steps"] == 5
    row = path.rollout(nodes[0], answers_of(other), toward=end)
    assert (row["steps"], row["stop_reason"], row["first_divergence"]) == (3, "end_of_record", None)
    with pytest.raises(UsageError, match="is not below"):
        Rollouts(path.dsn, RolloutOptions(toward=nodes[0])).check([end])


def test_a_record_ends_where_the_client_changed_its_history(path):
    nodes = path.record(STORY[:3])
    summary = [HELLO[0], user("Summary: a flight to Rome was found."), user("yes")]
    with connect(path.dsn, autocommit=True) as connection:
        later = path.calls(summary, "Booked.", who={"parent_node": str(nodes[-1])})
        ingest(connection, [encode_exchange(later)], SeenIds())
    lineage.build(path.dsn)
    row = path.rollout(nodes[0], answers_of(STORY)[:2])
    assert (row["steps"], row["stop_reason"]) == (2, "end_of_record")


def test_an_edited_question_is_followed_by_the_recorded_turns(path):
    nodes = path.record()
    row = path.rollout(nodes[0], answers_of(STORY), variant=Variant(model=MODEL, user="to Rome, quick"))
    assert (row["stop_reason"], row["fidelity"]) == ("end_of_record", 1.0)
    assert path.script.followed[MODEL][-1][1] == user("to Rome, quick")
    depths = path.ask("SELECT max(depth) AS n FROM conversation_branch_nodes")
    assert depths[0]["n"] == 5  # the branch hangs together


# What the log holds may be odd


def test_odd_bytes_in_answers_and_results_are_followed_unharmed(path):
    odd = "a\0b \ud800 \U0001f600"
    story = [calls_tool("find", {"to": odd}), result(odd), says(odd), user(odd), says("ok")]
    nodes = path.record(story)
    answers = answers_of(story)
    row = path.rollout(nodes[0], answers)
    assert (row["stop_reason"], row["first_divergence"]) == ("end_of_record", None)
    changed = [answers[0], says("x" + odd), answers[2]]
    row = path.rollout(nodes[0], changed)
    assert row["first_divergence"]["turn"] == 2
    assert len(path.ask("SELECT 1 FROM rollout WHERE first_divergence IS NOT NULL")) == 1


def test_what_a_client_writes_into_a_variant_breaks_nothing(path, calls):
    for variant in (
        '{"rollout": 7}',
        '{"rollout": {"results": -1, "exact": "x", "divergence": [1]}}',
        '{"rollout"',
        "[]",
    ):
        who = {"purpose": "replay", "variant": variant}
        with connect(path.dsn, autocommit=True) as connection:
            ingest(connection, [encode_exchange(calls([user(variant)], who=who))], SeenIds())
    assert lineage.build(path.dsn).failed == 0
    assert {row["fidelity"] for row in path.ask("SELECT fidelity FROM response_branch_records")} == {None}
