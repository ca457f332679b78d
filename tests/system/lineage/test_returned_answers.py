"""A history that its client rewrote continues where the answer that came back was delivered."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import permutations

from support.captured_talks import LONG, agent, call_id, talk
from support.messages import assistant, calling, system, told, user


def differences(node):
    return node["variant_config"]["history"]["differences"]


def test_an_instruction_that_changes_with_every_call_keeps_one_tree(graph, calls):
    history, made = [user("Why is the sky blue?")], []
    for number in range(4):
        made.append(calls([system(f"Battery: {90 - number} %"), *history], LONG.format(number)))
        history += [assistant(LONG.format(number)), user(f"And then? {number}")]
    graph.take(*made)
    assert [graph.node(each)["depth"] for each in made] == [1, 2, 3, 4]
    node = graph.node(made[-1])
    assert (node["branch_kind"], node["parent_evidence"]) == ("continuation", "returned_answer")
    assert differences(node) == ["system_changed"]
    assert node["branch_reason"] == "goes on from its parent; continues an answer that came back: system changed"


def test_a_question_that_was_rewritten_and_messages_that_were_dropped_are_named(graph, calls):
    first = calls([system("s"), user(f"What is it? {LONG}")], LONG.format(1))
    rewritten = calls([system("s"), user("What is it?"), assistant(LONG.format(1)), user("Go on.")], LONG.format(2))
    noted = calls([system("s"), user("Begin."), user("Note: hurry.")], LONG.format(3))
    without = calls([system("s"), user("Begin."), assistant(LONG.format(3)), user("More.")], "x")
    graph.take(first, rewritten, noted, without)
    assert graph.node(rewritten)["parent_node_id"] == graph.node(first)["node_id"]
    assert differences(graph.node(rewritten)) == ["user_rewritten"]
    assert graph.node(without)["parent_node_id"] == graph.node(noted)["node_id"]
    assert "messages_dropped" in differences(graph.node(without))


def test_a_history_that_was_cut_or_summarised_is_a_compaction_that_says_so(graph, calls):
    made, history = talk(calls)
    cut = calls([history[0], *history[-4:], user("and?")], "done")
    summary = calls([history[0], user("So far: much."), *history[-2:], user("and?")], "done")
    graph.take(*made, cut, summary)
    for each, difference in ((cut, "history_cut"), (summary, "history_summarised")):
        node = graph.node(each)
        assert node["parent_node_id"] == graph.node(made[-1])["node_id"]
        assert (node["branch_kind"], node["parent_evidence"]) == ("compaction", "compaction_anchor")
        assert differences(node) == [difference]


def test_results_that_were_emptied_or_dropped_change_no_parent(graph, calls):
    made, history = agent(calls)
    emptied = [told(each["tool_call_id"], "[cleared]") if each["role"] == "tool" else each for each in history]
    dropped = [each for each in history if each["role"] != "tool"]
    after = [calls([*found, user("on")], answer) for found, answer in ((emptied, "a"), (dropped, "b"))]
    graph.take(*made, *after)
    assert {graph.node(each)["parent_node_id"] for each in after} == {graph.node(made[-1])["node_id"]}


def test_a_short_answer_continues_only_together_with_its_question(graph, calls):
    first = calls([system("a 1"), user("Is it open?")], "Yes.")
    same = calls([system("a 2"), user("Is it open?"), assistant("Yes."), user("Until when?")], "Six.")
    other = calls([system("a 3"), user("Is it late?"), assistant("Yes."), user("How late?")], "Very.")
    graph.take(first, same, other)
    assert graph.node(same)["parent_node_id"] == graph.node(first)["node_id"]
    assert graph.node(other)["parent_evidence"] == "unmatched"


def test_two_conversations_that_gave_the_same_answer_to_the_same_question_join_nothing(graph, calls):
    pair = [user("How do I reset my password?"), assistant(LONG.format("canned"))]
    first, second = (calls([system(name), pair[0]], pair[1]["content"]) for name in "ab")
    third = calls([system("c"), *pair, user("thanks")], "welcome")
    for order in permutations((first, second, third)):
        graph.forget()
        for each in order:
            graph.take(each)
        assert graph.node(third)["parent_evidence"] == "unmatched"
        assert len({graph.node(each)["session_id"] for each in order}) == 3


def test_of_two_conversations_with_the_same_answer_the_one_with_the_same_question_is_continued(graph, calls):
    questions = ["When do you open on Monday?", "Where can I park my car?"]
    made = [calls([system(f"now 1{at}"), user(text)], LONG.format("canned")) for at, text in enumerate(questions)]
    after = [
        calls([system(f"now 2{at}"), user(text), assistant(LONG.format("canned")), user("Thanks.")], "Bye.")
        for at, text in enumerate(questions)
    ]
    graph.take(*made, *after)
    assert [graph.node(each)["parent_node_id"] for each in after] == [graph.node(each)["node_id"] for each in made]


def test_of_two_conversations_alike_in_question_and_answer_the_one_with_the_same_instruction_is_continued(graph, calls):
    manual = "Windows of {0} lines. " + " ".join(f"{{0}}-{number}" for number in range(30))
    pair = [user("Mend the rounding of this field."), assistant(LONG.format("canned"))]
    made = [calls([system(f"{manual.format(lines)} Battery: 90 %"), pair[0]], pair[1]) for lines in ("a", "b")]
    after = [
        calls([system(f"{manual.format(lines)} Battery: 80 %"), *pair, user("Go on.")], "Done.") for lines in ("b", "a")
    ]
    loaded = calls([system("Battery: 90 %"), *pair, user("And now?")], "Done.")
    graph.take(*made, *after, loaded)
    assert [graph.node(each)["parent_node_id"] for each in after] == [
        graph.node(each)["node_id"] for each in made[::-1]
    ]
    assert graph.node(loaded)["parent_evidence"] == "unmatched"


def test_an_answer_that_was_only_shown_as_an_example_joins_nothing(graph, calls):
    first = calls([system("a"), user("Why does it fail?")], LONG.format(1))
    shown = calls([system("b"), user("Judge this talk."), assistant(LONG.format(1)), user("Well?")], "Good.")
    graph.take(first, shown)
    assert graph.node(shown)["parent_evidence"] == "unmatched"


def test_a_tool_call_with_the_same_id_and_words_in_two_sessions_continues_the_one_with_the_same_instruction(
    graph, calls
):
    made, history = agent(calls)
    after = calls([history[0], user("summary"), *history[-2:]], "done")
    copy = replace(calls([system("copy"), user("x"), user("y")], history[-2]), started_ns=made[0].started_ns)
    graph.take(*made, after)
    graph.take(copy)
    assert graph.node(after)["parent_node_id"] == graph.node(made[-1])["node_id"]
    graph.check()


def test_numbered_calls_continue_by_what_they_ask_and_their_question(graph, calls):
    answer = calling("call_1", path="a.py")
    first = calls([system("now 1"), user("Read a.py.")], answer)
    after = calls([system("now 2"), user("Read a.py."), answer, told("call_1", "text")], "done")
    graph.take(first, after)
    assert graph.node(after)["parent_node_id"] == graph.node(first)["node_id"]


def test_a_named_session_is_joined_by_none_and_joins_none(graph, calls):
    first = calls([system("1"), user("Why?")], LONG.format(1), who={"session": "mine"})
    history = [user("Why?"), assistant(LONG.format(1)), user("on")]
    other, unnamed = calls([system("2"), *history], "x", who={"session": "other"}), calls([system("3"), *history], "y")
    same = calls([system("4"), *history], "z", who={"session": "mine"})
    graph.take(first, other, unnamed, same)
    assert len({graph.node(each)["session_id"] for each in (first, other, unnamed)}) == 3
    assert graph.node(same)["parent_node_id"] == graph.node(first)["node_id"]


def test_the_answer_may_come_after_the_call_that_returns_it(graph, calls):
    made, history = [], [user("Why?")]
    for number in range(4):
        made.append(calls([system(f"now {number}"), *history], LONG.format(number)))
        history += [assistant(LONG.format(number)), user(f"on {number}")]
    for order in permutations(made):
        graph.forget()
        for each in order:
            graph.take(each)
        assert [graph.node(each)["depth"] for each in made] == [1, 2, 3, 4]
        graph.check()


def test_an_id_alone_that_came_back_with_another_text_continues_its_call(graph, calls):
    answer = calling(call_id(1), path="a.py")
    first = calls([system("now 1"), user("Read.")], answer)
    edited = {**answer, "content": "I will read it now."}
    after = calls([system("now 2"), user("Read."), edited, told(call_id(1))], "done")
    graph.take(first, after)
    assert graph.node(after)["parent_node_id"] == graph.node(first)["node_id"]


def test_names_that_clients_give_decide_between_equal_answers_and_are_never_joined(graph, calls):
    def asked(instruction, name, *history):
        client = {"client_headers": json.dumps({"x-openwebui-chat-id": name})}
        return calls([system(instruction), user("Why?"), *history], LONG.format(len(history)), who=client)

    came_back = (assistant(LONG.format(0)), user("on"))
    first, second = asked("now 1", "a"), asked("now 2", "b")
    after = [asked("now 3", "b", *came_back), asked("now 4", "a", *came_back), asked("now 5", "c", *came_back)]
    graph.take(first, second, *after)
    assert [graph.node(each)["parent_node_id"] for each in after[:2]] == [
        graph.node(second)["node_id"],
        graph.node(first)["node_id"],
    ]
    assert graph.node(after[2])["parent_evidence"] == "unmatched"


def test_equal_answers_of_two_branches_of_one_tree_continue_the_latest_whatever_summary_comes_before(graph, calls):
    """An agent that was started twice from one history makes the same calls, and each call replaces its history."""
    start = [system("s"), user("Mend the build.")]
    first = calls(start, calling(call_id(1), path="a.py"))
    steps = [calling(call_id(9), command=f"step {number}") for number in range(3)]
    branches = []
    for branch in "xy":
        kept = [calling(call_id(1), path="a.py"), told(call_id(1), f"lines of {branch}")]
        made = []
        for number, step in enumerate(steps):
            summary = [user(f"So far: {branch} {number}")] if number else [start[1]]
            made.append(calls([start[0], *summary, *kept], step))
            kept = [step, told(call_id(9), "done")]
        branches.append(made)
    every = [first, *branches[0], *branches[1]]
    parents = [(one, two) for made in branches for one, two in zip([first, *made], made, strict=False)]
    for order in (every, every[::-1], every[3:] + every[:3]):
        graph.forget()
        for each in order:
            graph.take(each)
        graph.check()
        assert [graph.node(each)["parent_node_id"] for _, each in parents] == [
            graph.node(each)["node_id"] for each, _ in parents
        ]


def test_an_empty_result_with_the_id_of_its_call_proves_which_answer_followed_it(graph, calls):
    history = [system("now 1"), user("Think."), calling(call_id(1)), told(call_id(1), "")]
    first = calls(history, LONG.format(1))
    after = calls([system("now 2"), user("Sum."), history[-1], assistant(LONG.format(1)), user("Yes.")], "done")
    counted = [told("call_1", ""), assistant(LONG.format(2))]
    second = calls([system("now 1"), user("Think."), calling("call_1"), counted[0]], LONG.format(2))
    other = calls([system("now 2"), user("Sum."), *counted, user("Yes.")], "done")
    graph.take(first, after, second, other)
    assert graph.node(after)["parent_node_id"] == graph.node(first)["node_id"]
    assert graph.node(other)["parent_evidence"] == "unmatched"
