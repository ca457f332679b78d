"""Prompts and embeddings: what is a turn of a conversation becomes one, and what is none is counted."""

from __future__ import annotations

import json

import pytest

from regraft.domain.capture.dialects import CHAT, COMPLETIONS, EMBEDDINGS, dialect_of
from regraft.domain.errors import CorruptEventError
from regraft.domain.ids import parse_json

LEGACY = dialect_of(COMPLETIONS)
EMBED = dialect_of(EMBEDDINGS)


def ask(prompt, **more):
    return LEGACY.read_request(json.dumps({"model": "m", "prompt": prompt, **more}).encode())


@pytest.mark.parametrize("prompt", ["once", ["once"]])
def test_a_prompt_is_one_user_message(prompt):
    request = ask(prompt, max_tokens=7, user="u")
    assert request.messages == [{"role": "user", "content": "once"}]
    assert (request.sampling, request.other["user"]) == ({"max_tokens": 7}, "u")
    assert parse_json(LEGACY.body(request))["prompt"] == prompt


def test_a_prompt_of_tokens_is_one_message_of_them():
    assert ask([1, 2]).messages == [{"role": "user", "content": [{"type": "tokens", "tokens": [1, 2]}]}]


def test_several_prompts_are_no_turn_and_come_back():
    request = ask(["a", "b"])
    assert request.messages == []
    assert parse_json(LEGACY.body(request)) == {"model": "m", "prompt": ["a", "b"]}


def test_each_text_is_an_answer():
    choices = [{"text": "a", "index": 0, "finish_reason": "length", "logprobs": None}]
    choices.append({"text": "b", "index": 1, "finish_reason": "stop", "logprobs": {"tokens": ["b"]}})
    body = {"id": "cmpl", "model": "m", "choices": choices, "usage": {"prompt_tokens": 5}}
    answer = LEGACY.read_answer(json.dumps(body).encode(), "application/json")
    assert [(choice.message, choice.finish_reason) for choice in answer.choices] == [
        ({"role": "assistant", "content": "a"}, "length"),
        ({"role": "assistant", "content": "b"}, "stop"),
    ]
    assert answer.choices[1].rest == {"logprobs": {"tokens": ["b"]}}
    assert answer.usage == {"prompt_tokens": 5}


def test_a_stream_gives_what_the_whole_answer_gives():
    chunks = [
        {"model": "m", "choices": [{"text": "b", "index": 1, "finish_reason": None}]},
        {"model": "m", "choices": [{"text": "a", "index": 0}, {"text": "B", "index": 1, "finish_reason": "stop"}]},
        {"model": "m", "choices": [{"text": "", "index": 0, "finish_reason": "length"}], "usage": {"total_tokens": 2}},
    ]
    body = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
    answer = LEGACY.read_answer(body.encode(), "text/event-stream")
    assert [(choice.message["content"], choice.finish_reason) for choice in answer.choices] == [
        ("a", "length"),
        ("bB", "stop"),
    ]
    assert (answer.done, answer.usage) == (True, {"total_tokens": 2})


def test_embeddings_are_counted_and_not_kept():
    request = EMBED.read_request(json.dumps({"model": "e", "input": ["a", "b"], "dimensions": 2}).encode())
    assert (request.model, request.messages, request.sampling) == ("e", [], {"dimensions": 2})
    vectors = [{"object": "embedding", "index": n, "embedding": [0.5, 1.0]} for n in range(2)]
    body = {"object": "list", "model": "e-1", "data": vectors, "usage": {"prompt_tokens": 2, "total_tokens": 2}}
    answer = EMBED.read_answer(json.dumps(body).encode(), "application/json")
    assert (answer.choices, answer.model) == ([], "e-1")
    assert answer.usage == {"prompt_tokens": 2, "total_tokens": 2}
    assert answer.rest == {"object": "list", "vectors": 2, "dimensions": 2}


def test_an_endpoint_without_a_dialect_is_refused_by_name():
    assert dialect_of(CHAT).read_request(b'{"messages": [{"role": "user"}]}').messages
    with pytest.raises(CorruptEventError, match="/v1/audio"):
        dialect_of("/v1/audio")
