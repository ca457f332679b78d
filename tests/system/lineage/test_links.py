"""What commands show of links between conversations, and of conversations that joined another's tree."""

from __future__ import annotations

import json
import os

import pytest

from support.captured_talks import TASK, agent, call_id
from support.messages import calling, user
from support.regraft_command import regraft_command


@pytest.fixture
def regraft(truth, tmp_path):
    """Runs a command that is expected to end with ``code``: what it printed, as text or with --json as a value."""
    environment = {**os.environ, "REGRAFT_POSTGRES__DSN": truth, "REGRAFT_DATA_DIR": str(tmp_path), "COLUMNS": "200"}

    def run(*arguments, code=0):
        done = regraft_command(*arguments, cwd=tmp_path, environment=environment)
        assert done.returncode == code, done.stderr
        if code:
            return done.stderr
        return json.loads(done.stdout) if "--json" in arguments else done.stdout

    return run


def test_a_node_that_started_another_conversation_is_marked_in_both_trees_and_listed_where_it_is_shown(
    graph, calls, regraft
):
    task = TASK.format(1)
    main = calls([user("Clean up.")], calling(call_id(1), "agent", prompt=task, kind="search"))
    aside = calls([user("Clean up.")], "I would rather not.")
    sub = calls([user(task)], "none")
    graph.take(main, aside, sub)
    (from_, to) = (graph.node(each) for each in (main, sub))
    ours, theirs = str(from_["session_id"]), str(to["session_id"])

    drawn = regraft("tree", ours)
    (marked,) = [line for line in drawn.splitlines() if f"⇒ {theirs[:13]}" in line]
    assert str(from_["node_id"])[:13] in marked
    assert f"⇐ {ours[:13]}" in regraft("tree", theirs)

    rows = {row["node_id"]: row for row in regraft("tree", ours, "--json")}
    (link,) = rows[str(from_["node_id"])]["starts"]
    assert (link["session_id"], link["node_id"]) == (theirs, str(to["node_id"]))
    assert (link["evidence"], link["tool_call_id"]) == ("task_text", call_id(1))
    assert rows[str(graph.node(aside)["node_id"])]["starts"] == []

    shown = regraft("show", str(to["node_id"]), "--json")
    assert shown["starts"] == []
    assert [each["node_id"] for each in shown["started_by"]] == [str(from_["node_id"])]
    assert f"started by session {ours}" in " ".join(regraft("show", str(to["node_id"])).split())
    assert f"starts session {theirs}" in " ".join(regraft("show", str(from_["node_id"])).split())


def test_a_tree_without_links_says_nothing_of_them(graph, calls, regraft):
    first = calls([user("hi")], "hello")
    graph.take(first)
    drawn = regraft("tree", str(graph.session(first)))
    assert "⇒" not in drawn
    assert "⇐" not in drawn


def test_a_session_whose_calls_joined_another_tree_says_where_they_hang(graph, calls, regraft):
    made, history = agent(calls)
    after = calls([history[0], user("So far: two files were read."), *history[-2:]], "done")
    graph.take(*made, after)
    filed, tree = graph.session(after), graph.session(made[0])
    assert filed != tree
    said = " ".join(regraft("tree", str(filed), code=3).split())
    assert f"1 in the tree of session {tree}, under node {graph.node(made[-1])['node_id']}" in said
    assert f"See `regraft tree {tree}`" in said
    assert "There is no session" in regraft("tree", "00000000", code=3)
