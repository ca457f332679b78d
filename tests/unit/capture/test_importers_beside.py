"""Answers and system prompts that stand beside a list of messages belong to it; what is not clear is refused."""

from __future__ import annotations

import json

import pytest

from regraft.domain.capture.importers.conversation import RefusedConversation
from support.chat_export import one

USER = {"role": "user", "content": "spend q"}
SAID = {"role": "assistant", "content": "spend a"}
CHOICE = {"index": 0, "message": SAID, "finish_reason": "length"}
CHAT = {"id": "x", "model": "m1", "choices": [CHOICE], "usage": {"prompt_tokens": 1}}
ANTHROPIC = {
    "type": "message",
    "role": "assistant",
    "model": "m1",
    "content": [{"type": "text", "text": "spend a"}],
    "stop_reason": "end_turn",
}
RESPONSES = {
    "object": "response",
    "model": "m1",
    "output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "spend a"}]}],
}
GEMINI = {"candidates": [{"content": {"role": "model", "parts": [{"text": "spend a"}]}}], "modelVersion": "m1"}
OLLAMA = {"model": "m1", "message": SAID, "done_reason": "stop"}


@pytest.mark.parametrize("key", ["response", "raw", "completion_response"])
@pytest.mark.parametrize("response", [CHAT, ANTHROPIC, RESPONSES, GEMINI, OLLAMA])
@pytest.mark.parametrize("written", [False, True])
def test_a_response_of_a_known_api_beside_the_messages_is_their_answer_whatever_its_key(key, response, written):
    form, talk = one({"messages": [USER], key: json.dumps(response) if written else response})
    assert form == "openai"
    assert [(said.message["role"], said.message["content"], said.parent) for said in talk.said] == [
        ("user", "spend q", None),
        ("assistant", "spend a", 0),
    ]
    assert talk.said[1].answered
    assert talk.said[1].model == "m1"
    assert talk.left_out == ()


@pytest.mark.parametrize(
    "beside",
    [
        {"choices": [CHOICE]},
        {"completion": "spend a"},
        {"output": [SAID]},
        {"output": RESPONSES["output"]},
        {"answer": "spend a"},
        {"assistant": SAID},
        {"response": "spend a", "choices": [CHOICE]},
        {"completion": [SAID]},
        {"generations": ["spend a"]},
    ],
)
def test_an_answer_in_any_form_is_read(beside):
    _, talk = one({"messages": [USER], **beside})
    assert [said.message["content"] for said in talk.said] == ["spend q", "spend a"]


def test_several_choices_are_several_answers_to_one_question():
    other = {"index": 1, "message": {**SAID, "content": "spend b"}}
    _, talk = one({"messages": [USER], "response": {**CHAT, "choices": [CHOICE, other]}})
    assert [(said.message["content"], said.parent) for said in talk.said] == [
        ("spend q", None),
        ("spend a", 0),
        ("spend b", 0),
    ]
    assert (talk.said[1].finish_reason, talk.said[1].usage) == ("length", {"prompt_tokens": 1})


def test_an_answer_that_stands_twice_is_one_and_a_text_beside_a_whole_conversation_is_kept():
    _, talk = one({"messages": [USER, SAID], "response": CHAT})
    assert [said.message["content"] for said in talk.said] == ["spend q", "spend a"]
    _, talk = one({"messages": [USER, SAID], "answer": "the right one"})
    assert len(talk.said) == 2
    assert talk.rest["answer"] == "the right one"


@pytest.mark.parametrize(
    ("line", "reason", "place"),
    [
        (
            {"messages": [USER, SAID], "response": {**CHAT, "choices": [{"message": {**SAID, "content": "no"}}]}},
            "an answer beside messages that end with one",
            "response",
        ),
        (
            {"messages": [USER], "response": "one thing", "completion": "another thing"},
            "two different answers",
            "response, completion",
        ),
        (
            {"messages": [USER, SAID], "conversation_b": [USER, {**SAID, "content": "b b"}]},
            "messages that are not read",
            "conversation_b[].content",
        ),
        (
            {"messages": [USER, SAID], "chosen": [{**SAID, "content": "c"}]},
            "an answer beside messages that end with one",
            "chosen",
        ),
        (
            {"conversations": [{"from": "human", "value": "q"}], "more": [{"from": "gpt", "value": "x"}]},
            "messages that are not read",
            "more[].value",
        ),
        (
            {
                "messages": [USER, {**SAID, "replies": [{"role": "user", "content": "deep"}]}],
                "x": [USER, {"speaker": "user", "text": "y"}],
            },
            "messages that are not read",
            "x[].text",
        ),
    ],
)
def test_what_is_not_clear_or_not_read_is_refused_by_its_place(line, reason, place):
    _, refused = one({"id": "c", **line})
    assert isinstance(refused, RefusedConversation)
    assert reason in refused.reason
    assert (refused.name, refused.place) == ("c", place)


def test_words_beside_a_history_without_an_answer_are_kept_and_named():
    _, talk = one({"messages": [USER], "utterance": "It may be this"})
    assert talk.rest["utterance"] == "It may be this"
    assert talk.left_out == (RefusedConversation("utterance", "words beside a history without an answer"),)


@pytest.mark.parametrize("key", ["system", "system_prompt", "systemInstruction", "instructions"])
def test_a_system_prompt_beside_the_messages_comes_first(key):
    _, talk = one({"messages": [USER, SAID], key: "Be brief."})
    assert [(said.message["role"], said.parent) for said in talk.said] == [
        ("system", None),
        ("user", 0),
        ("assistant", 1),
    ]
    assert talk.said[0].message["content"] == "Be brief."


def test_two_system_prompts_that_differ_are_refused():
    _, refused = one({"messages": [{"role": "system", "content": "a"}, USER, SAID], "system": "b"})
    assert refused.place == "system"


def test_lines_of_anthropics_form_are_chat_messages_with_calls_and_results():
    line = {
        "system": [{"type": "text", "text": "Be brief."}],
        "messages": [
            USER,
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "s"},
                    {"type": "text", "text": "let me"},
                    {"type": "tool_use", "id": "t1", "name": "f", "input": {"x": 1}},
                ],
            },
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "7"}]},
        ],
        "tools": [{"name": "f", "input_schema": {"type": "object"}}],
        "response": {**ANTHROPIC, "content": [{"type": "text", "text": "It is 7"}]},
    }
    _, talk = one(line)
    said = [each.message for each in talk.said]
    assert [message["role"] for message in said] == ["system", "user", "assistant", "tool", "assistant"]
    assert [message["content"] for message in said] == ["Be brief.", "spend q", "let me", "7", "It is 7"]
    assert said[2]["reasoning_content"] == "hm"
    assert said[2]["tool_calls"][0]["function"] == {"name": "f", "arguments": '{"x":1}'}
    assert said[3]["tool_call_id"] == "t1"
    assert talk.tools["tools"][0]["function"]["name"] == "f"


def test_messages_that_are_written_as_json_text_are_read():
    _, talk = one({"messages": json.dumps([USER]), "response": json.dumps(CHAT)})
    assert [said.message["content"] for said in talk.said] == ["spend q", "spend a"]


@pytest.mark.parametrize(
    "line",
    [
        {"conversation": [USER], "response": "spend a"},
        {"conversations": [{"from": "human", "value": "spend q"}], "output": "spend a"},
        {"turns": [{"speaker": "user", "text": "spend q"}], "raw": CHAT},
    ],
)
def test_an_answer_beside_turns_of_any_form_is_theirs(line):
    _, talk = one(line)
    assert [(said.message["role"], said.message["content"]) for said in talk.said] == [
        ("user", "spend q"),
        ("assistant", "spend a"),
    ]


@pytest.mark.parametrize("line", [{"conversation": [USER]}, {"prompt": "spend q"}, {"prompt": [USER]}])
def test_words_beside_a_question_alone_are_named_in_any_form(line):
    _, talk = one({**line, "utterance": "It may be this"})
    assert talk.left_out == (RefusedConversation("utterance", "words beside a history without an answer"),)
