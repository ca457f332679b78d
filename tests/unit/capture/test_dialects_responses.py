"""Items and events of the Responses API are the same chat messages that any other dialect gives."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from regraft.domain.capture.dialects import RESPONSES, as_chat, dialect_of
from regraft.domain.capture.dialects.responses import with_history
from regraft.domain.errors import CorruptEventError
from regraft.domain.ids import parse_json
from regraft.domain.lineage.projection import project

DIALECT = dialect_of(RESPONSES)
USER = {"role": "user", "content": "weather?"}
REASONING = {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "hmm"}]}
CALL = {
    "type": "function_call",
    "id": "fc",
    "call_id": "c1",
    "name": "f",
    "arguments": '{"a":1}',
    "status": "completed",
}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "sunny"}


def words(text, identity="msg", **more):
    part = {"type": "output_text", "text": text, "annotations": []}
    return {"type": "message", "id": identity, "role": "assistant", "status": "completed", "content": [part]} | more


def read(given, **settings):
    return DIALECT.read_request(json.dumps({"model": "gpt", "input": given, **settings}).encode())


def body(request):
    return parse_json(DIALECT.body(request))


def whole(*output, status="completed", **more):
    document = {"id": "resp_1", "object": "response", "model": "gpt", "status": status, "output": list(output), **more}
    return DIALECT.read_answer(json.dumps(document).encode(), "application/json")


def stream(*events):
    lines = (f"event: {each['type']}\ndata: {json.dumps(each)}\n\n" for each in events)
    return DIALECT.read_answer("".join(lines).encode(), "text/event-stream")


def response(kind="response.created", status="in_progress", **more):
    return {"type": kind, "response": {"id": "resp_1", "model": "gpt", "status": status, "output": [], **more}}


def added(index, item, step="added"):
    return {"type": f"response.output_item.{step}", "output_index": index, "item": item}


def delta(kind, text, index=0, **more):
    return {"type": f"response.{kind}.delta", "output_index": index, "delta": text, **more}


# Requests


def test_a_question_as_text_is_one_user_message():
    request = read("weather?")
    assert [project(message) for message in request.messages] == [project(USER)]
    assert body(request) == {"model": "gpt", "input": "weather?"}


def test_instructions_are_the_first_message_and_system_items_stay_items():
    request = read([{"role": "system", "content": "b"}, USER], instructions="a")
    assert [message["content"] for message in request.messages] == ["a", "b", "weather?"]
    assert body(request)["instructions"] == "a"
    assert body(read([{"role": "system", "content": "b"}, USER]))["input"][0] == {"role": "system", "content": "b"}


def test_a_call_and_its_output_are_the_messages_of_a_chat():
    request = read([USER, REASONING, words("let me see"), CALL, OUTPUT])
    assert [project(message) for message in request.messages] == [
        project(message)
        for message in (
            USER,
            {
                "role": "assistant",
                "content": "let me see",
                "tool_calls": [{"function": {"name": "f", "arguments": '{"a": 1}'}}],
            },
            {"role": "tool", "content": "sunny"},
        )
    ]
    assert request.messages[1]["reasoning_content"] == "hmm"
    assert request.messages[2]["tool_call_id"] == request.messages[1]["tool_calls"][0]["id"] == "c1"
    assert not any("native" in message for message in request.messages)


def test_parallel_calls_are_one_message():
    other = {**CALL, "call_id": "c2", "id": "fd"}
    request = read([USER, CALL, other, OUTPUT, {**OUTPUT, "call_id": "c2"}])
    assert [message["role"] for message in request.messages] == ["user", "assistant", "tool", "tool"]
    assert [call["id"] for call in request.messages[1]["tool_calls"]] == ["c1", "c2"]


def test_two_plain_answers_in_a_row_are_two_messages():
    said = [{"role": "assistant", "content": "a"}, {"role": "assistant", "content": "b"}]
    assert [message["content"] for message in read([USER, *said]).messages] == ["weather?", "a", "b"]


def test_parts_are_those_of_a_chat():
    parts = [
        {"type": "input_text", "text": "look"},
        {"type": "input_image", "image_url": "http://x/y.png", "detail": "low"},
        {"type": "input_file", "file_id": "file"},
    ]
    (message,) = read([{"role": "user", "content": parts}]).messages
    assert message["content"] == [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "http://x/y.png", "detail": "low"}},
        {"type": "input_file", "file_id": "file"},
    ]


def test_a_custom_tool_is_a_custom_call():
    made = {"type": "custom_tool_call", "call_id": "c", "name": "sql", "input": "SELECT 1"}
    came = {"type": "custom_tool_call_output", "call_id": "c", "output": "1"}
    request = read([USER, made, came])
    assert request.messages[1]["tool_calls"] == [
        {"id": "c", "type": "custom", "custom": {"name": "sql", "input": "SELECT 1"}}
    ]
    assert (request.messages[2]["role"], request.messages[2]["content"]) == ("tool", "1")


def test_tools_are_those_of_a_chat_and_settings_have_its_names():
    tool = {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": True, "defer_loading": True}
    request = read("hi", tools=[tool, {"type": "web_search"}], max_output_tokens=9, store=False, include=["x"])
    assert request.tools["tools"] == [
        {
            "type": "function",
            "function": {"name": "f", "parameters": {"type": "object"}, "strict": True},
            "defer_loading": True,
        },
        {"type": "web_search"},
    ]
    assert request.sampling == {"max_tokens": 9}
    assert request.other == {"store": False, "include": ["x"]}


def test_a_history_that_was_not_sent_is_in_the_messages_and_not_in_the_body():
    first = read("weather?", instructions="be brief")
    history = [*first.messages, {"role": "assistant", "content": "sunny"}]
    asked = read("and tomorrow?", instructions="be long", previous_response_id="resp_1")
    request = with_history(asked, history)
    assert [message["content"] for message in request.messages] == ["be long", "weather?", "sunny", "and tomorrow?"]
    assert body(request) == body(asked)
    assert request.previous_response == "resp_1"


def test_a_call_can_be_made_again_without_what_a_server_remembers():
    request = with_history(
        read("and tomorrow?", previous_response_id="resp_1", conversation={"id": "conv"}),
        [USER, {"role": "assistant", "content": "sunny"}],
    )
    assert request.conversation == "conv"
    alone = parse_json(DIALECT.standalone(request))
    assert [item["content"] for item in alone["input"]] == ["weather?", "sunny", "and tomorrow?"]
    assert not {"previous_response_id", "conversation", "native"} & alone.keys()


def test_a_replay_that_edits_a_message_is_not_overruled_by_what_was_kept():
    request = read([USER, CALL, words("after the call"), USER])
    assert "native" in request.messages[1]
    edited = replace(request, messages=[*request.messages[:-1], {"role": "user", "content": "something else"}])
    assert body(edited)["input"] == [USER, CALL, words("after the call"), {"role": "user", "content": "something else"}]
    answer = {**request.messages[1], "content": "other words"}
    assert "after the call" not in json.dumps(body(replace(request, messages=[USER, answer])))


def test_a_request_can_be_asked_of_a_chat_endpoint():
    request = read([USER, REASONING, words("x"), CALL, OUTPUT], previous_response_id="r", include=["x"])
    chat = parse_json(as_chat(request).body())
    assert not {"input", "previous_response_id", "include", "native"} & chat.keys()
    assert set(chat["messages"][1]) == {"role", "content", "reasoning_content", "tool_calls"}
    assert chat["messages"][1]["tool_calls"] == [
        {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    ]


@pytest.mark.parametrize("document", [{}, {"input": []}, {"input": None}, {"input": 5}, {"model": "m"}])
def test_a_request_that_asks_nothing_is_refused(document):
    with pytest.raises(CorruptEventError, match="neither input nor instructions"):
        DIALECT.read_request(json.dumps(document).encode())


# Answers


def test_a_whole_answer_is_one_chat_choice():
    usage = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}
    answer = whole(REASONING, words("sunny"), CALL, usage=usage, instructions="long", tools=[{}])
    (choice,) = answer.choices
    assert (choice.message["content"], choice.finish_reason) == ("sunny", "tool_calls")
    assert choice.message["reasoning_content"] == "hmm"
    assert choice.message["tool_calls"][0]["function"] == {"name": "f", "arguments": '{"a":1}'}
    assert (answer.model, answer.usage, answer.done) == ("gpt", usage, None)
    assert answer.rest == {"id": "resp_1", "object": "response", "status": "completed"}


def test_an_answer_resent_as_items_continues_the_conversation():
    said = whole(REASONING, words("sunny"), CALL).choices[0].message
    resent = read([USER, {k: v for k, v in words("sunny").items() if k != "id"}, CALL, OUTPUT]).messages[1]
    assert project(said) == project(resent)


@pytest.mark.parametrize(
    ("reason", "finish"), [("max_output_tokens", "length"), ("content_filter", "content_filter"), ("other", "other")]
)
def test_an_incomplete_answer_says_why(reason, finish):
    answer = whole(words("sun"), status="incomplete", incomplete_details={"reason": reason})
    assert answer.choices[0].finish_reason == finish


def test_a_refusal_is_no_content():
    part = {"type": "refusal", "refusal": "I can't."}
    (choice,) = whole({**words(""), "content": [part]}).choices
    assert (choice.message["content"], choice.message["refusal"]) == (None, "I can't.")


@pytest.mark.parametrize("status", ["queued", "in_progress"])
def test_an_answer_that_is_still_being_made_is_unfinished(status):
    answer = whole(status=status)
    assert (answer.done, answer.choices[0].finish_reason) == (False, None)


def test_a_failed_answer_is_an_error_without_an_answer():
    error = {"code": "server_error", "message": "no"}
    answer = whole(status="failed", error=error)
    assert (answer.error, answer.choices) == (error, [])


def test_an_error_body_is_an_error_without_an_answer():
    answer = DIALECT.read_answer(b'{"error": {"message": "no"}}', "application/json")
    assert (answer.error, answer.choices) == ({"message": "no"}, [])


DELTAS = [
    response(),
    added(0, {"type": "reasoning", "id": "rs", "summary": []}),
    {"type": "response.reasoning_summary_part.added", "output_index": 0, "summary_index": 0}
    | {"part": {"type": "summary_text", "text": ""}},
    delta("reasoning_summary_text", "h", summary_index=0),
    delta("reasoning_summary_text", "mm", summary_index=0),
    added(1, {**words(""), "content": [], "status": "in_progress"}),
    {"type": "response.content_part.added", "output_index": 1, "content_index": 0}
    | {"part": {"type": "output_text", "text": "", "annotations": []}},
    delta("output_text", "sun", 1, content_index=0),
    delta("output_text", "ny", 1, content_index=0),
    added(2, {**CALL, "arguments": "", "status": "in_progress"}),
    delta("function_call_arguments", '{"a"', 2),
    delta("function_call_arguments", ":1}", 2),
]
DONES = [added(0, REASONING, "done"), added(1, words("sunny"), "done"), added(2, CALL, "done")]
COMPLETED = response(
    "response.completed", "completed", output=[REASONING, words("sunny"), CALL], usage={"input_tokens": 1}
)


@pytest.mark.parametrize(
    "events",
    [
        pytest.param([*DELTAS, *DONES, COMPLETED], id="everything"),
        pytest.param([COMPLETED], id="only the end"),
        pytest.param([*DELTAS, *DONES, response("response.completed", "completed")], id="an end without output"),
    ],
)
def test_a_stream_gives_what_the_whole_answer_gives(events):
    answer = stream(*events)
    assert answer.choices == whole(REASONING, words("sunny"), CALL).choices
    assert (answer.done, answer.model, answer.rest["id"]) == (True, "gpt", "resp_1")


def test_deltas_alone_are_read_as_far_as_they_came():
    answer = stream(*DELTAS)
    (choice,) = answer.choices
    assert (choice.message["content"], choice.message["reasoning_content"]) == ("sunny", "hmm")
    assert choice.message["tool_calls"][0]["function"] == {"name": "f", "arguments": '{"a":1}'}
    assert (choice.finish_reason, answer.done) == (None, False)


def test_deltas_of_items_that_nobody_announced_are_read():
    answer = stream(delta("output_text", "sun", item_id="m"), delta("output_text", "ny", item_id="m"))
    assert answer.choices[0].message["content"] == "sunny"


def test_an_error_event_is_kept_with_what_came_before():
    answer = stream(*DELTAS[:8], {"type": "error", "code": "overloaded", "message": "no", "sequence_number": 9})
    assert answer.error == {"code": "overloaded", "message": "no"}
    assert (answer.choices[0].message["content"], answer.done) == ("sun", False)


def test_a_stream_that_failed_says_so_and_keeps_what_came():
    error = {"code": "server_error", "message": "no"}
    answer = stream(*DELTAS[:8], response("response.failed", "failed", error=error))
    assert (answer.error, answer.done) == (error, True)
    assert answer.choices[0].message["content"] == "sun"
    assert answer.choices[0].finish_reason is None


def test_an_incomplete_stream_ends_for_its_reason():
    ended = response("response.incomplete", "incomplete", incomplete_details={"reason": "max_output_tokens"})
    assert stream(*DELTAS[:8], ended).choices[0].finish_reason == "length"


def test_annotations_of_a_stream_belong_to_their_text():
    note = {"type": "url_citation", "url": "u"}
    annotated = {"type": "response.output_text.annotation.added", "output_index": 0, "content_index": 0}
    answer = stream(delta("output_text", "sunny", content_index=0), {**annotated, "annotation": note})
    assert answer.choices[0].message["item"]["part"] == {"annotations": [note]}


def test_an_empty_stream_is_an_answer_without_choices():
    answer = DIALECT.read_answer(b"", "text/event-stream")
    assert (answer.choices, answer.done, answer.error) == ([], False, None)


def test_what_a_hosted_tool_did_joins_also_when_a_client_leaves_it_out():
    searched = {"type": "web_search_call", "id": "ws", "status": "completed"}
    said = whole(searched, words("sunny")).choices[0].message
    assert said["content"][0] == searched
    assert project(said) == project({"role": "assistant", "content": "sunny"})
    asked = read([{"role": "user", "content": [searched]}]).messages[0]
    assert project(asked) != project({"role": "user", "content": ""})
