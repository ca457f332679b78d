"""Whole bodies and streams give the same messages, however a server cuts, frames or breaks them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regraft.domain.capture.answer import events, read_answer
from regraft.domain.ids import Number

SSE = "text/event-stream; charset=utf-8"
JSON = "application/json"


def chunk(delta=None, index=0, finish=None, **more):
    return {"model": "m", "choices": [{"index": index, "delta": delta or {}, "finish_reason": finish}], **more}


def stream(*chunks, done=True, end="\n"):
    lines = [f"data: {json.dumps(each)}" for each in chunks] + ["data: [DONE]"] * done
    return "".join(line + end * 2 for line in lines).encode()


def read(*chunks, done=True):
    return read_answer(stream(*chunks, done=done), SSE)


def message(*deltas):
    (choice,) = read(*map(chunk, deltas)).choices
    return choice.message


# Whole bodies


def test_a_whole_body_gives_its_choices_as_they_came():
    said = {"role": "assistant", "content": "4", "refusal": None, "annotations": []}
    body = {
        "id": "c",
        "model": "m",
        "system_fingerprint": "fp",
        "choices": [{"index": 1, "message": said, "finish_reason": "stop", "logprobs": {"content": []}}],
        "usage": {"prompt_tokens": 3},
    }
    answer = read_answer(json.dumps(body).encode(), JSON)
    (choice,) = answer.choices
    assert (choice.index, choice.message, choice.finish_reason) == (1, said, "stop")
    assert choice.rest == {"logprobs": {"content": []}}
    assert (answer.model, answer.usage, answer.error, answer.done) == ("m", {"prompt_tokens": 3}, None, None)
    assert answer.rest == {"id": "c", "system_fingerprint": "fp"}


def test_numbers_in_a_whole_body_stay_as_they_were_written():
    body = b'{"choices":[{"index":0,"message":{"role":"assistant","content":"","x":1e-999}}]}'
    assert read_answer(body, JSON).choices[0].message["x"] == Number("1e-999")


@pytest.mark.parametrize(
    "body", [b"<html>502</html>", b"", b"null", b"[1]", b'"x"', b"\xff\xfe", b'{"choices":', b"[" * 9999]
)
def test_a_body_that_is_no_json_object_is_an_error_that_shows_it(body):
    answer = read_answer(body, "text/html")
    assert answer.choices == []
    assert answer.error == {"message": body.decode("utf-8", "replace")[:2000]}


def test_an_error_object_is_kept_as_it_came():
    error = {"message": "no", "type": "invalid_request_error", "code": None}
    answer = read_answer(json.dumps({"error": error}).encode(), JSON)
    assert (answer.error, answer.choices) == (error, [])


@pytest.mark.parametrize("choices", [None, 5, "x", {}, [None, 5, "x"]])
def test_choices_that_are_none_are_no_choices(choices):
    assert read_answer(json.dumps({"choices": choices}).encode(), JSON).choices == []


@pytest.mark.parametrize("found", [None, "x", 5, [1]])
def test_a_choice_without_a_message_says_so(found):
    (choice,) = read_answer(json.dumps({"choices": [{"index": 0, "message": found}]}).encode(), JSON).choices
    assert choice.message is None


def test_a_stream_that_calls_itself_json_is_read_as_a_stream():
    answer = read_answer(stream(chunk({"content": "a"})), JSON)
    assert (answer.choices[0].message["content"], answer.done) == ("a", True)


# Deltas


def test_text_runs_on():
    assert message(
        {"role": "assistant", "content": ""}, {"content": "Hel"}, {}, {"content": None}, {"content": "lo"}
    ) == {
        "role": "assistant",
        "content": "Hello",
    }


def test_a_stream_and_a_whole_body_give_one_message():
    said = {"role": "assistant", "content": "Hello", "refusal": None}
    whole = read_answer(json.dumps({"choices": [{"index": 0, "message": said}]}).encode(), JSON)
    streamed = message({"role": "assistant", "content": "", "refusal": None}, {"content": "Hel"}, {"content": "lo"})
    assert {**streamed, "refusal": None} == whole.choices[0].message


@given(st.text(min_size=1, max_size=30).filter(lambda text: "\0" not in text), st.data())
def test_text_is_the_same_wherever_it_was_cut(text, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=5)))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert message({"role": "assistant"}, *({"content": piece} for piece in pieces))["content"] == text


def test_parallel_tool_calls_are_told_apart_by_their_index():
    found = message(
        {"tool_calls": [{"index": 1, "id": "b", "type": "function", "function": {"name": "g", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x"'}}]},
        {"tool_calls": [{"index": 1, "function": {"arguments": "{"}}, {"index": 0, "function": {"arguments": ":1}"}}]},
        {"tool_calls": [{"index": 1, "function": {"arguments": "}"}}]},
    )
    assert found == {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}},
            {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
        ],
    }


def test_tool_calls_without_an_index_are_told_apart_by_their_id():
    found = message(
        {"tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{"}}]},
        {"tool_calls": [{"id": "a", "function": {"arguments": "}"}}]},
        {"tool_calls": [{"id": "b", "function": {"name": "g", "arguments": "{}"}}]},
    )
    calls = [(call["id"], call["function"]["name"], call["function"]["arguments"]) for call in found["tool_calls"]]
    assert calls == [("a", "f", "{}"), ("b", "g", "{}")]


def test_whole_tool_calls_without_index_and_id_are_each_one_call():
    found = message({"tool_calls": [{"function": {"name": "f", "arguments": "{}"}}] * 2})
    assert [call["function"]["name"] for call in found["tool_calls"]] == ["f", "f"]


def test_a_name_and_an_id_repeated_in_every_chunk_are_not_doubled():
    piece = {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": "1"}}
    (call,) = message({"tool_calls": [piece]}, {"tool_calls": [piece]})["tool_calls"]
    assert call == {"id": "a", "type": "function", "function": {"name": "f", "arguments": "11"}}


def test_a_tool_call_without_arguments_has_empty_ones():
    (call,) = message({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": None}}]})[
        "tool_calls"
    ]
    assert call["function"]["arguments"] == ""


def test_a_refusal_runs_on_and_is_no_content():
    assert message({"refusal": "I "}, {"refusal": "can't."}) == {
        "role": "assistant",
        "content": None,
        "refusal": "I can't.",
    }


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning"])
def test_reasoning_runs_on_beside_the_text(key):
    found = message({key: "two "}, {key: "and two", "content": None}, {"content": "4"})
    assert (found[key], found["content"]) == ("two and two", "4")


def test_the_choices_of_a_stream_are_told_apart_and_ordered():
    answer = read(
        chunk({"content": "b"}, index=1),
        chunk({"content": "a"}, index=0),
        chunk({"content": "B"}, index=1, finish="length"),
        chunk({"content": "A"}, index=0, finish="stop"),
    )
    assert [(c.index, c.message["content"], c.finish_reason) for c in answer.choices] == [
        (0, "aA", "stop"),
        (1, "bB", "length"),
    ]


def test_several_choices_in_one_chunk_are_all_read():
    both = {"choices": [{"index": number, "delta": {"content": str(number)}} for number in (0, 1)]}
    assert [choice.message["content"] for choice in read(both, both).choices] == ["00", "11"]


def test_logprobs_run_on_beside_the_message():
    chunks = [
        {"choices": [{"index": 0, "delta": {}, "logprobs": {"content": [{"token": t}], "refusal": None}}]} for t in "ab"
    ]
    (choice,) = read(*chunks).choices
    assert [each["token"] for each in choice.rest["logprobs"]["content"]] == ["a", "b"]
    assert "logprobs" not in choice.message


def test_a_legacy_function_call_runs_on():
    found = message({"function_call": {"name": "f", "arguments": "{"}}, {"function_call": {"arguments": "}"}})
    assert found["function_call"] == {"name": "f", "arguments": "{}"}


def test_audio_runs_on_and_its_id_does_not():
    found = message({"audio": {"id": "x", "transcript": "a"}}, {"audio": {"id": "x", "transcript": "b", "data": "YQ"}})
    assert found["audio"] == {"id": "x", "transcript": "ab", "data": "YQ"}


def test_content_in_parts_runs_on_within_a_part_and_keeps_every_other():
    image = {"type": "image_url", "image_url": {"url": "data:,"}}
    found = message(
        {"content": [{"type": "text", "text": "a"}]}, {"content": [{"type": "text", "text": "b"}]}, {"content": [image]}
    )
    assert found["content"] == [{"type": "text", "text": "ab"}, image]


def test_an_empty_delta_still_is_an_answer():
    assert message({}) == {"role": "assistant", "content": None}


def test_a_role_named_once_is_kept_and_an_empty_one_is_not():
    assert message({"role": "tool"}, {"role": "", "content": "x"}, {"role": None})["role"] == "tool"


# Usage, errors, ends


@pytest.mark.parametrize("place", [0, 1, 2])
def test_usage_counts_in_whichever_chunk_it_stands(place):
    chunks = [chunk({"content": "a"}), chunk({"content": "b"}, finish="stop")]
    chunks.insert(place, {"model": "m", "choices": [], "usage": {"prompt_tokens": 3}})
    assert read(*chunks).usage == {"prompt_tokens": 3}


def test_the_last_usage_of_a_stream_counts_and_a_null_one_does_not():
    usages = [{"completion_tokens": 1}, {"completion_tokens": 2}, None]
    assert read(*(chunk({"content": "a"}, usage=usage) for usage in usages)).usage == {"completion_tokens": 2}


def test_usage_inside_a_choice_counts_when_there_is_no_other():
    inside = {"choices": [{"index": 0, "delta": {"content": "a"}, "usage": {"total_tokens": 9}}]}
    assert read(inside).usage == {"total_tokens": 9}
    assert read({**inside, "usage": {"total_tokens": 7}}).usage == {"total_tokens": 7}


def test_an_error_in_a_stream_is_kept_with_what_came_before():
    answer = read(chunk({"content": "a"}), {"error": {"message": "overloaded"}}, done=False)
    assert answer.error == {"message": "overloaded"}
    assert answer.choices[0].message["content"] == "a"
    assert answer.done is False


def test_a_stream_without_done_says_so():
    assert read(chunk({"content": "a"}, finish="stop"), done=False).done is False
    assert read(chunk({"content": "a"}, finish="stop")).done is True


def test_the_finish_reason_that_was_said_stays():
    (choice,) = read(chunk({"content": "a"}, finish="tool_calls"), chunk({}, finish=None), chunk({}, finish="")).choices
    assert choice.finish_reason == "tool_calls"


def test_a_stream_keeps_the_first_model_and_what_else_was_said():
    answer = read(chunk({}, id="x", system_fingerprint="fp"), {**chunk({}), "model": "other", "provider": "p"})
    assert answer.model == "m"
    assert (answer.rest["id"], answer.rest["system_fingerprint"], answer.rest["provider"]) == ("x", "fp", "p")


def test_an_empty_stream_is_an_answer_without_choices():
    answer = read_answer(b"", SSE)
    assert (answer.choices, answer.done, answer.error) == ([], False, None)


# Framing


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_line_end_frames_events(end):
    body = stream(chunk({"content": "a\r\nb"}), chunk({"content": "c"}), end=end)
    answer = read_answer(body, SSE)
    assert (answer.choices[0].message["content"], answer.done) == ("a\r\nbc", True)


def test_comments_and_other_fields_are_left_out():
    body = (
        b": OPENROUTER PROCESSING\n\nevent: x\nid: 7\nretry: 10\ndata: " + json.dumps(chunk({"content": "a"})).encode()
    )
    answer = read_answer(body + b"\n\n: ping\n\n:\n\ndata: [DONE]\n\n", SSE)
    assert (answer.choices[0].message["content"], answer.done) == ("a", True)
    assert "unread_events" not in answer.rest


def test_data_without_a_blank_after_the_colon_and_over_several_lines_is_one_event():
    assert list(events("data:a\ndata: b\ndata:  c\n\ndata:d")) == ["a\nb\n c", "d"]
    body = b'data: {"choices":\ndata: [{"index":0,"delta":{"content":"a"}}]}\n\n'
    assert read_answer(body, SSE).choices[0].message["content"] == "a"


def test_an_event_that_is_no_json_is_counted_and_the_others_are_read():
    body = stream(chunk({"content": "a"})) + b"data: oops\n\ndata: [1]\n\n" + stream(chunk({"content": "b"}))
    answer = read_answer(body, SSE)
    assert answer.choices[0].message["content"] == "ab"
    assert answer.rest["unread_events"] == 1


@given(st.integers(0, 400))
def test_a_stream_cut_anywhere_gives_what_had_come(at):
    pieces = ["Hé", "l", "lo ", "日本", "!"]
    body = stream(*(chunk({"content": piece}) for piece in pieces))
    answer = read_answer(body[: min(at, len(body) - 16)], SSE)
    assert answer.done is False
    if answer.choices:
        assert "".join(pieces).startswith(answer.choices[0].message["content"] or "")


def test_a_stream_cut_after_its_last_event_gives_all_of_it():
    body = stream(chunk({"content": "a"}), chunk({"content": "b"}), done=False)
    assert read_answer(body.rstrip(), SSE).choices[0].message["content"] == "ab"


def test_bytes_that_are_not_utf_8_do_not_stop_the_reading():
    body = stream(chunk({"content": "a"})).replace(b'"a"', b'"\xff"')
    assert read_answer(body, SSE).choices[0].message["content"] == "\ufffd"


@pytest.mark.parametrize(
    "odd", [None, 5, "x", [], {"choices": None}, {"choices": [None, 5]}, {"choices": [{"delta": 5}]}]
)
def test_an_odd_chunk_does_not_stop_the_reading(odd):
    answer = read_answer(f"data: {json.dumps(odd)}\n\n".encode() + stream(chunk({"content": "a"})), SSE)
    assert answer.choices[0].message["content"] == "a"


def test_choices_that_share_an_index_are_told_apart():
    body = (
        b'{"choices":[{"message":{"role":"assistant","content":"x"}},{"message":{"role":"assistant","content":"y"}}]}'
    )
    assert [choice.index for choice in read_answer(body, "application/json").choices] == [0, 1]


def test_a_character_that_was_cut_in_two_deltas_is_whole_again():
    stream = b""
    for half in (b"\\ud83d", b"\\ude00"):
        stream += b'data: {"choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n' % half
    assert read_answer(stream, "text/event-stream").choices[0].message["content"] == "\U0001f600"
