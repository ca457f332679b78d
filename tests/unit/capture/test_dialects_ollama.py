"""Ollama's own API in the chat form, and back."""

from __future__ import annotations

import json

import pytest

from regraft.domain.capture.dialects import OLLAMA_CHAT, OLLAMA_GENERATE, dialect_of
from regraft.domain.errors import CorruptEventError
from regraft.domain.ids import parse_json

CALL = {"function": {"name": "weather", "arguments": {"city": "Rome", "days": 2}}}


def lines(*pieces):
    return b"".join(json.dumps(piece).encode() + b"\n" for piece in pieces)


def test_a_chat_request_is_read_into_the_chat_form_and_given_again():
    document = {
        "model": "qwen3",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Weather?", "images": ["aGk="]},
            {"role": "assistant", "content": "", "thinking": "hm", "tool_calls": [CALL]},
            {"role": "tool", "content": "sunny", "tool_name": "weather"},
        ],
        "tools": [{"type": "function", "function": {"name": "weather", "parameters": {}}}],
        "options": {"temperature": 0.5, "num_predict": 10},
        "stream": False,
    }
    dialect = dialect_of(OLLAMA_CHAT)
    request = dialect.read_request(json.dumps(document).encode())
    assert request.model == "qwen3"
    asked = request.messages[2]
    assert asked["reasoning_content"] == "hm"
    assert asked["tool_calls"][0]["function"]["arguments"] == '{"city":"Rome","days":2}'
    assert set(request.tools) == {"tools"}
    assert parse_json(dialect.body(request)) == parse_json(json.dumps(document))


def test_lines_of_an_answer_are_one_message():
    body = lines(
        {"model": "qwen3", "message": {"role": "assistant", "content": "", "thinking": "let "}, "done": False},
        {"model": "qwen3", "message": {"role": "assistant", "content": "", "thinking": "me"}, "done": False},
        {"model": "qwen3", "message": {"role": "assistant", "content": "It is "}, "done": False},
        {"model": "qwen3", "message": {"role": "assistant", "content": "sunny", "tool_calls": [CALL]}, "done": False},
        {"model": "qwen3", "message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "length",
         "prompt_eval_count": 7, "eval_count": 3, "total_duration": 9},
    )  # fmt: skip
    answer = dialect_of(OLLAMA_CHAT).read_answer(body, "application/x-ndjson")
    (choice,) = answer.choices
    assert choice.message == {
        "role": "assistant",
        "content": "It is sunny",
        "reasoning_content": "let me",
        "tool_calls": [{"function": {"name": "weather", "arguments": '{"city":"Rome","days":2}'}}],
    }
    assert (choice.finish_reason, answer.done, answer.model) == ("length", True, "qwen3")
    assert answer.usage == {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    assert answer.rest == {"total_duration": 9}


def said(role, content, **more):
    return {"model": "qwen3", "message": {"role": role, "content": content}, "done": False, **more}


FOREIGN = {
    "a proxy that asked again": (
        [
            said("assistant", "a"),
            said("assistant", "", done=True),
            said("assistant", "b"),
            said("assistant", "", done=True),
        ],
        "a",
    ),
    "a tool that speaks in between": (
        [said("assistant", "a"), said("tool", "b"), said("assistant", "c", done=True)],
        "ac",
    ),
    "nothing but a tool": ([said("tool", "b", done=True)], None),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_words_of_another_answer_or_speaker_make_it_ambiguous(name):
    pieces, content = FOREIGN[name]
    (choice,) = dialect_of(OLLAMA_CHAT).read_answer(lines(*pieces), "application/x-ndjson").choices
    assert (choice.message or {}).get("content") == content
    assert [each["content"] for each in choice.unattributed] == ["b"]


def test_generated_words_after_the_end_make_the_answer_ambiguous():
    body = lines({"response": "a", "done": True}, {"response": "b", "done": True}, {"response": "", "done": True})
    (choice,) = dialect_of(OLLAMA_GENERATE).read_answer(body, "application/x-ndjson").choices
    assert choice.message["content"] == "a"
    assert [each["response"] for each in choice.unattributed] == ["b"]


def test_an_answer_that_was_cut_is_not_done():
    body = lines({"model": "m", "message": {"role": "assistant", "content": "half"}, "done": False})
    answer = dialect_of(OLLAMA_CHAT).read_answer(body, "application/x-ndjson")
    assert (answer.done, answer.choices[0].finish_reason) == (False, None)


def test_an_error_among_the_lines_is_the_answers_error():
    body = lines({"message": {"content": "a"}, "done": False}, {"error": "out of memory"})
    assert dialect_of(OLLAMA_CHAT).read_answer(body, "application/x-ndjson").error == "out of memory"
    broken = lines({"message": {"content": "a"}, "done": False}) + b'{"mess'
    assert dialect_of(OLLAMA_CHAT).read_answer(broken, "application/x-ndjson").unread == ['{"mess']


def test_a_generate_call_is_a_conversation_of_one_question():
    document = {"model": "m", "system": "Be brief.", "prompt": "Why?", "stream": False, "options": {"seed": 1}}
    dialect = dialect_of(OLLAMA_GENERATE)
    request = dialect.read_request(json.dumps(document).encode())
    assert [(each["role"], each["content"]) for each in request.messages] == [("system", "Be brief."), ("user", "Why?")]
    assert parse_json(dialect.body(request)) == document
    answer = dialect.read_answer(b'{"model":"m","response":"So.","done":true,"done_reason":"stop"}', "application/json")
    assert answer.choices[0].message == {"role": "assistant", "content": "So."}
    assert answer.done is None
    assert dialect.read_request(b'{"model":"m"}').messages == []


def test_what_is_no_request_of_ollamas_is_refused():
    for body in (b"[]", b"{}", b'{"messages":"x"}'):
        with pytest.raises(CorruptEventError):
            dialect_of(OLLAMA_CHAT).read_request(body)
    assert dialect_of(OLLAMA_CHAT).read_answer(b"<html>", "text/html").error
