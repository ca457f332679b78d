"""The conversation graph on a real PostgreSQL: replays beside their originals, kinds of branches, runs, tables."""

from __future__ import annotations

from dataclasses import replace

import pytest

from regraft.domain.ids import SessionId
from regraft.domain.lineage.history import node_of, root_of
from support.captured_talks import MINE, again, chain
from support.messages import assistant, system, user


def test_replays_of_one_anchor_are_grouped_and_numbered_with_the_original(graph, calls):
    original = calls([user("hi")], "original", temperature=0.5)
    graph.take(original)
    node, session = graph.node(original)["node_id"], graph.session(original)
    replays = [again(calls, session, node, [user("hi")], f"replay {n}", temperature=n) for n in range(4)]
    replays.append(again(calls, session, node, [system("new"), user("hi")], "edited"))
    graph.take(*replays)
    found = [graph.node(each) for each in [original, *replays]]
    assert {row["context_anchor_turn_id"] for row in found} == {original.event_id}
    assert [row["branch_index"] for row in found] == [0, 1, 2, 3, 4, 5]
    assert {row["parent_node_id"] for row in found} == {root_of(session)}
    graph.check()


def test_no_metadata_is_missing_from_an_original_that_a_replay_has(graph, calls):
    original = calls([user("hi")], "original", temperature=0.5, tools=[{"type": "x"}])
    graph.take(original)
    replay = again(
        calls, graph.session(original), graph.node(original)["node_id"], [user("hi")], "replay", temperature=0.5
    )
    graph.take(replay)
    first, second = graph.run(original), graph.run(replay)
    assert {key for key, value in second.items() if value is not None} - {
        key for key, value in first.items() if value is not None
    } <= {"variant"}
    for run in (first, second):
        assert (run["model"], run["model_snapshot_id"], run["backend"]) == ("m", "m@fp", "main")
        assert (run["prompt_tokens"], run["completion_tokens"], run["usage"]["total_tokens"]) == (5, 3, 8)
        assert (run["duration_ms"], run["first_byte_ms"]) == (5.0, 1.0)
        assert (run["run_status"], run["finish_reason"], run["sampling"]) == ("ok", "stop", {"temperature": 0.5})
    answers = graph.ask("SELECT answer_text FROM run_answers ORDER BY started_at")
    assert [row["answer_text"] for row in answers] == ["original", "replay"]


def test_the_turn_index_of_a_replay_does_not_collide_with_the_next_original_turn(graph, calls):
    first = calls([user("hi")], "one")
    second = calls([user("hi"), assistant("one"), user("more")], "two")
    graph.take(first, second)
    replay = again(calls, graph.session(first), graph.node(first)["node_id"], [user("hi")], "another")
    graph.take(replay)
    one, two, other = (graph.node(each) for each in (first, second, replay))
    assert (one["turn_index"], other["turn_index"], two["turn_index"]) == (1, 1, 2)
    assert (one["branch_index"], other["branch_index"]) == (0, 1)
    assert two["parent_node_id"] == one["node_id"] != other["node_id"]


def test_the_core_tables_are_built_and_complete(graph, calls):
    first = calls([user("hi")], "one", who={"theme": "greetings"})
    second = calls([user("hi"), assistant("one"), user("more")], "two")
    failed = calls.failed([user("hi")])
    counts = graph.take(first, second, failed)
    assert (counts.turns, counts.sessions, counts.build) == (3, 1, 1)
    (session,) = graph.ask("SELECT s.*, t.name FROM conversation_sessions s JOIN seed_themes t USING (theme_id)")
    assert (session["turns"], session["nodes"], session["name"]) == (3, 3, "greetings")
    assert session["root_node_id"] == root_of(SessionId(session["session_id"]))
    nodes = graph.ask("SELECT * FROM conversation_branch_nodes ORDER BY depth, node_id")
    assert len(nodes) == 4
    for node in nodes:
        optional = {"parent_node_id", "turn_id"} if node["depth"] == 0 else set()
        assert {key for key, value in node.items() if value is None} == optional
    assert sorted(node["node_status"] for node in nodes) == ["error", "ok", "ok", "ok"]
    graph.check()


# Kinds


TOOLS = [{"type": "function", "function": {"name": "f"}}]


@pytest.mark.parametrize(
    ("messages", "changed", "kind", "keys"),
    [
        ([user("hi")], {}, "retry", set()),
        ([user("hi")], {"model": "n"}, "model_variant", {"model"}),
        ([user("hi")], {"temperature": 1}, "sampling_variant", {"sampling"}),
        ([user("hi")], {"tools": TOOLS}, "tool_variant", {"tools"}),
        ([system("x"), user("hi")], {}, "prompt_variant", {"prompt"}),
        ([user("ho")], {}, "prompt_variant", {"prompt"}),
        ([user("hi")], {"who": {"plan": "p"}}, "taskify_variant", {"taskify"}),
        (
            [user("ho")],
            {"model": "n", "tools": TOOLS, "top_p": 1},
            "prompt_variant",
            {"prompt", "tools", "model", "sampling"},
        ),
        ([user("hi")], {"model": "n", "top_p": 1}, "model_variant", {"model", "sampling"}),
        ([user("hi")], {"model": "n", "tools": TOOLS}, "tool_variant", {"tools", "model"}),
    ],
)
def test_each_kind_of_branch_appears_when_it_should(graph, calls, messages, changed, kind, keys):
    original = calls([user("hi")], "original")
    graph.take(original)
    assert graph.node(original)["branch_kind"] == "continuation"
    node, session = graph.node(original)["node_id"], graph.session(original)
    replay = again(calls, session, node, messages, "replay", **changed)
    graph.take(replay)
    found = graph.node(replay)
    assert (found["branch_kind"], set(found["variant_config"])) == (kind, keys)
    assert found["branch_reason"]
    assert (found["same_context"], found["same_tools"]) == (messages == [user("hi")], "tools" not in changed)


def test_an_edited_question_of_an_original_is_a_prompt_variant_with_an_anchor_of_its_own(graph, calls):
    trunk = [user("hi"), assistant("ok")]
    first = calls([user("hi")], "ok")
    one, other = calls([*trunk, user("more")], "a"), calls([*trunk, user("less")], "b")
    graph.take(first, one, other)
    assert graph.node(other)["parent_node_id"] == graph.node(one)["parent_node_id"] == graph.node(first)["node_id"]
    assert graph.node(other)["branch_kind"] == "prompt_variant"
    assert graph.node(other)["context_anchor_turn_id"] == other.event_id


def test_a_root_is_the_empty_history(graph, calls):
    graph.take(calls([user("hi")]))
    (root,) = graph.ask("SELECT * FROM conversation_branch_nodes WHERE branch_kind = 'root'")
    assert (root["depth"], root["turn_id"], root["runs"], bytes(root["context_snapshot_id"])) == (0, None, 0, b"")


# Runs


def test_identical_siblings_are_one_node_that_counts_its_runs(graph, calls):
    same = [calls([user("hi")], "same", temperature=number) for number in range(3)]
    other = calls([user("hi")], "other")
    graph.take(*same, other)
    assert len({graph.node(each)["node_id"] for each in same}) == 1
    assert (graph.node(same[0])["runs"], graph.node(other)["runs"]) == (3, 1)
    assert graph.node(same[2])["turn_id"] == same[0].event_id
    assert [graph.node(each)["branch_index"] for each in [*same, other]] == [0, 1, 2, 3]
    assert len({graph.run(each)["run_id"] for each in same}) == 3


def test_a_run_that_is_found_again_later_is_counted(graph, calls):
    graph.take(first := calls([user("hi")], "same"))
    graph.take(calls([user("hi")], "same"))
    assert graph.node(first)["runs"] == 2


def test_the_choices_of_one_call_are_siblings(graph, calls):
    call = calls([user("hi")], choices=["a", "b", "a"], n=3)
    following = calls([user("hi"), assistant("b"), user("more")], "on")
    graph.take(call, following)
    found = [graph.node(call, choice) for choice in range(3)]
    assert sorted(row["branch_index"] for row in found) == [0, 1, 2]
    assert found[0]["node_id"] == found[2]["node_id"] != found[1]["node_id"]
    assert graph.node(following)["parent_node_id"] == found[1]["node_id"]
    graph.check()


def test_the_tokens_of_a_call_with_several_choices_are_counted_once(graph, calls):
    graph.take(calls([user("hi")], choices=["a", "b"], n=2))
    assert graph.ask("SELECT sum(completion_tokens) AS tokens FROM execution_run_records") == [{"tokens": 3}]


def test_a_failed_call_is_a_node_with_its_error(graph, calls):
    failed, silent = calls.failed([user("hi")], 429), calls([user("ho")], choices=[])
    graph.take(failed, silent)
    assert (graph.node(failed)["node_status"], graph.run(failed)["run_status"]) == ("error", "error")
    assert graph.run(failed)["error"] == {"message": "no", "code": 429}
    assert "200" in graph.run(silent)["error"]["message"]


def test_conversations_of_two_scopes_do_not_meet(graph, calls):
    mine, theirs = calls([user("hi")], "same"), replace(calls([user("hi")], "same"), scope="other")
    graph.take(mine, theirs)
    assert graph.node(mine)["node_id"] != graph.node(theirs)["node_id"]
    assert len(graph.ask("SELECT * FROM conversation_sessions")) == 2


def test_the_id_of_a_node_is_known_before_it_is_built(graph, calls):
    call = calls([user("hi")], "one", who=MINE)
    graph.take(call)
    (turn,) = graph.ask("SELECT answer_projection, session_id FROM session_turn")
    assert graph.node(call)["node_id"] == node_of(turn["session_id"], bytes(turn["answer_projection"]))


# What a person asks


def test_a_session_is_shown_as_a_tree_with_one_query(graph, calls):
    first, second = chain(calls, 2)
    retry = calls([user("0")], "another")
    graph.take(first, second, retry)
    rows = graph.ask("SELECT * FROM session_tree(%(id)s)", id=graph.session(first))
    assert [(row["depth"], row["branch_kind"], row["answer"]) for row in rows] == [
        (0, "root", None),
        (1, "continuation", "a0"),
        (2, "continuation", "a1"),
        (1, "retry", "another"),
    ]


def test_the_history_of_a_node_is_what_its_call_was_made_with(graph, calls):
    exchanges = chain(calls, 3)
    graph.take(*exchanges)
    found = graph.ask(
        "SELECT message_history_json AS history FROM node_history WHERE node_id = %(id)s",
        id=graph.node(exchanges[2])["node_id"],
    )
    assert found == [{"history": [user("0"), assistant("a0"), user("1"), assistant("a1"), user("2")]}]
