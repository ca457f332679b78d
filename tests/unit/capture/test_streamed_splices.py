"""Words of another answer, or of another speaker, in a stream are never joined to the answer without a mark."""

from __future__ import annotations

import json

import pytest

from regraft.domain.capture.answer import read_answer
from regraft.domain.capture.dialects import dialect_of

DONE = "data: [DONE]\n\n"


def chunk(delta, identity="c", reason=None, **more):
    return {"id": identity, "choices": [{"index": 0, "delta": delta, "finish_reason": reason, **more}]}


def stream(*chunks):
    return "".join(f"data: {json.dumps(each)}\n\n" for each in chunks) + DONE


def read(body):
    (choice,) = read_answer(body.encode(), "text/event-stream").choices
    return choice.message["content"], bool(choice.unattributed)


SPLICED = {
    "a proxy that asked again after the end of the stream": stream(chunk({"content": "half"}))
    + stream(chunk({"role": "assistant", "content": "whole"}), chunk({"content": " answer"}, reason="stop")),
    "a proxy that asked again after the first chunk": stream(
        chunk({"role": "assistant", "content": "Hel"}),
        chunk({"role": "assistant", "content": "Hello"}, "d"),
        chunk({"content": " you"}, "d", "stop"),
    ),
    "a tool that speaks in between": stream(
        chunk({"role": "assistant", "content": "I look. "}),
        chunk({"role": "tool", "content": "7 degrees"}),
        chunk({"content": " and rain"}),
        chunk({"role": "assistant", "content": "It rains."}, reason="stop"),
    ),
}


@pytest.mark.parametrize("name", SPLICED)
def test_an_answer_that_holds_words_of_another_one_is_ambiguous(name):
    content, unsure = read(SPLICED[name])
    assert unsure
    assert "whole" not in content
    assert "degrees" not in content
    assert "rain" not in content.replace("It rains.", "")


WHOLE = {
    "the role in every chunk": stream(*(chunk({"role": "assistant", "content": each}) for each in ("a", "b", "c"))),
    "an id of its own for every chunk": stream(
        *(chunk({"role": "assistant", "content": each}, each) for each in ("a", "b", "c"))
    ),
    "an id of its own for each of two chunks": stream(
        chunk({"role": "assistant", "content": "ab"}, "1"), chunk({"role": "assistant", "content": "c"}, "2")
    ),
    "an empty role": stream(chunk({"role": "assistant", "content": "ab"}), chunk({"role": "", "content": "c"})),
    "the end said twice": stream(chunk({"role": "assistant", "content": "abc"}, reason="stop")) + DONE,
    "usage after the end": stream(chunk({"role": "assistant", "content": "abc"}))
    + stream({"choices": [], "usage": {}}),
    "lines without blank lines between them": stream(
        chunk({"role": "assistant", "content": "ab"}), chunk({"role": "assistant", "content": "c"})
    ).replace("\n\n", "\n"),
    "text in place of a delta": stream(
        {"choices": [{"index": 0, "text": "ab"}]}, {"choices": [{"index": 0, "text": "c", "finish_reason": "stop"}]}
    ),
}


@pytest.mark.parametrize("name", WHOLE)
def test_an_answer_that_a_server_sends_in_its_own_way_is_whole_and_certain(name):
    assert read(WHOLE[name]) == ("abc", False)


def test_text_in_place_of_a_message_is_the_answer():
    body = {"choices": [{"index": 0, "text": "abc", "finish_reason": "stop"}]}
    (choice,) = read_answer(json.dumps(body).encode(), "application/json").choices
    assert choice.message == {"role": "assistant", "content": "abc"}
    assert "text" not in choice.rest


def events(*found):
    return "".join(f"event: {each['type']}\ndata: {json.dumps(each)}\n\n" for each in found).encode()


def unsure(endpoint, *found):
    (choice,) = dialect_of(endpoint).read_answer(events(*found), "text/event-stream").choices
    return bool(choice.unattributed)


def test_a_message_that_begins_after_the_end_of_one_makes_an_anthropic_stream_ambiguous():
    one = [
        {"type": "message_start", "message": {"id": "m", "role": "assistant", "content": []}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "half"}},
        {"type": "message_stop"},
    ]
    assert not unsure("/v1/messages", *one)
    assert unsure("/v1/messages", *one, *one)


def piece(text):
    return {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "item_id": "i", "delta": text}


def response(kind, identity="r", *texts):
    output = [{"type": "message", "content": [{"type": "output_text", "text": each}]} for each in texts]
    return {"type": f"response.{kind}", "response": {"id": identity, "status": "completed", "output": output}}


def test_a_response_that_ends_with_other_words_than_it_had_said_is_ambiguous():
    assert unsure("/v1/responses", response("created"), piece("one thing"), response("completed", "r", "another"))
    for whole in ("one thing", "one thing\n", "one thing more"):
        assert not unsure("/v1/responses", response("created"), piece("one thing"), response("completed", "r", whole))


def test_a_second_response_in_a_stream_makes_it_ambiguous():
    assert unsure("/v1/responses", response("created"), piece("half"), response("created", "s"), piece("whole"))
