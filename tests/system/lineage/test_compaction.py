"""A client that replaces its history by a summary stays in its tree; a conversation that another started is linked."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import permutations

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from regraft.flows.lineage import build as lineage
from support.captured_talks import LONG, TASK, TRACE, agent, call_id, story_of_agents, talk
from support.messages import assistant, calling, system, told, user


def links(graph):
    return graph.ask(
        "SELECT evidence, from_turn_id, to_turn_id, tool_call_id FROM session_link ORDER BY evidence, to_turn_id"
    )


# Compaction


def test_a_summary_with_a_surviving_tool_call_goes_on_under_the_node_whose_history_it_replaced(version_2, calls):
    made, history = agent(calls)
    after = calls([history[0], user("So far: two files were read."), *history[-2:]], "done")
    more = calls([history[0], user("So far: two files were read."), *history[-2:], assistant("done"), user("on")], "x")
    version_2.take(*made, after, more)
    node = version_2.node(after)
    assert (node["branch_kind"], node["parent_evidence"]) == ("compaction", "compaction_anchor")
    assert node["parent_node_id"] == version_2.node(made[-1])["node_id"]
    assert node["branch_reason"] == "a history of 9 messages was replaced by 3; 1 tool call survived"
    assert node["variant_config"]["compaction"]["messages"] == {"from": 9, "to": 3}
    assert version_2.node(more)["parent_node_id"] == node["node_id"]
    (only,) = version_2.ask("SELECT session_id, turns, nodes FROM conversation_sessions")
    assert (only["session_id"], only["turns"], only["nodes"]) == (version_2.session(made[0]), 6, 6)
    assert {version_2.node(each)["session_id"] for each in (made[0], after, more)} == {version_2.session(made[0])}
    assert version_2.session(after) != version_2.session(made[0])
    version_2.check()


def test_an_original_that_comes_late_adopts_the_summary_that_waits_for_it(graph, calls):
    made, history = agent(calls)
    short = [history[0], user("summary"), *history[-2:]]
    after, more = calls(short, "done"), calls([*short, assistant("done"), user("on")], "x")
    graph.take(more)
    graph.take(after)
    assert graph.node(after)["parent_evidence"] == "unmatched"
    for each in reversed(made):
        graph.take(each)
        graph.check()
    assert [graph.node(each)["depth"] for each in (*made, after, more)] == [1, 2, 3, 4, 5, 6]
    assert graph.run(more)["session_id"] == graph.session(made[0])
    assert graph.ask("SELECT count(*) AS n FROM conversation_sessions") == [{"n": 1}]


def test_a_window_that_slides_over_a_long_conversation_is_one_tree(graph, calls):
    history, made = [system("s"), user("go")], []
    for number in range(9):
        answer = calling(call_id(number))
        made.append(calls([history[0], *history[1:][-4:]], answer))
        history = [*history, answer, told(call_id(number), f"text {number}")]
    graph.take(*made)
    assert [graph.node(each)["depth"] for each in made] == list(range(1, 10))
    graph.check()


def test_tool_results_emptied_where_they_stand_are_a_compaction(version_2, calls):
    made, history = agent(calls)
    emptied = [told(each["tool_call_id"], "[cleared]") if each["role"] == "tool" else each for each in history[:-1]]
    after = calls([*emptied, history[-1]], "done")
    version_2.take(*made, after)
    assert version_2.node(after)["parent_node_id"] == version_2.node(made[-1])["node_id"]
    assert version_2.node(after)["branch_kind"] == "compaction"


def test_a_summary_with_a_surviving_long_answer_and_its_question_goes_on_in_the_tree(version_2, calls):
    made, history = talk(calls)
    after = calls([history[0], user("summary"), assistant("I see."), *history[-2:], user("and?")], "done")
    version_2.take(*made, after)
    assert version_2.node(after)["parent_node_id"] == version_2.node(made[-1])["node_id"]
    assert version_2.node(after)["branch_reason"] == "a history of 9 messages was replaced by 5; 1 answer survived"


def test_under_another_system_prompt_one_surviving_answer_is_not_enough_and_two_are(version_2, calls):
    made, history = talk(calls)
    head = [system("Earlier: much was said."), user("go on"), assistant("Yes.")]
    one = calls([*head, *history[-2:], user("and?")], "done")
    two = calls([*head[:1], *history[-4:], user("and?")], "done")
    version_2.take(*made, one, two)
    assert version_2.node(one)["parent_evidence"] == "unmatched"
    assert version_2.node(two)["parent_evidence"] == "compaction_anchor"


def test_a_compaction_in_a_named_session_is_placed_where_its_history_was(graph, calls):
    who = {"session": "mine"}
    made, history = agent(calls, who=who)
    after = calls([system("other"), user("summary"), *history[-2:]], "done", who=who)
    graph.take(*made, after)
    assert graph.node(after)["parent_node_id"] == graph.node(made[-1])["node_id"]
    assert graph.node(after)["branch_kind"] == "compaction"


def test_the_same_summary_asked_again_is_a_retry_of_the_compaction(graph, calls):
    made, history = agent(calls)
    short = [history[0], user("summary"), *history[-2:]]
    first, second = calls(short, "done"), calls(short, "done too")
    graph.take(*made, second)
    graph.take(first)
    assert [graph.node(each)["branch_kind"] for each in (first, second)] == ["compaction", "retry"]
    assert [graph.node(each)["branch_index"] for each in (first, second)] == [0, 1]


# What must not merge


def test_named_sessions_never_merge_whatever_they_share(graph, calls):
    made, history = agent(calls, who={"session": "a"})
    short = [history[0], user("summary"), *history[-2:]]
    other, unnamed = calls(short, "done", who={"session": "b"}), calls(short, "done")
    graph.take(*made, other, unnamed)
    assert len({graph.node(each)["session_id"] for each in (made[0], other, unnamed)}) == 3


def test_two_tenants_never_merge(graph, calls):
    made, history = agent(calls)
    other = replace(calls([history[0], user("summary"), *history[-2:]], "done"), scope="other")
    graph.take(*made, other)
    assert graph.node(other)["parent_evidence"] == "unmatched"


def test_tool_calls_that_are_only_numbered_join_nothing(graph, calls):
    history = [system("s"), user("go")]
    answer = calling("call_1")
    first = calls(history, answer)
    other = calls([system("s"), user("something else"), answer, told("call_1")], "done")
    longer = calls([*history, answer, told("call_1"), user("x"), answer, told("call_1")], calling("call_1"))
    graph.take(first, other, longer)
    assert graph.node(other)["parent_evidence"] == "unmatched"


def test_a_tool_call_that_two_sessions_made_joins_neither_also_when_the_second_comes_late(version_2, calls):
    made, history = agent(calls)
    after = calls([history[0], user("summary"), *history[-2:]], "done")
    copy = replace(calls([system("copy"), user("x"), user("y")], history[-2]), started_ns=made[0].started_ns)
    version_2.take(*made, after)
    assert version_2.node(after)["parent_evidence"] == "compaction_anchor"
    version_2.take(copy)
    assert version_2.node(after)["parent_evidence"] == "unmatched"
    assert version_2.node(after)["session_id"] == version_2.session(after)
    version_2.check()


def test_a_canned_answer_to_the_same_question_in_two_conversations_joins_nothing(graph, calls):
    pair = [user("How do I reset my password?"), assistant(LONG.format("canned"))]
    first = calls([system("a"), user("hi"), assistant("hello"), pair[0]], pair[1]["content"])
    second = calls([system("b"), user("hey"), assistant("hello"), pair[0]], pair[1]["content"])
    third = calls([system("c"), *pair, user("thanks")], "welcome")
    graph.take(first, second, third)
    assert graph.node(third)["parent_evidence"] == "unmatched"


def test_the_same_history_under_another_system_prompt_is_no_compaction(version_2, calls):
    made, history = agent(calls)
    talked, spoken = talk(calls)
    other = calls([system("pirate"), *history[1:]], "arr")
    again = calls([system("pirate"), *spoken[1:], user("x")], "arr")
    version_2.take(*made, *talked, other, again)
    assert [version_2.node(each)["parent_evidence"] for each in (other, again)] == ["unmatched", "unmatched"]


def test_an_edited_question_in_the_middle_is_no_compaction(version_2, calls):
    made, history = talk(calls)
    edited = [*history[:1], user("another start"), *history[2:], user("x")]
    other = calls(edited, "y")
    version_2.take(*made, other)
    assert version_2.node(other)["parent_evidence"] == "unmatched"


def test_an_answer_before_the_one_that_it_would_continue_joins_nothing(graph, calls):
    early = calls([system("s"), user("summary"), calling(call_id(3)), told(call_id(3), "text")], "done")
    made, _ = agent(calls)
    graph.take(early, *made)
    assert graph.node(early)["parent_evidence"] == "unmatched"


# Conversations that others started


def test_a_task_given_in_a_tool_call_links_the_conversation_that_it_starts(graph, calls):
    task = TASK.format(1)
    main = calls([user("Clean up.")], calling(call_id(1), "agent", prompt=task, kind="search"))
    sub = calls([system("You are a searcher."), user(task)], "none")
    graph.take(main, sub)
    assert links(graph) == [
        {
            "evidence": "task_text",
            "from_turn_id": main.event_id,
            "to_turn_id": sub.event_id,
            "tool_call_id": call_id(1),
        }
    ]
    assert graph.node(main)["session_id"] != graph.node(sub)["session_id"]


def test_an_answer_that_became_a_tool_result_links_the_conversation_that_gave_it(graph, calls):
    answer = calling(call_id(1), "agent", prompt="short")
    main = calls([user("Clean up.")], answer)
    sub = calls([system("You are a searcher."), user("short")], LONG.format(7))
    after = calls([user("Clean up."), answer, told(call_id(1), LONG.format(7))], "thanks")
    for order in permutations((main, sub, after)):
        graph.forget()
        for each in order:
            graph.take(each)
        (link,) = links(graph)
        assert (link["evidence"], link["from_turn_id"], link["to_turn_id"]) == (
            "result_text",
            main.event_id,
            sub.event_id,
        )
        assert link["tool_call_id"] == call_id(1)


def test_an_answer_that_became_two_tool_results_links_by_the_last_answer_and_its_first_call(graph, calls):
    one, two, three = (call_id(number)[:-1] + end for number, end in ((1, "B"), (2, "C"), (3, "A")))
    answer = calling(two, "agent", prompt="short")
    both = {**answer, "tool_calls": [*calling(three, "agent", prompt="x")["tool_calls"], *answer["tool_calls"]]}
    first = calls([user("Clean up.")], calling(one, "agent", prompt="short"))
    last = calls([user("Clean up once more.")], both)
    sub = calls([system("You are a searcher."), user("short")], LONG.format(7))
    results = [told(two, LONG.format(7)), told(three, LONG.format(7))]
    after = [
        calls([user("Clean up once more."), both, *results[:1]], "thanks"),
        calls([user("Clean up once more."), both, *results[1:]], "thank you"),
        calls([user("Clean up."), calling(one, "agent", prompt="short"), told(one, LONG.format(7))], "thanks"),
    ]
    for order in random.Random(1).sample(list(permutations((first, last, sub, *after))), 10):
        graph.forget()
        for each in order:
            graph.take(each)
        (link,) = (each for each in links(graph) if each["evidence"] == "result_text")
        assert (link["from_turn_id"], link["to_turn_id"]) == (last.event_id, sub.event_id)
        assert link["tool_call_id"] == three


def test_a_parent_named_in_another_session_is_a_link_and_no_place(graph, calls):
    main = calls([user("hi")], "a", who={"session": "main"})
    sub = calls([user("task")], "b", who={"session": "sub", "parent_node": str(main.event_id)})
    for order in ((main, sub), (sub, main)):
        graph.forget()
        for each in order:
            graph.take(each)
        assert [row["evidence"] for row in links(graph)] == ["explicit_parent"]
        assert graph.node(sub)["depth"] == 1


def traced(exchange, trace):
    return replace(exchange, traceparent=TRACE.format(trace))


def test_conversations_of_one_trace_are_linked_to_the_one_that_it_begins_with(graph, calls):
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    main = traced(calls([user("main")], "a"), trace)
    sub, other = traced(calls([user("sub")], "b"), trace), traced(calls([user("other")], "c"), "1" * 32)
    on = traced(calls([user("main"), assistant("a"), user("x")], "d"), trace)
    last = traced(calls([user("last")], "e"), trace)
    nothing = traced(calls([user("nothing")], "f"), "0" * 32)
    none = replace(nothing, event_id=calls().event_id, traceparent="junk")
    expected = [(main.event_id, sub.event_id), (on.event_id, last.event_id)]
    for order in ([main, sub, other, on, last, nothing, none], [none, last, nothing, on, other, sub, main]):
        graph.forget()
        for each in order:
            graph.take(each)
        assert [(row["from_turn_id"], row["to_turn_id"]) for row in links(graph)] == expected


def test_short_texts_link_nothing(graph, calls):
    main = calls([user("hi")], calling(call_id(1), "agent", prompt="Do it."))
    graph.take(main, calls([user("Do it.")], "ok"))
    assert links(graph) == []


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10_000))
@example(seed=266)  # one answer is the result of two tool calls
def test_any_order_any_batching_and_any_duplicate_gives_the_same_trees_and_links(graph, calls, seed):
    rnd = random.Random(seed)
    exchanges = story_of_agents(calls, rnd)
    graph.forget()
    graph.take(*exchanges)
    graph.check()
    expected = graph.dump()
    for _ in range(2):
        graph.forget()
        order = rnd.sample(exchanges, len(exchanges))
        order += rnd.sample(exchanges, 2)
        while order:
            size = rnd.randint(1, 4)
            graph.take(*order[:size])
            order = order[size:]
        graph.check()
        assert graph.dump() == expected
    lineage.rebuild(graph.dsn)
    assert graph.dump() == expected
