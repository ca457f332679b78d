"""Pieces of a message are joined by what they mean: a stream in any pieces gives the message of the whole body."""

from __future__ import annotations

import base64
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regraft.domain.capture.answer import read_answer
from regraft.domain.capture.dialects import CHAT, dialect_of
from regraft.domain.capture.request import read_request
from regraft.domain.ids import canonical_json
from support.streamed_answer import JSON, SO_FAR, SSE, WORDS, choice_of, message, pieces_of, read

# Typed parts


def thought(text):
    return {"type": "thinking", "thinking": [{"type": "text", "text": text}]}


def test_thinking_in_parts_and_then_plain_text_is_the_content_of_the_whole_body():
    found = message(
        {"role": "assistant", "content": ""},
        {"content": [thought("Two and ")]},
        {"content": [thought("two.")]},
        {"content": "It "},
        {"content": "is 4."},
    )
    assert found["content"] == [thought("Two and two."), {"type": "text", "text": "It is 4."}]


def test_plain_text_and_then_parts_keeps_both():
    found = message({"content": "Look: "}, {"content": "here"}, {"content": [thought("hm")]}, {"content": "!"})
    text = [{"type": "text", "text": "Look: here"}, thought("hm"), {"type": "text", "text": "!"}]
    assert found["content"] == text


@given(st.data(), st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=4))
def test_alternating_thinking_and_text_is_the_same_wherever_it_was_cut(data, texts):
    whole, deltas = [], []
    for at, text in enumerate(texts):
        whole.append({"type": "text", "text": text} if at % 2 else thought(text))
        for piece in filter(None, pieces_of(data, text)):
            deltas.append({"content": piece if at % 2 else [thought(piece)]})
    assert message(*deltas)["content"] == whole


DETAIL = {"type": "reasoning.text", "format": "anthropic-claude-v1", "index": 0}


def test_reasoning_details_of_one_index_are_one_object_and_the_signature_joins_it():
    found = message(
        {"reasoning": "Step ", "reasoning_details": [{**DETAIL, "text": "Step "}]},
        {"reasoning": "one.", "reasoning_details": [{**DETAIL, "text": "one.", "signature": None}]},
        {"reasoning_details": [{**DETAIL, "signature": "c2ln"}]},
        {"reasoning_details": [{**DETAIL, "signature": "c2ln"}]},
        {"reasoning_details": [{**DETAIL, "index": 1, "text": "Step two."}]},
    )
    one = {**DETAIL, "text": "Step one.", "signature": "c2ln"}
    assert found["reasoning_details"] == [one, {**DETAIL, "index": 1, "text": "Step two."}]
    assert found["reasoning"] == "Step one."


def test_details_of_two_types_or_two_ids_are_two_objects_although_they_have_one_index():
    summary = {"type": "reasoning.summary", "summary": "In ", "index": 0, "id": "rs_1"}
    sealed = {"type": "reasoning.encrypted", "data": "YQ==", "index": 0, "id": "rs_1"}
    other = {"type": "reasoning.encrypted", "data": "Yg==", "index": 0, "id": "rs_2"}
    found = message(
        {"reasoning_details": [summary]},
        {"reasoning_details": [{**summary, "summary": "short."}]},
        {"reasoning_details": [sealed]},
        {"reasoning_details": [other]},
    )
    assert found["reasoning_details"] == [{**summary, "summary": "In short."}, sealed, other]


def test_thinking_blocks_without_an_index_run_on_until_they_are_signed():
    block = {"type": "thinking", "thinking": ""}
    found = message(
        {"thinking_blocks": [{**block, "thinking": "a"}]},
        {"thinking_blocks": [{**block, "thinking": "b"}]},
        {"thinking_blocks": [{**block, "signature": "s"}]},
        {"thinking_blocks": [{**block, "thinking": "c"}]},
    )
    assert found["thinking_blocks"] == [{**block, "thinking": "ab", "signature": "s"}, {**block, "thinking": "c"}]


def test_parts_of_one_delta_are_as_many_parts():
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert message({"content": parts})["content"] == parts


def test_a_message_beside_every_delta_that_says_all_so_far_is_kept_once():
    choices = [
        {"delta": {"content": word}, "message": {"role": "assistant", "content": text}}
        for word, text in zip(WORDS, SO_FAR, strict=True)
    ]
    answer = read(*choices, {"delta": {"content": ""}, "message": {"content": SO_FAR[-1]}, "finish_reason": "stop"})
    (choice,) = answer.choices
    assert choice.message == {"role": "assistant", "content": SO_FAR[-1]}
    assert choice.unattributed == []
    assert len(canonical_json(answer.stored_rest())) < 200


def test_a_message_instead_of_a_delta_is_the_answer():
    so_far = choice_of(*({"message": {"role": "assistant", "content": text}} for text in SO_FAR[:20]))
    assert (so_far.message["content"], so_far.unattributed) == (SO_FAR[19], [])
    in_pieces = choice_of(*({"message": {"content": word}} for word in WORDS[:20]))
    assert (in_pieces.message["content"], in_pieces.unattributed) == (SO_FAR[19], [])
    once = choice_of({"message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"})
    assert (once.message, once.finish_reason) == ({"role": "assistant", "content": "Hello"}, "stop")


def test_a_whole_message_in_the_last_chunk_completes_the_deltas():
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    last = {"role": "assistant", "content": "Hello there", "tool_calls": [call]}
    found = choice_of({"delta": {"content": "Hello"}}, {"message": last, "finish_reason": "tool_calls"})
    assert (found.message, found.unattributed) == (last, [])


def test_whole_messages_with_parts_and_calls_are_the_last_of_them():
    call = {"index": 0, "type": "function", "function": {"name": "f", "arguments": ""}}
    whole = {**call, "function": {"name": "f", "arguments": '{"x":1}'}}
    parts = [[{"type": "text", "text": "a"}], [{"type": "text", "text": "ab"}, {"type": "text", "text": "c"}]]
    choices = [{"message": {"content": parts[0], "tool_calls": [call]}}, {"message": {"content": parts[1]}}]
    found = choice_of(*choices, {"message": {"content": parts[1], "tool_calls": [whole]}})
    assert (found.message["content"], found.message["tool_calls"]) == (parts[1], [whole])
    assert found.unattributed == []


@pytest.mark.parametrize(
    "message",
    [
        {"content": ""},
        {"content": "Hello"},
        {"content": " Hello there\n"},
        {"role": "assistant", "content": None, "tool_calls": []},
        {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}]},
    ],
)
def test_a_whole_message_that_lags_behind_or_numbers_its_calls_says_nothing_new(message):
    call = {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    found = choice_of({"delta": {"content": "Hello there", "tool_calls": [call]}, "message": message})
    said = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    assert found.message == {"role": "assistant", "content": "Hello there", "tool_calls": [said]}
    assert found.unattributed == []


def test_a_whole_message_that_says_something_else_makes_the_answer_unsure():
    found = choice_of({"delta": {"content": "Hello"}}, {"message": {"content": "Goodbye"}})
    assert found.message["content"] == "Hello"
    assert found.unattributed == [{"message": {"content": "Goodbye"}}]


def test_deltas_that_say_all_so_far_give_the_text_once_and_say_so():
    found = choice_of(*({"delta": {"content": text}} for text in SO_FAR))
    assert (found.message["content"], found.rest, found.unattributed) == (SO_FAR[-1], {"cumulative": ["content"]}, [])
    short = choice_of(*({"delta": {"content": text}} for text in ("It", "It is", "It is 4.", "It is 4.")))
    assert (short.message["content"], short.unattributed) == ("It is 4.", [])


def test_reasoning_and_text_may_each_say_all_so_far():
    found = choice_of(
        *({"delta": {"reasoning_content": text, "content": ""}} for text in SO_FAR[:9]),
        *({"delta": {"reasoning_content": SO_FAR[8], "content": text}} for text in SO_FAR[:7]),
    )
    assert (found.message["reasoning_content"], found.message["content"]) == (SO_FAR[8], SO_FAR[6])
    assert found.rest["cumulative"] == ["content", "reasoning_content"]


@pytest.mark.parametrize(
    "pieces",
    [
        ["Hello, the answer", "Hello, the answer is 4."],
        ["The answer ", "is certainly 4.", "The answer is certainly 4."],
        ["The whole answer is 4.", "The whole answer is 4."],
    ],
)
def test_a_text_that_may_have_been_said_twice_is_kept_as_it_came_and_is_unsure(pieces):
    found = choice_of(*({"delta": {"content": piece}} for piece in pieces))
    assert found.message["content"] == "".join(pieces)
    assert found.unattributed == [{"doubtful": "content"}]


@pytest.mark.parametrize(
    "pieces", [["ha", "ha", "ha"], ["1", "10", "100"], ["-", "--", "----", "--------"], ["a", "ab"]]
)
def test_a_text_that_repeats_itself_runs_on(pieces):
    assert message(*({"content": piece} for piece in pieces))["content"] == "".join(pieces)


def test_long_streams_are_read_in_time_that_grows_with_them():
    started = time.process_time()
    body = "".join(f'data: {{"choices":[{{"delta":{{"content":"w{n} "}}}}]}}\n\n' for n in range(100_000))
    (choice,) = read_answer(body.encode(), SSE).choices
    assert len(choice.message["content"]) == 688_890
    assert time.process_time() - started < 20


# Other fields


def test_sound_in_pieces_is_the_sound_of_the_whole():
    sound = bytes(range(100))
    pieces = [sound[start : start + 7] for start in range(0, 100, 7)]
    deltas = [{"audio": {"id": "a", "data": base64.b64encode(piece).decode()}} for piece in pieces]
    found = message(*deltas, {"audio": {"transcript": "Hel"}}, {"audio": {"transcript": "lo", "expires_at": 9}})
    assert base64.b64decode(found["audio"]["data"]) == sound
    assert (found["audio"]["id"], found["audio"]["transcript"], found["audio"]["expires_at"]) == ("a", "Hello", 9)


def test_annotations_run_on_and_a_list_sent_again_is_not_doubled():
    one, two = ({"type": "url_citation", "url_citation": {"url": url}} for url in "ab")
    assert message({"annotations": [one]}, {"annotations": [two]})["annotations"] == [one, two]
    assert message({"annotations": [one]}, {"annotations": [one, two]})["annotations"] == [one, two]
    assert message(*[{"annotations": [one, two]}] * 3)["annotations"] == [one, two]


def test_filter_results_of_every_chunk_are_not_run_together():
    found = choice_of(*[{"delta": {"content": "a"}, "content_filter_results": {"hate": {"severity": "safe"}}}] * 3)
    assert found.rest["content_filter_results"] == {"hate": {"severity": "safe"}}


def test_an_unknown_field_that_is_the_same_in_every_chunk_is_kept_once():
    found = message(*({"content": text, "provider_note": "served by x"} for text in "abc"))
    assert (found["content"], found["provider_note"]) == ("abc", "served by x")


def probability(token):
    return {"token": token, "logprob": -1, "top_logprobs": []}


def test_logprobs_said_again_in_the_last_chunk_are_not_doubled():
    found = choice_of(
        {"delta": {"content": "a"}, "logprobs": {"content": [probability("a")]}},
        {"delta": {"content": "b"}, "logprobs": {"content": [probability("b")]}},
        {"delta": {}, "logprobs": {"content": [probability("b")]}, "finish_reason": "stop"},
    )
    assert found.rest["logprobs"] == {"content": [probability("a"), probability("b")]}


def test_logprobs_of_all_so_far_in_every_chunk_are_kept_once():
    found = choice_of(
        *(
            {"delta": {"content": token}, "logprobs": {"content": list(map(probability, "abc"[: at + 1]))}}
            for at, token in enumerate("abc")
        )
    )
    assert found.rest["logprobs"] == {"content": list(map(probability, "abc"))}


def test_logprobs_of_a_token_said_twice_are_two():
    found = choice_of(*[{"delta": {"content": "ha"}, "logprobs": {"content": [probability("ha")]}}] * 2)
    assert found.rest["logprobs"] == {"content": [probability("ha")] * 2}


# What JSON lacks


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
def test_numbers_that_json_lacks_are_kept_by_name_and_counted(value):
    inner = f'{{"role":"assistant","content":"x","score":{value}}}'
    beside = f'"logprobs":{{"content":[{{"logprob":{value}}}]}}'
    bodies = {
        JSON: f'{{"choices":[{{"index":0,"message":{inner},{beside}}}]}}',
        SSE: f'data: {{"choices":[{{"index":0,"delta":{inner},{beside}}}]}}\n\n',
    }
    request = read_request(b'{"messages":[{"role":"user","content":"?"}]}')
    for kind, body in bodies.items():
        answer = dialect_of(CHAT).answer(body.encode(), kind, request)
        (choice,) = answer.choices
        assert choice.message == {"role": "assistant", "content": "x", "score": value}
        assert choice.rest == {"logprobs": {"content": [{"logprob": value}]}}
        assert answer.rest == {"non_finite_numbers": 2}
        assert json.loads(canonical_json(answer.stored_rest()), parse_constant=pytest.fail)


# All together


WORD = st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1, max_size=10)
DETAILS = st.lists(
    st.builds(
        lambda text, sign: {"type": "reasoning.text", "text": text, **sign},
        WORD,
        st.sampled_from([{}, {"signature": "s"}]),
    ),
    max_size=3,
).map(lambda found: [{**each, "index": at} for at, each in enumerate(found)])
CALLS_OF_A_MESSAGE = st.lists(
    st.tuples(st.sampled_from(["f", "list_rooms"]), st.dictionaries(WORD, WORD, max_size=2)), max_size=3
).map(
    lambda found: [
        {"id": f"c{at}", "type": "function", "function": {"name": name, "arguments": json.dumps(given)}}
        for at, (name, given) in enumerate(found)
    ]
)
MESSAGE = st.fixed_dictionaries(
    {"content": st.none() | WORD},
    optional={
        "reasoning_content": WORD,
        "refusal": WORD,
        "reasoning_details": DETAILS,
        "tool_calls": CALLS_OF_A_MESSAGE,
    },
).map(lambda found: {"role": "assistant", **{key: each for key, each in found.items() if each or key == "content"}})


def deltas_of(data, said):
    """The message in deltas: each field in pieces, the fields in any order among one another."""
    queues = []
    for key, value in said.items():
        if key == "role":
            queues.append([{key: value}])
        elif isinstance(value, str):
            queues.append([{key: piece} for piece in pieces_of(data, value, 3)])
        elif key == "reasoning_details":
            queue = []
            for each in value:
                rest = {name: value for name, value in each.items() if name not in ("text", "signature")}
                queue += [{key: [{**rest, "text": piece}]} for piece in pieces_of(data, each["text"], 2) if piece]
                queue += [{key: [{**rest, "signature": each.get("signature")}]}] * ("signature" in each)
            queues.append(queue)
        elif key == "tool_calls":
            for index, each in enumerate(value):
                name, arguments = each["function"]["name"], each["function"]["arguments"]
                opened = {**each, "index": index, "function": {"name": name, "arguments": ""}}
                pieces = [{"index": index, "function": {"arguments": piece}} for piece in pieces_of(data, arguments, 3)]
                queues.append([{key: [piece]} for piece in [opened, *pieces]])
    deltas = []
    while queues := [queue for queue in queues if queue]:
        deltas.append(data.draw(st.sampled_from(queues)).pop(0))
    return deltas


@given(st.data(), MESSAGE)
def test_a_message_in_any_pieces_is_the_message_of_the_whole_body(data, said):
    body = json.dumps({"choices": [{"index": 0, "message": said}]}).encode()
    (whole,) = read_answer(body, JSON).choices
    found = choice_of(*({"delta": delta} for delta in deltas_of(data, said)), {"delta": {}, "finish_reason": "stop"})
    assert (found.message, found.unattributed) == (whole.message, [])


@given(st.data(), MESSAGE)
def test_a_whole_message_beside_each_of_its_deltas_changes_nothing(data, said):
    deltas = deltas_of(data, said)
    alone = choice_of(*({"delta": delta} for delta in deltas), {"delta": {}})
    beside = choice_of(*({"delta": delta, "message": said} for delta in deltas), {"delta": {}})
    assert (beside.message, beside.unattributed) == (alone.message, [])
