"""The parent of a call: one that arrived late, one that the client names, or the root."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest

from regraft.domain.lineage.history import root_of, session_by_name
from support.captured_talks import MINE, again, chain
from support.messages import assistant, system, user


def test_a_child_that_came_first_waits_at_the_root_and_is_adopted(graph, calls):
    first, second = chain(calls, 2)
    graph.take(second)
    waiting = graph.node(second)
    assert (waiting["depth"], waiting["parent_evidence"]) == (1, "unmatched")
    graph.take(first)
    adopted = graph.node(second)
    assert (adopted["parent_node_id"], adopted["depth"]) == (graph.node(first)["node_id"], 2)
    assert adopted["parent_evidence"] == "prefix"
    graph.check()


def test_a_deeper_ancestor_that_comes_late_takes_over_its_descendants(graph, calls):
    exchanges = chain(calls, 4)
    graph.take(exchanges[0])
    graph.take(exchanges[3])
    assert graph.node(exchanges[3])["parent_node_id"] == graph.node(exchanges[0])["node_id"]
    assert graph.node(exchanges[3])["parent_evidence"] == "longest_prefix"
    graph.take(exchanges[1])
    assert graph.node(exchanges[3])["parent_node_id"] == graph.node(exchanges[1])["node_id"]
    graph.take(exchanges[2])
    assert [graph.node(each)["depth"] for each in exchanges] == [1, 2, 3, 4]
    assert graph.node(exchanges[3])["parent_node_id"] == graph.node(exchanges[2])["node_id"]
    graph.check()


def test_a_whole_subtree_moves_with_its_adopted_top(graph, calls):
    exchanges = chain(calls, 8)
    graph.take(*exchanges[1:])
    assert [graph.node(each)["turn_index"] for each in exchanges[1:]] == [1, 2, 3, 4, 5, 6, 7]
    graph.take(exchanges[0])
    assert [graph.node(each)["turn_index"] for each in exchanges] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert [graph.node(each)["depth"] for each in exchanges] == [1, 2, 3, 4, 5, 6, 7, 8]
    graph.check()


def test_a_moved_child_leaves_no_gap_among_the_siblings_it_left(graph, calls):
    first, second = chain(calls, 2)
    before = calls([user("hi there")], "x", who=MINE)
    claimed = replace(second, identity=replace(second.identity, session="mine"))
    original = replace(first, identity=replace(first.identity, session="mine"))
    graph.take(claimed)
    graph.take(before)
    assert graph.node(before)["run_kind"] != "root"
    graph.take(original)
    graph.check()
    assert graph.node(claimed)["run_kind"] == "continuation"


def test_an_earlier_answer_that_comes_late_becomes_the_anchor(graph, calls):
    early, late = calls([user("hi")], "early"), calls([user("hi")], "late", temperature=1)
    graph.take(late)
    assert graph.node(late)["branch_index"] == 0
    graph.take(early)
    assert (graph.node(early)["branch_index"], graph.node(late)["branch_index"]) == (0, 1)
    assert graph.node(late)["context_anchor_turn_id"] == early.event_id
    assert (graph.node(early)["branch_kind"], graph.node(late)["branch_kind"]) == ("continuation", "sampling_variant")


def test_a_replay_that_came_before_its_original_is_placed_beside_it(graph, calls):
    original = calls([user("hi")], "original", who=MINE)
    session = session_by_name("default", "mine")
    replay = again(calls, session, original.event_id, [system("x"), user("hi")], "replay")
    graph.take(replay)
    graph.take(original)
    assert graph.node(replay)["context_anchor_turn_id"] == original.event_id
    assert (graph.node(replay)["branch_index"], graph.node(replay)["branch_kind"]) == (1, "prompt_variant")
    graph.check()


def test_a_replay_of_a_replay_stands_under_the_first_anchor(graph, calls):
    original = calls([user("hi")], "original")
    graph.take(original)
    session = graph.session(original)
    first = again(calls, session, graph.node(original)["node_id"], [system("x"), user("hi")], "first")
    graph.take(first)
    second = again(calls, session, graph.node(first)["node_id"], [system("y"), user("hi")], "second")
    graph.take(second)
    assert {graph.node(each)["context_anchor_turn_id"] for each in (original, first, second)} == {original.event_id}
    assert [graph.node(each)["branch_index"] for each in (original, first, second)] == [0, 1, 2]


def test_a_conversation_that_goes_on_from_a_replay_hangs_under_the_replay(graph, calls):
    original = calls([user("hi")], "original")
    graph.take(original)
    replay = again(calls, graph.session(original), graph.node(original)["node_id"], [user("hi")], "replay")
    following = calls([user("hi"), assistant("replay"), user("more")], "on")
    graph.take(following)
    graph.take(replay)
    assert graph.node(following)["parent_node_id"] == graph.node(replay)["node_id"]
    assert graph.node(following)["depth"] == 2


# Claims


def test_a_claimed_parent_wins_over_the_content(graph, calls):
    first, second = chain(calls, 2)
    graph.take(first, second)
    node = graph.node(first)["node_id"]
    for claimed in (node, first.event_id):
        call = calls([user("a summary of it all")], f"on {claimed}", who={"parent_node": str(claimed)})
        graph.take(call)
        assert graph.node(call)["parent_node_id"] == node
        assert (graph.node(call)["parent_evidence"], graph.node(call)["depth"]) == ("explicit_header", 2)
    graph.check()


def test_a_claimed_parent_that_comes_late_is_honoured(graph, calls):
    first = calls([user("hi")], "one", who=MINE)
    second = calls([user("other")], "two", who={**MINE, "parent_node": str(first.event_id)})
    graph.take(second)
    assert graph.node(second)["depth"] == 1
    graph.take(first)
    assert (graph.node(second)["parent_node_id"], graph.node(second)["depth"]) == (graph.node(first)["node_id"], 2)


@pytest.mark.parametrize("claimed", [str(UUID(int=7)), "not an id", "", "\0", "'; DROP TABLE x --"])
def test_a_claim_on_something_unknown_is_not_honoured(graph, calls, claimed):
    call = calls([user("hi")], who={**MINE, "parent_node": claimed, "replay_node": claimed})
    graph.take(call)
    assert (graph.node(call)["depth"], graph.node(call)["parent_evidence"]) == (1, "opening")
    graph.check()


@pytest.mark.parametrize("field", ["parent_node", "replay_node"])
def test_a_claim_on_another_session_is_not_honoured(graph, calls, field):
    foreign = calls([user("hi")], "one", who={"session": "theirs"})
    graph.take(foreign)
    for claimed in (foreign.event_id, graph.node(foreign)["node_id"]):
        call = calls([user("hi")], str(claimed), who={**MINE, field: str(claimed)})
        graph.take(call)
        assert graph.node(call)["parent_node_id"] == root_of(session_by_name("default", "mine"))
    graph.check()


@pytest.mark.parametrize("field", ["parent_node", "replay_node"])
def test_a_claim_on_oneself_is_not_honoured(graph, calls, field):
    call = calls([user("hi")], who=MINE)
    call = replace(call, identity=replace(call.identity, **{field: str(call.event_id)}))
    graph.take(call)
    assert graph.node(call)["depth"] == 1
    graph.check()


@pytest.mark.parametrize("field", ["parent_node", "replay_node"])
def test_claims_that_make_a_circle_do_not_break_the_build(graph, calls, field):
    exchanges = [calls([user(str(number))], who=MINE) for number in range(5)]
    ring = zip(exchanges, [*exchanges[1:], exchanges[0]], strict=True)
    linked = [replace(each, identity=replace(each.identity, **{field: str(to.event_id)})) for each, to in ring]
    for order in (linked, linked[::-1]):
        graph.forget()
        for each in order:
            graph.take(each)
        graph.check()
        assert all(graph.node(each)["depth"] >= 1 for each in linked)


def test_a_claim_on_what_was_asked_later_is_not_honoured(graph, calls):
    first, second = calls([user("a")], who=MINE), calls([user("b")], who=MINE)
    claiming = replace(first, identity=replace(first.identity, parent_node=str(second.event_id)))
    graph.take(second, claiming)
    assert graph.node(claiming)["depth"] == 1
