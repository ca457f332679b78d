"""Streams of the Messages and Responses APIs, as servers send them that number or name their pieces otherwise."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regraft.domain.capture.dialects import MESSAGES, RESPONSES, dialect_of

START = {"type": "message_start", "message": {"id": "msg", "role": "assistant", "model": "c", "content": []}}
END = [{"type": "message_delta", "delta": {"stop_reason": "tool_use"}}, {"type": "message_stop"}]
TEXT = {"type": "text", "text": ""}
ARGUMENTS = '{"city": "Oslo"}'


def stream(dialect, *events):
    body = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)
    (choice,) = dialect_of(dialect).read_answer(body.encode(), "text/event-stream").choices
    return choice


def messages(*events):
    return stream(MESSAGES, START, *events, *END)


def tool(name):
    return {"type": "tool_use", "id": f"toolu_{name}", "name": name, "input": {}}


def start(index, block):
    return {"type": "content_block_start", "content_block": block, **({} if index is None else {"index": index})}


def piece(index, kind, text):
    keys = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}
    delta = {"type": kind, keys.get(kind, "content"): text}
    return {"type": "content_block_delta", "delta": delta, **({} if index is None else {"index": index})}


def said(choice):
    calls = [(each["function"]["name"], each["function"]["arguments"]) for each in choice.message["tool_calls"]]
    return choice.message["content"], calls, choice.unattributed


WHOLE = ("Let me look.", [("weather", '{"city":"Oslo"}'), ("time", '{"tz":"CET"}')], [])


@pytest.mark.parametrize("indexes", [(0, 1, 2), (0, 0, 0), (None, None, None), (1, 2, 3)])
def test_blocks_are_told_apart_however_they_are_numbered(indexes):
    a, b, c = indexes
    choice = messages(
        start(a, TEXT),
        piece(a, "text_delta", "Let me "),
        piece(a, "text_delta", "look."),
        start(b, tool("weather")),
        piece(b, "input_json_delta", ARGUMENTS[:7]),
        piece(b, "input_json_delta", ARGUMENTS[7:]),
        start(c, tool("time")),
        piece(c, "input_json_delta", '{"tz":"CET"}'),
    )
    assert said(choice) == WHOLE


def test_a_start_told_again_opens_no_second_call():
    again = [start(1, tool("weather")), start(1, tool("weather")), piece(1, "input_json_delta", "{}")]
    assert said(messages(*again))[1] == [("weather", "{}")]


def test_arguments_said_whole_again_are_said_once():
    choice = messages(start(0, tool("f")), *[piece(0, "input_json_delta", ARGUMENTS)] * 2)
    assert said(choice)[1:] == ([("f", '{"city":"Oslo"}')], [])


STRAY = {
    "arguments of a call that never began": [piece(4, "input_json_delta", ARGUMENTS)],
    "text for a call": [start(0, tool("f")), piece(0, "text_delta", "hm")],
    "a piece of a kind that nobody knows": [start(0, TEXT), piece(0, "hologram_delta", "x")],
    "another message in the same stream": [start(0, TEXT), {**START, "message": {**START["message"], "id": "other"}}],
    "two objects for one call": [start(0, tool("f")), *(piece(0, "input_json_delta", f'{{"a":{n}}}') for n in (1, 2))],
}


@pytest.mark.parametrize("events", STRAY.values(), ids=STRAY.keys())
def test_a_piece_without_a_place_is_kept_and_makes_the_answer_unsure(events):
    assert messages(*events).unattributed


def test_a_text_of_a_new_kind_of_block_runs_on():
    summary = {"type": "compaction", "content": ""}
    choice = messages(start(0, summary), piece(0, "compaction_delta", "In "), piece(0, "compaction_delta", "short."))
    assert choice.message["content"] == [{"type": "compaction", "content": "In short."}]
    assert choice.unattributed == []


def cut(data, text):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=4)))
    return [text[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]


@given(
    st.data(), st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=3), st.sampled_from(["own", "0", "no"])
)
def test_a_message_cut_anywhere_is_the_whole_one(data, texts, numbers):
    events, blocks = [], []
    for at, text in enumerate(texts):
        index = {"own": at, "0": 0, "no": None}[numbers]
        arguments = json.dumps({"text": text})
        events += [start(index, TEXT), *(piece(index, "text_delta", each) for each in cut(data, text))]
        last = index if numbers != "own" else at + len(texts)
        events += [
            start(last, tool(f"f{at}")),
            *(piece(last, "input_json_delta", each) for each in cut(data, arguments)),
        ]
        blocks += [{"type": "text", "text": text}, {**tool(f"f{at}"), "input": {"text": text}}]
    if numbers == "own":
        blocks = blocks[::2] + blocks[1::2]
    body = json.dumps({**START["message"], "content": blocks, "stop_reason": "tool_use"})
    (whole,) = dialect_of(MESSAGES).read_answer(body.encode(), "application/json").choices
    assert messages(*events).message == whole.message


# Responses


CREATED = {"type": "response.created", "response": {"id": "r", "status": "in_progress", "output": []}}
DONE = {"type": "response.completed", "response": {"id": "r", "status": "completed", "output": []}}


def call(name):
    return {"type": "function_call", "id": f"fc_{name}", "call_id": f"call_{name}", "name": name, "arguments": ""}


def item(index, of, step="added"):
    event = {"type": f"response.output_item.{step}", "item": of}
    return event if index is None else {**event, "output_index": index}


def arguments(index, identity, text):
    event = {"type": "response.function_call_arguments.delta", "delta": text}
    return {
        **event,
        **({} if index is None else {"output_index": index}),
        **({} if identity is None else {"item_id": identity}),
    }


def calls_of(*events):
    choice = stream(RESPONSES, CREATED, *events, DONE)
    found = [(each["id"], each["function"]["arguments"]) for each in choice.message["tool_calls"]]
    return found, choice.unattributed


@pytest.mark.parametrize(
    ("indexes", "named"), [((0, 1), True), ((0, 0), True), ((None, None), True), ((0, 1), False), ((0, 0), False)]
)
def test_items_are_told_apart_by_place_and_id(indexes, named):
    a, b = indexes
    first, second = ("fc_f", "fc_g") if named else (None, None)
    events = [
        item(a, call("f")),
        arguments(a, first, '{"x"'),
        arguments(a, first, ":1}"),
        item(b, call("g")),
        arguments(b, second, '{"y":2}'),
    ]
    assert calls_of(*events) == ([("call_f", '{"x":1}'), ("call_g", '{"y":2}')], [])


def test_pieces_with_an_id_that_no_item_has_go_to_the_item_of_their_place():
    events = [item(0, call("f")), arguments(0, "fc_other", '{"x":1}')]
    assert calls_of(*events) == ([("call_f", '{"x":1}')], [])


def test_an_item_that_ends_under_another_id_is_one_item():
    whole = {**call("f"), "id": "fc_new", "arguments": '{"x":1}'}
    assert calls_of(item(0, call("f")), arguments(0, "fc_f", '{"x"'), item(0, whole, "done"))[0] == [
        ("call_f", '{"x":1}')
    ]


def test_whole_items_without_id_and_place_are_as_many_items():
    items = [{**call(name), "arguments": "{}", "id": None} for name in "fg"]
    assert calls_of(*(item(None, each, "done") for each in items))[0] == [("call_f", "{}"), ("call_g", "{}")]


def test_a_piece_for_an_item_of_another_type_is_kept():
    stray = {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "x"}
    assert calls_of(item(0, call("f")), stray)[1] == [stray]


@pytest.mark.parametrize(
    ("document", "finish", "error"),
    [
        ({"status": "failed"}, None, {"status": "failed"}),
        ({"status": "hibernating"}, "hibernating", None),
        ({"status": "incomplete"}, "incomplete", None),
        ({"status": "complete"}, "stop", None),
        ({}, "stop", None),
    ],
)
def test_the_state_of_a_response_is_its_ending(document, finish, error):
    text = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "a"}]}
    body = json.dumps({"output": [text], **document}).encode()
    answer = dialect_of(RESPONSES).read_answer(body, "application/json")
    assert (answer.choices[0].finish_reason, answer.error) == (finish, error)
