"""Anthropic's messages and streams are the same chat messages that any other dialect gives."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from regraft.domain.capture.dialects import MESSAGES, as_chat, dialect_of
from regraft.domain.errors import CorruptEventError
from regraft.domain.ids import parse_json
from regraft.domain.lineage.projection import project
from regraft.domain.usage import Tokens, tokens

ANTHROPIC = dialect_of(MESSAGES)
SSE = "text/event-stream"
CALL = {"type": "tool_use", "id": "t1", "name": "f", "input": {"b": 1.0, "a": "x"}}
RESULT = {"type": "tool_result", "tool_use_id": "t1", "content": "sunny", "is_error": False}
THOUGHT = {"type": "thinking", "thinking": "hmm", "signature": "s"}
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QQ=="}}


def text(words, **more):
    return {"type": "text", "text": words, **more}


def read(*messages, **settings):
    body = {"model": "claude", "max_tokens": 9, "messages": list(messages), **settings}
    return ANTHROPIC.read_request(json.dumps(body).encode())


def user(content):
    return {"role": "user", "content": content}


def assistant(*blocks):
    return {"role": "assistant", "content": list(blocks)}


def whole(*blocks, stop="end_turn", **more):
    body = {"id": "msg", "type": "message", "role": "assistant", "model": "claude", "content": list(blocks), **more}
    return ANTHROPIC.read_answer(json.dumps({**body, "stop_reason": stop}).encode(), "application/json")


def stream(*events):
    body = "".join(f"event: {each['type']}\ndata: {json.dumps(each)}   \n\n" for each in events)
    return ANTHROPIC.read_answer(body.encode(), SSE)


START = {
    "type": "message_start",
    "message": {"id": "msg", "type": "message", "role": "assistant", "model": "claude", "content": []}
    | {"stop_reason": None, "usage": {"input_tokens": 7, "cache_read_input_tokens": 2, "output_tokens": 1}},
}
STOP = {"type": "message_stop"}


def block(index, start, *deltas):
    return [
        {"type": "content_block_start", "index": index, "content_block": start},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def end(reason="end_turn"):
    return {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None}} | {
        "usage": {"output_tokens": 5}
    }


# Requests


def test_system_is_the_first_message():
    assert read(user("hi"), system="be brief").messages[0] == {"role": "system", "content": "be brief"}
    blocks = [text("be"), text("brief", cache_control={"type": "ephemeral"})]
    assert read(user("hi"), system=blocks).messages[0] == {"role": "system", "content": blocks}


def test_a_system_message_in_the_middle_stays_there():
    request = read(user("hi"), {"role": "system", "content": [text("be brief")]})
    assert [message["role"] for message in request.messages] == ["user", "system"]
    assert "system" not in parse_json(ANTHROPIC.body(request))


def test_a_call_of_a_tool_and_its_result_are_the_messages_of_a_chat():
    request = read(user("weather?"), assistant(text("let me see"), CALL), user([RESULT]))
    said = [project(message) for message in request.messages]
    chat = [
        {"role": "user", "content": "weather?"},
        {
            "role": "assistant",
            "content": "let me see",
            "tool_calls": [{"id": "x", "function": {"name": "f", "arguments": '{"a": "x", "b": 1}'}}],
        },
        {"role": "tool", "tool_call_id": "x", "content": "sunny"},
    ]
    assert said == [project(message) for message in chat]
    assert request.messages[2]["tool_call_id"] == request.messages[1]["tool_calls"][0]["id"] == "t1"
    assert request.messages[2]["is_error"] is False


def test_results_and_words_of_one_user_message_are_several_chat_messages_and_one_again():
    request = read(user("go"), assistant(CALL, CALL), user([RESULT, RESULT, text("and now?")]))
    assert [message["role"] for message in request.messages[2:]] == ["tool", "tool", "user"]
    assert not any("native" in message for message in request.messages)
    assert parse_json(ANTHROPIC.body(request))["messages"][2] == user([RESULT, RESULT, text("and now?")])


def test_only_what_the_chat_form_cannot_say_is_kept_beside_it():
    request = read(user("go"), assistant(CALL, text("after the call")), user([text("before"), RESULT]))
    assert [("native" in message) for message in request.messages] == [False, True, True, False]


def test_thinking_is_reasoning_with_its_signature_and_no_content():
    (_, message) = read(user("hi"), assistant(THOUGHT, text("hello"))).messages
    assert (message["content"], message["reasoning_content"]) == ("hello", "hmm")
    assert message["thinking_blocks"] == [THOUGHT]
    assert project(message) == project({"role": "assistant", "content": "hello"})


def test_an_image_is_a_chat_image():
    (message,) = read(user([IMAGE, {"type": "image", "source": {"type": "url", "url": "http://x/y.png"}}])).messages
    assert [part["image_url"]["url"] for part in message["content"]] == ["data:image/png;base64,QQ==", "http://x/y.png"]


def test_tools_and_their_choice_are_those_of_a_chat():
    tool = {"name": "f", "description": "d", "input_schema": {"type": "object"}, "cache_control": {"type": "ephemeral"}}
    request = read(
        user("hi"),
        tools=[tool, {"type": "web_search_20250305", "name": "web_search"}],
        tool_choice={"type": "any", "disable_parallel_tool_use": True},
    )
    function, hosted = request.tools["tools"]
    assert function["function"] == {"name": "f", "description": "d", "parameters": {"type": "object"}}
    assert hosted == {"type": "web_search_20250305", "name": "web_search"}
    assert (request.tools["tool_choice"], request.tools["parallel_tool_calls"]) == ("required", False)
    assert "native" not in request.other


def test_settings_have_the_names_that_a_chat_has():
    request = read(user("hi"), stop_sequences=["END"], stream=True, metadata={"user_id": "u"}, temperature=0.5)
    assert parse_json(json.dumps(request.sampling["stop"])) == ["END"]
    assert set(request.sampling) == {"max_tokens", "temperature", "stop"}
    assert request.other == {"stream": True, "metadata": {"user_id": "u"}}
    assert request.streamed


def test_a_replay_that_edits_a_message_is_not_overruled_by_what_was_kept():
    request = read(user("go"), user([text("before"), RESULT]), stop_sequences=None, tools=[{"name": "f", "x": 1}])
    edited = replace(request, messages=[*request.messages[:-1], user("something else")])
    body = parse_json(ANTHROPIC.body(edited))
    assert body["messages"][-1] == user([RESULT, text("something else")])
    assert "before" not in json.dumps(body)


def test_a_request_can_be_asked_of_a_chat_endpoint():
    request = read(user("go"), assistant(THOUGHT, text("x"), {**CALL, "caller": 1}), user([RESULT]), metadata={})
    body = parse_json(as_chat(request).body())
    assert [set(message) for message in body["messages"]] == [
        {"role", "content"},
        {"role", "content", "reasoning_content", "tool_calls"},
        {"role", "tool_call_id", "content", "is_error"},
    ]
    assert set(body["messages"][1]["tool_calls"][0]) == {"id", "type", "function"}


@pytest.mark.parametrize("messages", [None, [], {}, "hi"])
def test_a_request_without_messages_is_refused(messages):
    with pytest.raises(CorruptEventError, match="no list of messages"):
        ANTHROPIC.read_request(json.dumps({"messages": messages}).encode())


# Answers


def test_a_whole_answer_is_one_chat_choice():
    answer = whole(text("hello"), CALL, stop="tool_use", usage={"input_tokens": 3, "output_tokens": 4})
    (choice,) = answer.choices
    assert (choice.message["content"], choice.finish_reason) == ("hello", "tool_calls")
    assert choice.message["tool_calls"][0]["function"] == {"name": "f", "arguments": '{"a":"x","b":1.0}'}
    assert (answer.model, answer.rest["id"], answer.usage) == ("claude", "msg", {"input_tokens": 3, "output_tokens": 4})


@pytest.mark.parametrize(
    ("stop", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("pause_turn", "pause_turn"),
        (None, None),
    ],
)
def test_why_it_stopped_is_said_in_the_words_of_a_chat_and_kept_in_its_own(stop, finish):
    (choice,) = whole(text("x"), stop=stop).choices
    assert choice.finish_reason == finish
    assert choice.rest.get("stop_reason") == stop


def test_an_error_body_is_an_error_without_an_answer():
    error = {"type": "overloaded_error", "message": "Overloaded"}
    answer = ANTHROPIC.read_answer(json.dumps({"type": "error", "error": error}).encode(), "application/json")
    assert (answer.error, answer.choices) == (error, [])


def test_a_stream_gives_what_the_whole_answer_gives():
    blocks = [THOUGHT, text("hello"), CALL]
    streamed = stream(
        START,
        {"type": "ping"},
        *block(0, {"type": "thinking", "thinking": "", "signature": ""})[:1],
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "h"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "mm"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "s"}},
        *block(1, text(""), {"type": "text_delta", "text": "hel"}, {"type": "text_delta", "text": "lo"}),
        *block(
            2,
            {**CALL, "input": {}},
            {"type": "input_json_delta", "partial_json": ""},
            {"type": "input_json_delta", "partial_json": '{"b": 1.0, '},
            {"type": "input_json_delta", "partial_json": '"a": "x"}'},
        ),
        end("tool_use"),
        STOP,
    )
    assert streamed.choices[0].message == whole(*blocks, stop="tool_use").choices[0].message
    assert (streamed.choices[0].finish_reason, streamed.done, streamed.error) == ("tool_calls", True, None)
    assert streamed.usage == {"input_tokens": 7, "cache_read_input_tokens": 2, "output_tokens": 5}
    assert streamed.model == "claude"


def test_a_call_without_arguments_has_empty_ones():
    (choice,) = stream(START, *block(0, {**CALL, "input": {}}), end("tool_use"), STOP).choices
    assert choice.message["tool_calls"][0]["function"]["arguments"] == "{}"


def test_a_stream_that_was_cut_gives_what_came():
    answer = stream(
        START,
        *block(0, text(""), {"type": "text_delta", "text": "hel"}),
        *block(1, {**CALL, "input": {}}, {"type": "input_json_delta", "partial_json": '{"a": "x'})[:2],
    )
    (choice,) = answer.choices
    assert (choice.message["content"], choice.finish_reason, answer.done) == ("hel", None, False)
    assert choice.message["tool_calls"][0]["function"]["arguments"] == '{"a": "x'
    assert json.dumps(choice.message)


def test_an_error_in_a_stream_is_kept_with_what_came_before():
    error = {"type": "overloaded_error", "message": "Overloaded"}
    answer = stream(START, *block(0, text("a")), {"type": "error", "error": error})
    assert (answer.error, answer.done, answer.choices[0].message["content"]) == (error, False, "a")


def test_a_stream_of_an_error_alone_is_no_answer():
    answer = stream({"type": "error", "error": {"type": "x"}})
    assert (answer.choices, answer.error) == ([], {"type": "x"})


def test_what_a_tool_of_the_server_did_stays_in_the_content():
    found = {"type": "web_search_tool_result", "tool_use_id": "s", "content": [{"type": "web_search_result"}]}
    used = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "x"}}
    streamed = stream(
        START,
        *block(0, {**used, "input": {}}, {"type": "input_json_delta", "partial_json": '{"query": "x"}'}),
        *block(1, found),
        *block(2, text("", citations=None), {"type": "text_delta", "text": "it is"}),
        *block(2, text("it is"), {"type": "citations_delta", "citation": {"url": "u"}})[1:],
        end(),
        STOP,
    )
    assert streamed.choices[0].message["content"] == [used, found, text("it is", citations=[{"url": "u"}])]


def test_tokens_read_from_a_cache_count_as_read():
    assert tokens({"input_tokens": 7, "cache_read_input_tokens": 2, "cache_creation_input_tokens": 1}) == Tokens(
        10, None, 2
    )
    assert tokens({"prompt_tokens": 7, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 2}}) == (
        Tokens(7, 3, 2)
    )
    assert tokens({"input_tokens": 7, "output_tokens": 3, "input_tokens_details": {"cached_tokens": 2}}) == Tokens(
        7, 3, 2
    )
    assert tokens({"input_tokens": True, "output_tokens": -1}) == Tokens(None, None, None)
