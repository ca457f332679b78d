"""A branch follows the record while it applies, ends for a reason, and says where it first parted from the record."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from regraft.domain.errors import UsageError
from regraft.domain.replay.recording import RecordedConversation, RecordedNode, holds, main_line, steps_of
from regraft.domain.replay.rollout import (
    AskModel,
    Divergence,
    RolloutBranch,
    RolloutEnd,
    RolloutLabel,
    Tools,
    UserTurn,
    divergence,
    persona_request,
    rollout_label,
    sent_back,
    user_ended,
)
from regraft.domain.replay.tool_results import (
    OrderedResults,
    RecordedResult,
    ServedResult,
    StrictResults,
    UnservedCall,
    calls_of,
)


def user(text):
    return {"role": "user", "content": text}


def says(text):
    return {"role": "assistant", "content": text}


def calling(*calls, text=None):
    """An answer with calls: (name, arguments) or (name, arguments, id)."""
    made = [
        {
            "id": each[2] if len(each) > 2 else f"{each[0]}-id",
            "type": "function",
            "function": {"name": each[0], "arguments": each[1]},
        }
        for each in calls
    ]
    return {"role": "assistant", "content": text, "tool_calls": made}


def result(content, call_id):
    return {"role": "tool", "tool_call_id": call_id, "content": content}


HELLO = [{"role": "system", "content": "Be brief."}, user("hi")]
# An exchange with two steps of tools, and one without any.
STORY = [
    calling(("find", '{"a": 1}')),
    result("found", "find-id"),
    calling(("book", "{}"), ("mail", "{}")),
    result("booked", "book-id"),
    result("mailed", "mail-id"),
    says("Booked."),
    user("thanks"),
    says("Bye."),
]


def answers_of(messages):
    return [at for at, message in enumerate(messages) if message["role"] == "assistant"]


def record(messages, opening=HELLO, siblings=(), reasons=()):
    return RecordedConversation(
        opening=opening, steps=steps_of(messages, answers_of(messages), reasons), siblings=siblings
    )


def grown(told, policy=StrictResults, max_turns=100, reasons=(), words=(), **more):
    """A branch that is told these answers, and why it ended (None: it wants more answers than there are)."""
    branch = RolloutBranch(
        record=told["record"], recorded=told["record"].results(), history=list(HELLO), max_turns=max_turns, **more
    )
    oracle = policy(branch.recorded)
    said = iter(words)

    async def all_of(calls):
        return [await oracle.serve(call) for call in calls]

    for at, answer in enumerate(told["answers"]):
        need = branch.answered(sent_back(answer), reasons[at] if at < len(reasons) else "stop")
        while not isinstance(need, AskModel | RolloutEnd):
            need = (
                branch.said(next(said))
                if isinstance(need, UserTurn)
                else branch.served(asyncio.run(all_of(need.calls)))
            )
        if isinstance(need, RolloutEnd):
            return branch, need
    return branch, None


def tell(*answers, story=STORY, **more):
    return {"record": record(story, **more), "answers": answers}


def story_answers(story=STORY):
    return [story[at] for at in answers_of(story)]


# The same answers


@pytest.mark.parametrize("policy", [StrictResults, OrderedResults])
def test_the_recorded_answers_give_the_recorded_conversation_again(policy):
    branch, stop = grown(tell(*story_answers()), policy)
    assert stop == RolloutEnd("end_of_record")
    assert branch.history == [*HELLO, *STORY]
    assert (branch.fidelity, branch.first, branch.answers, branch.results) == (1.0, None, 4, 3)
    assert dict(branch.sources) == {"path": 3}


def test_rewritten_ids_other_white_space_and_extra_fields_are_the_same_answers():
    answers = [
        calling(("find", '{"a":1.0}', "x")),
        {**calling(("book", "{}", "y"), ("mail", "", "z")), "refusal": None, "annotations": []},
        {**says("Booked. "), "reasoning_content": "..."},
        says("Bye."),
    ]
    branch, stop = grown(tell(*answers))
    assert stop == RolloutEnd("end_of_record")
    assert (branch.fidelity, branch.first) == (1.0, None)
    results = [each for each in branch.history if each["role"] == "tool"]
    assert [each["tool_call_id"] for each in results] == ["x", "y", "z"]
    assert "reasoning_content" not in branch.history[-3]


def test_results_stand_in_the_order_of_the_record_and_what_stood_between_them_too():
    story = [
        calling(("f", "{}"), ("g", "{}")),
        result("of g", "g-id"),
        {"role": "system", "content": "note"},
        result("of f", "f-id"),
        says("ok"),
    ]
    branch, stop = grown(tell(*story_answers(story), story=story))
    assert stop == RolloutEnd("end_of_record")
    assert branch.history == [*HELLO, *story]


@pytest.mark.parametrize(
    "story",
    [
        [says("a"), says("b"), user("x"), says("c")],  # the assistant spoke twice
        [calling(("f", "{}"), ("g", "{}")), result("of g", "g-id"), says("ok")],  # a call without a result
        [calling(("f", "{}")), user("never mind"), says("ok")],
        [calling(("f", "{}"))],
        [says("ok")],
        [
            {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
            {"role": "function", "name": "f", "content": "x"},
            says("ok"),
        ],
        [
            says("see"),
            {**user(""), "tool_calls": calling(("u", "{}"))["tool_calls"]},
            result("y", "u-id"),
            user("so"),
            says("ok"),
        ],
        [{"role": "assistant", "content": "", "refusal": "no"}, user("please"), says("ok")],
        [calling(("f", "{}", "1")), result("one", "1"), calling(("f", "{}", "2")), result("two", "2"), says("ok")],
    ],
)
def test_odd_conversations_are_given_again_too(story):
    branch, stop = grown(tell(*story_answers(story), story=story))
    assert stop == RolloutEnd("end_of_record")
    assert branch.history == [*HELLO, *story]
    assert branch.first is None
    assert branch.fidelity in (None, 1.0)


def test_a_conversation_without_tools_has_no_fidelity():
    branch, _ = grown(tell(says("a"), story=[says("a")]))
    assert branch.fidelity is None


# Other answers


def test_other_words_are_followed_and_told():
    branch, stop = grown(tell(*story_answers()[:2], says("It is done."), says("Bye.")))
    assert stop == RolloutEnd("end_of_record")
    assert branch.first == Divergence(turn=3, step=0, kind="answer", before="Booked.", after="It is done.")
    assert branch.fidelity == 1.0
    assert user("thanks") in branch.history


def test_an_unrecorded_call_ends_a_strict_branch_with_the_call():
    branch, stop = grown(tell(calling(("find", '{"a": 2}'))))
    assert stop == RolloutEnd("unrecorded_tool_call", 'find({"a":2}) is not in the record')
    assert branch.first == Divergence(turn=1, step=1, kind="arguments", before='find({"a":1})', after='find({"a":2})')


def test_by_order_the_branch_goes_on_with_the_drift_reported_and_not_counted():
    branch, stop = grown(tell(calling(("find", '{"a": 2}', "n")), *story_answers()[1:]), OrderedResults)
    assert stop == RolloutEnd("end_of_record")
    assert branch.fidelity == round(2 / 3, 4)
    assert branch.notes == ['find({"a":2}) was given the result of find({"a":1})']
    assert branch.first.kind == "arguments"
    assert result("found", "n") in branch.history


def test_the_users_turn_no_longer_applies_when_a_recorded_call_was_not_made():
    branch, stop = grown(tell(story_answers()[0], says("Which flight?")))
    assert stop == RolloutEnd("user_turn_no_longer_applies", "the user's turn answers an exchange that called book({})")
    assert branch.first == Divergence(turn=2, step=1, kind="missing", before="book({})")


def test_words_instead_of_the_last_recorded_calls_end_the_record():
    story = [calling(("f", "{}")), result("x", "f-id"), says("ok")]
    branch, stop = grown(tell(says("no need"), story=story))
    assert stop.reason == "end_of_record"
    assert branch.first.kind == "missing"


def test_the_same_calls_in_another_order_or_in_other_answers_still_lead_to_the_users_turn():
    swapped = calling(("mail", "{}"), ("book", "{}"))
    branch, stop = grown(tell(story_answers()[0], swapped, says("Booked."), says("Bye.")))
    assert stop == RolloutEnd("end_of_record")
    assert branch.first == Divergence(turn=2, step=1, kind="order", before="book({})", after="mail({})")
    assert branch.fidelity == 1.0
    one_by_one = [calling(("mail", "{}")), calling(("find", '{"a": 1}')), calling(("book", "{}"))]
    branch, stop = grown(tell(*one_by_one, says("Booked."), says("Bye.")))
    assert stop == RolloutEnd("end_of_record")
    assert branch.history[-1] == says("Bye.")
    at_once = calling(("find", '{"a": 1}'), ("book", "{}"), ("mail", "{}"))
    branch, stop = grown(tell(at_once, says("Booked."), says("Bye.")))
    assert stop == RolloutEnd("end_of_record")
    assert branch.first == Divergence(turn=1, step=2, kind="extra", after="book({})")


def test_a_call_that_another_branch_recorded_is_answered_and_told_as_extra():
    sibling = RecordedResult(call=calls_of(calling(("look", "{}")))[0], message=result("seen", "x"), source="sibling")
    answers = [calling(("look", "{}", "n")), *story_answers()]
    branch, stop = grown(tell(*answers, siblings=[sibling]))
    assert stop == RolloutEnd("end_of_record")
    assert branch.first == Divergence(turn=1, step=1, kind="tool_name", before='find({"a":1})', after="look({})")
    assert dict(branch.sources) == {"sibling": 1, "path": 3}
    assert branch.fidelity == 1.0
    assert branch.history[3] == result("seen", "n")


def test_a_user_who_spoke_after_tools_without_an_answer_speaks_after_the_same_tools():
    story = [
        calling(("f", "{}"), ("g", "{}")),
        result("of f", "f-id"),
        result("of g", "g-id"),
        user("go on"),
        says("ok"),
    ]
    branch, stop = grown(tell(calling(("g", "{}")), calling(("f", "{}")), says("ok"), story=story))
    assert stop == RolloutEnd("end_of_record")
    assert branch.history[-2] == user("go on")


def test_calls_that_the_opening_holds_are_spent():
    opening = [*HELLO, calling(("f", "{}")), result("old", "f-id")]
    told = tell(calling(("f", "{}")), story=[says("ok")], opening=opening)
    assert grown(told)[1] == RolloutEnd("unrecorded_tool_call", "f({}) was called more often than in the record")
    branch, _ = grown(told, OrderedResults)
    assert branch.history[-1] == result("old", "f-id")
    assert branch.fidelity == 0.0


# Ends


def test_a_branch_ends_at_its_greatest_number_of_answers():
    branch, stop = grown(tell(*story_answers()), max_turns=2)
    assert stop == RolloutEnd("max_turns", "2 answers")
    assert branch.history[-1] == STORY[2]
    assert grown(tell(*story_answers()), max_turns=4)[1] == RolloutEnd("end_of_record")
    assert grown(tell(says("a"), story=[says("a")]), max_turns=1)[1] == RolloutEnd("end_of_record")


def test_an_answer_that_was_cut_ends_a_branch_unless_the_record_went_on_after_the_same():
    told = tell(*story_answers())
    assert grown(told, reasons=["length"])[1] == RolloutEnd("max_tokens", "answer 1 was cut at its limit of tokens")
    same = tell(*story_answers(), reasons=["length"])
    assert grown(same, reasons=["length"])[1] == RolloutEnd("end_of_record")


def test_a_refusal_and_a_filtered_answer_end_a_branch():
    refusal = {"role": "assistant", "content": None, "refusal": "I cannot."}
    assert grown(tell(refusal))[1] == RolloutEnd("refused", "I cannot.")
    assert grown(tell(says("")), reasons=["content_filter"])[1] == RolloutEnd("refused", "answer 1 was filtered")


def test_a_tool_that_nobody_answers_ends_a_branch_and_what_was_answered_before_stands():
    branch, stop = grown(tell(calling(("find", '{"a": 1}'), ("other", "{}"))))
    assert stop.reason == "unrecorded_tool_call"
    assert branch.history[-1] == result("found", "find-id")
    assert branch.results == 1


# Tools that run for real, and a simulated user


class Live:
    """Answers everything."""

    def __init__(self, _recorded):
        pass

    async def serve(self, call):
        return ServedResult(message=result("new", call.call_id), source="live", stands_for=call.key)


def test_live_tools_are_asked_for_the_recorded_calls_too_and_lead_to_the_users_turn():
    branch, stop = grown(tell(*story_answers()), Live, literal=False)
    assert stop == RolloutEnd("end_of_record")
    assert [each["content"] for each in branch.history if each["role"] == "tool"] == ["new"] * 3
    assert branch.fidelity == 0.0
    assert branch.first == Divergence(turn=1, step=1, kind="tool_result", before="found", after="new")
    assert branch.history[-2:] == [user("thanks"), says("Bye.")]


def test_live_tools_go_on_where_the_record_ends_in_a_call():
    branch, stop = grown(tell(calling(("f", "{}")), says("ok"), story=[calling(("f", "{}"))]), Live, literal=False)
    assert stop.reason == "end_of_record"
    assert branch.first == Divergence(turn=1, step=1, kind="extra", after="new")
    assert branch.answers == 2


def test_a_simulated_user_speaks_where_the_recorded_one_no_longer_applies_and_from_then_on():
    branch, stop = grown(
        tell(story_answers()[0], says("Which?"), says("This?"), says("Done.")),
        max_turns=4,
        simulated_user=True,
        words=["That one.", "Yes."],
    )
    assert stop == RolloutEnd("max_turns", "4 answers")
    assert [each for each in branch.history[4:] if each["role"] == "user"] == [user("That one."), user("Yes.")]


def test_a_simulated_user_is_not_asked_while_the_recorded_one_applies():
    branch, stop = grown(tell(*story_answers()), simulated_user=True)
    assert stop == RolloutEnd("end_of_record")
    assert branch.history == [*HELLO, *STORY]


def test_a_simulated_user_is_told_the_persona_and_what_was_said():
    system, asked = persona_request("A hurried person.", [*HELLO, calling(("f", "{}")), says("Which flight?")])
    assert system["content"].startswith("A hurried person.")
    assert asked["content"] == "User: hi\n\nAssistant: Which flight?\n\nUser:"
    assert user_ended(" ")
    assert user_ended("Bye ###STOP###")
    assert not user_ended("go on")


# Where two trajectories part


@pytest.mark.parametrize(
    ("one", "other", "parted"),
    [
        ([user("a"), says("b")], [user("a"), says("b ")], None),
        ([user("a")], [user("b")], (0, 1, "user")),
        ([{"role": "system", "content": "a"}], [{"role": "developer", "content": "a"}], (0, 1, "role")),
        ([says("a"), says("b")], [says("a"), says("c")], (2, 0, "answer")),
        ([says("a"), result("x", "1")], [says("a"), result("y", "1")], (1, 1, "tool_result")),
        ([says("a"), result("x", "1")], [says("a"), user("y")], (1, 1, "role")),
        ([says("a"), user("b"), says("c")], [says("a")], (1, 1, "missing")),
        ([says("a")], [says("a"), user("b"), says("c")], (1, 1, "extra")),
        ([says("a")], [says("a"), says("b")], (2, 0, "extra")),
        ([calling(("f", "{}"), text="a")], [calling(("f", "{}"), text="b")], (1, 0, "answer")),
        ([calling(("f", "{}"))], [calling(("g", "{}"))], (1, 1, "tool_name")),
        ([calling(("f", "{}"))], [calling(("f", '{"a":1}'))], (1, 1, "arguments")),
        ([calling(("f", "{}"), ("g", "{}"))], [calling(("g", "{}"), ("f", "{}"))], (1, 1, "order")),
        ([calling(("f", "{}"), ("g", "{}"))], [calling(("f", "{}"))], (1, 2, "missing")),
        ([calling(("f", "{}"), ("g", "{}"))], [calling(("g", "{}"))], (1, 1, "missing")),
        ([calling(("g", "{}"))], [calling(("f", "{}"), ("g", "{}"))], (1, 1, "extra")),
        ([calling(("f", "{}"))], [says("words")], (1, 1, "missing")),
        ([says("words")], [calling(("f", "{}"))], (1, 1, "extra")),
        ([], [], None),
        ([7], ["odd"], (0, 1, "role")),
    ],
)
def test_the_first_difference_of_two_trajectories_is_found_and_named(one, other, parted):
    found = divergence(one, other)
    assert (found and (found.turn, found.step, found.kind)) == parted


def test_a_difference_shows_the_beginning_of_both_sides():
    found = divergence([says("x" * 500)], [says("y" * 500)])
    assert (found.before, found.after) == ("x" * 80, "y" * 80)
    assert found.describe() == {"turn": 1, "step": 0, "kind": "answer", "before": "x" * 80, "after": "y" * 80}
    assert "before" not in divergence([], [user("a")]).describe()


def test_an_unserved_call_says_why():
    branch = RolloutBranch(record=record(STORY), recorded=record(STORY).results(), history=[], max_turns=9)
    need = branch.answered(calling(("other", "{}")), "tool_calls")
    assert isinstance(need, Tools)
    assert branch.served([UnservedCall("no server")]) == RolloutEnd("unrecorded_tool_call", "no server")


# Which path is followed


def below(number, parent, depth, **more):
    given = {
        "node_id": UUID(int=number),
        "parent_id": UUID(int=parent),
        "session_id": UUID(int=99),
        "evidence": "prefix",
        "context_id": b"",
        "context_depth": depth,
        "context_projection": bytes([number]),
        "answer_projection": bytes([number, 1]),
        "finish_reason": "stop",
        "is_replay": False,
        "answered": True,
    }
    return RecordedNode(**{**given, **more})


def line(nodes, start=1, toward=None):
    return [each.node_id.int for each in main_line(nodes, UUID(int=start), UUID(int=toward) if toward else None)]


def test_the_longest_original_path_is_followed_and_of_equals_the_earliest():
    tree = [below(1, 0, 1), below(2, 1, 3), below(3, 1, 3), below(4, 3, 5), below(5, 2, 5, is_replay=True)]
    tree.append(below(6, 5, 7, is_replay=True))
    assert line(tree) == [1, 3, 4]
    assert line(tree[:3]) == [1, 2]
    assert line(tree, start=5) == [5, 6]
    assert line(tree, toward=6) == [1, 2, 5, 6]
    assert line(tree, start=7) == []


def test_a_path_ends_before_an_answer_that_is_missing_and_where_the_history_does_not_go_on():
    assert line([below(1, 0, 1), below(2, 1, 3, answered=False)]) == [1]
    assert line([below(1, 0, 1, answered=False), below(2, 1, 3)]) == []
    assert line([below(1, 0, 1), below(2, 1, 3, evidence="unmatched"), below(3, 2, 5)]) == [1]


def test_a_goal_that_is_not_below_the_start_is_refused():
    tree = [below(1, 0, 1), below(2, 1, 3)]
    for goal in (9, 1):
        with pytest.raises(UsageError, match="is not below"):
            line(tree[1:], start=2, toward=goal)


def test_a_history_holds_a_path_when_it_goes_through_each_of_its_answers():
    path = [below(1, 0, 1), below(2, 1, 3)]
    assert holds(path, [b"\1", b"\1\1", b"\2"])
    assert not holds(path, [b"\1", b"other", b"\2"])
    assert not holds(path, [b"\1", b"\1\1", b"other"])
    assert not holds(path, [b"\1", b"\1\1"])


def test_what_a_variant_says_of_a_rollout_is_read_and_nothing_else_is():
    said = '{"rollout": {"results": 3, "exact": 2, "divergence": {"turn": 1}}}'
    assert rollout_label(said) == RolloutLabel(0.6667, {"turn": 1})
    for odd in (None, "", "7", '{"rollout": {"results": 0, "exact": 0}}', '{"rollout": {"results": 1, "exact": 2}}'):
        assert rollout_label(odd) == RolloutLabel()
