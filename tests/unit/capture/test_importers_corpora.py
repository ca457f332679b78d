"""Corpora and agents' trials become conversations with their groups, tools and judgements."""

from __future__ import annotations

import json

import pytest

from regraft.domain.capture.importers import conversations, detected
from regraft.domain.capture.importers.conversation import RefusedConversation
from regraft.domain.capture.importers.records import JsonRecord
from regraft.domain.ids import parse_json


def read(value, **where):
    record = JsonRecord(0, parse_json(json.dumps(value)), **where)
    importer = detected(record)
    return importer.form, [each for _, each in conversations(importer, [record])]


def one(value, **where):
    form, found = read(value, **where)
    assert len(found) == 1
    return form, found[0]


def judged(conversation):
    return [(at, each.name, each.value) for at, said in enumerate(conversation.said) for each in said.judgements]


USER, ANSWER = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}


def test_a_line_of_chat_messages_keeps_each_message_as_it_is():
    odd = {"role": "user", "content": [{"type": "hologram", "data": {"x": 1}}], "made_up": None}
    form, talk = one(
        {
            "id": "r1",
            "source": "s",
            "group": "g",
            "model": "m",
            "messages": [odd, ANSWER],
            "tools": [{"name": "f", "parameters": {}}],
            "outcome": {"reward": 1, "success": True, "note": "n"},
            "meta": {"message_meta": [{}, {"usage": {"prompt_tokens": 1}, "timestamp": "2025-01-01T00:00:00"}]},
            "licence": "x",
        }
    )
    assert form == "openai"
    assert talk.said[0].message == odd
    assert (talk.key, talk.task, talk.model, talk.source) == ("r1", "g", "m", "s")
    assert talk.tools == {"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]}
    assert talk.said[1].usage == {"prompt_tokens": 1}
    assert talk.said[1].started_ns == 1_735_689_600_000_000_000
    assert judged(talk) == [(1, "reward", 1.0), (1, "success", 1.0)]
    assert talk.rest == {"licence": "x", "outcome": {"note": "n"}}


def test_ranks_by_message_belong_to_their_messages():
    _, talk = one({"messages": [USER, ANSWER], "outcome": {"ranks": [None, 2]}, "meta": {"message_ids": ["u", "a"]}})
    assert judged(talk) == [(1, "rank", 2.0)]
    assert [said.key for said in talk.said] == ["u", "a"]


def test_lines_without_an_id_are_told_apart_by_place_and_content():
    (_, first), (_, same), (_, other) = (one({"messages": [USER, {**ANSWER, "content": text}]}) for text in "aab")
    assert first.key == same.key != other.key


@pytest.mark.parametrize(
    "line",
    [
        {"prompt": [USER], "chosen": [{**ANSWER, "content": "good"}], "rejected": [{**ANSWER, "content": "bad"}]},
        {"chosen": [USER, {**ANSWER, "content": "good"}], "rejected": [USER, {**ANSWER, "content": "bad"}]},
        {
            "input": {"messages": [USER]},
            "preferred_output": [{**ANSWER, "content": "good"}],
            "non_preferred_output": [{**ANSWER, "content": "bad"}],
        },
    ],
)
def test_a_preference_line_is_one_question_with_two_answers(line):
    form, talk = one(line)
    assert form == "openai"
    assert [(said.message["content"], said.parent) for said in talk.said] == [("q", None), ("good", 0), ("bad", 0)]
    assert judged(talk) == [(1, "preferred", 1.0), (2, "preferred", 0.0)]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ({"id": "x", "messages": []}, "no messages"),
        ({"id": "x", "messages": [{"role": "narrator", "content": "q"}]}, "a message with the role 'narrator'"),
    ],
)
def test_a_line_that_is_no_chat_is_refused_by_name(line, reason):
    assert one(line) == ("openai", RefusedConversation("x", reason))


def test_sharegpt_turns_become_messages_and_its_calls_get_ids():
    form, talk = one(
        {
            "system": "Be brief.",
            "tools": '[{"name": "f"}]',
            "conversations": [
                {"from": "human", "value": "q"},
                {"from": "function_call", "value": '{"name": "f", "arguments": {"x": 1.0}}'},
                {"from": "observation", "value": "1"},
                {"from": "gpt", "value": "a"},
            ],
            "label": False,
        }
    )
    assert form == "sharegpt"
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"x":1.0}'}}
    assert [said.message for said in talk.said] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "1"},
        {"role": "assistant", "content": "a"},
    ]
    assert talk.tools == {"tools": [{"type": "function", "function": {"name": "f"}}]}
    assert judged(talk) == [(4, "preferred", 0.0)]


def test_sharegpt_preferences_are_two_branches():
    sides = {"chosen": {"from": "gpt", "value": "good"}, "rejected": {"from": "gpt", "value": "bad"}}
    _, talk = one({"conversations": [{"from": "human", "value": "q"}], **sides})
    assert [said.parent for said in talk.said] == [None, 0, 0]
    assert judged(talk) == [(1, "preferred", 1.0), (2, "preferred", 0.0)]


@pytest.mark.parametrize(
    ("turn", "reason"),
    [
        ({"from": "narrator", "value": "x"}, "a turn from 'narrator'"),
        ({"from": "function_call", "value": "f(x)"}, "a function call that is not JSON"),
        ({"from": "human", "value": {"x": 1}}, "a turn whose value is not text"),
    ],
)
def test_a_sharegpt_turn_that_cannot_be_read_refuses_its_conversation(turn, reason):
    assert one({"id": "s1", "conversations": [turn]}) == ("sharegpt", RefusedConversation("s1", reason))


def reply(key, role="assistant", replies=(), **more):
    return {"message_id": key, "role": role, "text": key, "replies": list(replies), **more}


def test_a_message_tree_keeps_all_replies_with_their_ranks_and_votes():
    follow = reply("u2", "prompter", rank=1)
    answers = [
        reply("a", rank=0, emojis={"+1": 3, "_skip_reply": 1}, model_name="m"),
        reply("b", rank=1, replies=[follow]),
    ]
    form, talk = one({"message_tree_id": "t", "tree_state": "done", "prompt": reply("t", "prompter", answers)})
    assert form == "oasst"
    assert talk.task == "oasst:t"
    assert [(said.key, said.message["role"], said.parent) for said in talk.said] == [
        ("t", "user", None),
        ("a", "assistant", 0),
        ("b", "assistant", 0),
        ("u2", "user", 2),
    ]
    assert judged(talk) == [(1, "rank", 0.0), (1, "emoji:+1", 3.0), (2, "rank", 1.0), (3, "rank", 1.0)]
    assert talk.said[1].model == "m"


def test_flat_messages_form_trees_in_any_order():
    messages = [
        {
            "message_id": "a",
            "parent_id": "t",
            "role": "assistant",
            "text": "x",
            "labels": {"name": ["spam"], "value": [0]},
        },
        {"message_id": "t", "parent_id": None, "role": "prompter", "text": "q"},
        {"message_id": "lost", "parent_id": "gone", "role": "prompter", "text": "y"},
        {"message_id": "o1", "parent_id": "o2", "role": "prompter", "text": "z"},
        {"message_id": "o2", "parent_id": "o1", "role": "assistant", "text": "z"},
    ]
    records = [JsonRecord(at, each) for at, each in enumerate(messages)]
    importer = detected(records[0])
    found = [each for _, each in conversations(importer, records)]
    assert importer.form == "oasst_messages"
    trees = {each.key: [said.key for said in each.said] for each in found if not isinstance(each, RefusedConversation)}
    assert trees == {"t": ["t", "a"], "lost": ["lost"]}
    assert [each.reason for each in found if isinstance(each, RefusedConversation)] == [
        "messages that answer one another in a circle"
    ]


def test_a_tau_bench_trial_is_a_group_member_with_a_reward():
    trial = {"task_id": 3, "trial": 1, "reward": 0.5, "info": {"task": {"user_id": "u"}}, "traj": [USER, ANSWER, USER]}
    form, talk = one(trial)
    _, other = one({**trial, "info": {"task": {"user_id": "v"}}})
    assert form == "tau_bench"
    assert judged(talk) == [(1, "reward", 0.5)]
    assert talk.task.startswith("tau-bench/3/")
    assert talk.task != other.task


def test_tau2_bench_keeps_the_calls_that_the_user_made():
    call = {"id": "c", "name": "f", "arguments": {"x": 1}, "requestor": "user"}
    messages = [
        {"role": "assistant", "content": "hi", "turn_idx": 0},
        {"role": "user", "content": None, "tool_calls": [call]},
        {"role": "tool", "id": "c", "content": "1", "requestor": "user", "error": False},
        {"role": "assistant", "content": "ok", "usage": {"prompt_tokens": 2}, "timestamp": "2025-01-01T00:00:00"},
    ]
    info = {
        "agent_info": {"llm": "m", "llm_args": {"temperature": 0}},
        "environment_info": {"domain_name": "d", "policy": "p", "tool_defs": [{"name": "g"}]},
    }
    simulation = {"id": "s", "task_id": "7", "trial": 2, "reward_info": {"reward": 1}, "messages": messages}
    form, talk = one(simulation, head={"info": info}, member="simulations")
    assert form == "tau2_bench"
    assert (talk.task, talk.model, talk.sampling, talk.rest["policy"]) == ("tau2/d/7", "m", {"temperature": 0}, "p")
    written = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}, "requestor": "user"}
    assert [said.message for said in talk.said] == [
        {"role": "assistant", "content": "hi"},
        {"role": "user", "content": None, "tool_calls": [written]},
        {"role": "tool", "content": "1", "tool_call_id": "c", "requestor": "user"},
        {"role": "assistant", "content": "ok"},
    ]
    assert judged(talk) == [(3, "reward", 1.0)]
    assert talk.said[3].usage == {"prompt_tokens": 2}


def thought(kind, words, *children, **more):
    return {"node_type": kind, "description": words, "children": list(children), **more}


def test_a_search_tree_gives_an_answer_for_each_thought_action_and_input():
    dead = thought("Thought", "no", pruned=True, Elo=900)
    ended = thought("Action", "Finish", thought("Action Input", "{}", finished=True))
    tried = thought("Action Input", '{"x": 1}', thought("Thought", "so", ended), dead, observation="1")
    tree = {"tree": thought("Action Input", "", thought("Thought", "hm", thought("Action", "f", tried)))}
    opening = [{"role": "system", "content": "s"}, USER]
    generated = {"query": "q", "function": [{"name": "f"}], "train_messages": [[*opening, ANSWER]]}
    form, talk = one({"id": "t1", "native": {"win": True, "tree": tree, "answer_generation": generated}})
    assert form == "toolbench"
    assert [(said.message, said.parent) for said in talk.said] == [
        (opening[0], None),
        (USER, 0),
        ({"role": "assistant", "content": "hm", "function_call": {"name": "f", "arguments": '{"x": 1}'}}, 1),
        ({"role": "function", "name": "f", "content": "1"}, 2),
        ({"role": "assistant", "content": "so", "function_call": {"name": "Finish", "arguments": "{}"}}, 3),
        ({"role": "assistant", "content": "no"}, 3),
    ]
    assert judged(talk) == [(4, "finished", 1.0), (5, "elo", 900.0), (5, "finished", 0.0)]
    assert talk.tools == {"functions": [{"name": "f"}]}


def test_tooleval_calls_are_read_where_they_were_not_cut_short():
    whole = "{'name': 'f', 'arguments': '{}', 'response': '1'}"
    cut = "{'name': 'f', 'argum"
    last = {"role": "tool", "message": cut, "next": []}
    made = {"role": "assistant", "message": "hm", "next": [{"role": "tool", "message": whole, "next": [last]}]}
    native = {"query": "q", "answer": {"answer_details": [{"role": "user", "message": "q", "next": [made]}]}}
    _, talk = one({"id": "t2", "native": native})
    assert [said.message for said in talk.said] == [
        USER,
        {"role": "assistant", "content": "hm", "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "1"},
        {"role": "tool", "content": cut},
    ]
