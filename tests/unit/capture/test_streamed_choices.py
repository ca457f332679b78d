"""Choices and events of an answer: whole bodies and streams in odd forms, distinguished, joined, or kept as unsure."""

from __future__ import annotations

import json

import pytest

from regraft.domain.capture.answer import read_answer
from regraft.domain.capture.dialects import CHAT, dialect_of
from regraft.domain.capture.request import read_request
from support.streamed_answer import JSON, SSE, WORDS, choice_of

ASKED = {"messages": [{"role": "user", "content": "?"}]}


def split(*messages, **more):
    body = {"choices": [{"index": at, "message": each, "finish_reason": "tool_calls"} for at, each in messages]}
    return dialect_of(CHAT).answer(json.dumps(body).encode(), JSON, read_request(json.dumps(ASKED | more).encode()))


def a_call(name):
    return {"id": name, "type": "function", "function": {"name": name, "arguments": "{}"}}


SAID = {"role": "assistant", "content": "I look."}


CALLS = {"role": "assistant", "content": None, "tool_calls": [a_call("f")]}


MORE = {"role": "assistant", "content": "", "tool_calls": [a_call("g")]}


@pytest.mark.parametrize("numbers", [(0, 1, 2), (0, 0, 0)])
def test_text_and_calls_in_a_choice_each_are_one_answer(numbers):
    (choice,) = split(*zip(numbers, (SAID, CALLS, MORE), strict=True)).choices
    assert choice.message == {**SAID, "tool_calls": [a_call("f"), a_call("g")]}
    assert (choice.index, choice.finish_reason, choice.unattributed) == (0, "tool_calls", [])


def test_choices_of_a_chunk_without_numbers_are_told_apart_by_their_place():
    pieces = [[{"delta": {"content": "I "}}, {"delta": {"tool_calls": [{"index": 0, **a_call("f")}]}}]]
    pieces += [[{"delta": {"content": "look."}}], [{"delta": {}, "finish_reason": "tool_calls"}]]
    body = "".join(f"data: {json.dumps({'choices': choices})}\n\n" for choices in pieces)
    asked = read_request(json.dumps(ASKED).encode())
    (choice,) = dialect_of(CHAT).answer(body.encode(), SSE, asked).choices
    assert choice.message == {**SAID, "tool_calls": [a_call("f")]}


def test_choices_whose_numbers_are_texts_are_told_apart():
    chunk = {"choices": [{"index": str(number), "delta": {"content": text}} for number, text in enumerate("ab")]}
    answer = read_answer(f"data: {json.dumps(chunk)}\n\n".encode(), SSE)
    assert [(choice.index, choice.message["content"]) for choice in answer.choices] == [(0, "a"), (1, "b")]


def test_two_texts_of_one_number_in_one_chunk_are_unsure():
    chunk = {"choices": [{"index": 0, "delta": {"content": text}} for text in ("yes", "no")]}
    (choice,) = read_answer(f"data: {json.dumps(chunk)}\n\n".encode(), SSE).choices
    assert choice.unattributed == [{"delta": {"content": "no"}}]


@pytest.mark.parametrize(
    ("ids", "unsure"),
    [("aabb", [{"ids": ["a", "b"]}]), ("aaaa", []), ("abcd", []), ("abbb", []), ("abab", []), ("aaab", [])],
)
def test_two_answers_in_one_stream_are_noticed_by_their_ids(ids, unsure):
    chunks = [{"id": each, "choices": [{"delta": {"content": word}}]} for each, word in zip(ids, WORDS, strict=False)]
    (choice,) = read_answer("".join(f"data: {json.dumps(each)}\n\n" for each in chunks).encode(), SSE).choices
    assert choice.unattributed == unsure


def test_choices_that_were_asked_for_are_alternatives():
    assert len(split((0, SAID), (1, CALLS), n=2).choices) == 2


def test_choices_with_two_texts_and_a_call_are_unsure():
    found = split((0, SAID), (1, {**CALLS, "content": "Another."})).choices
    assert len(found) == 2
    assert all(choice.unattributed for choice in found)


def test_two_legacy_calls_are_unsure():
    found = choice_of(*({"delta": {"function_call": {"name": name, "arguments": "{}"}}} for name in "fg"))
    assert found.message["function_call"] == {"name": "f", "arguments": "{}"}
    assert found.unattributed == [{"function_call": {"name": "g", "arguments": "{}"}}]


def test_one_call_that_is_no_list_is_a_call():
    found = choice_of({"delta": {"tool_calls": {"index": 0, **a_call("f")}}})
    assert found.message["tool_calls"] == [a_call("f")]


# Events


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ('{"object":"error","message":"no"}', {"message": "no"}),
        ('{"choices":[{"message":{"content":"a"},"error":{"code":502}}]}', {"code": 502}),
    ],
)
def test_an_error_in_a_whole_body_is_found_whatever_its_form(body, error):
    assert read_answer(body.encode(), JSON).error == error


def test_chunks_of_a_line_each_are_a_stream():
    body = b'{"choices":[{"delta":{"content":"a"}}]}\n{"choices":[{"delta":{"content":"b"},"finish_reason":"stop"}]}\n'
    (choice,) = read_answer(body, "application/x-ndjson").choices
    assert (choice.message["content"], choice.finish_reason) == ("ab", "stop")


def test_events_without_a_blank_line_between_them_are_read():
    body = (
        b'data: {"choices":[{"delta":{"content":"a"}}]}\ndata: {"choices":[{"delta":{"content":"b"}}]}\ndata: [DONE]\n'
    )
    answer = read_answer(body, SSE)
    assert (answer.choices[0].message["content"], answer.done, answer.unread) == ("ab", True, [])


def test_an_event_that_is_a_broken_object_is_kept():
    body = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\ndata: {"choices":[{"delta":{"con\n\ndata: [DONE]\n\n'
    assert read_answer(body, SSE).unread == ['{"choices":[{"delta":{"con']


@pytest.mark.parametrize(
    ("event", "error"),
    [
        ('event: error\ndata: {"message":"overloaded"}', {"message": "overloaded"}),
        ('data: {"object":"error","message":"bad","code":400}', {"message": "bad", "code": 400}),
        ('data: [{"error":{"code":503}}]', {"code": 503}),
        ('data: {"choices":[{"index":0,"delta":{},"error":{"code":502},"finish_reason":"error"}]}', {"code": 502}),
        ("data: [ERROR] engine died", {"message": "[ERROR] engine died"}),
        ('data: {"error":"overloaded"}', "overloaded"),
    ],
)
def test_an_error_inside_a_stream_is_found_whatever_its_form(event, error):
    body = 'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n' + event + "\n\ndata: [DONE]\n\n"
    assert read_answer(body.encode(), SSE).error == error


def test_a_whole_body_that_calls_itself_a_stream_is_read():
    body = b'{"choices":[{"index":0,"message":{"role":"assistant","content":"x"},"finish_reason":"stop"}]}'
    assert read_answer(body, SSE).choices[0].message["content"] == "x"
