"""Logs of frameworks become calls with their histories, or are refused by name."""

from __future__ import annotations

import json

import pytest

from regraft.domain.capture.importers import conversations, detected
from regraft.domain.capture.importers.conversation import UnreadableConversationError
from regraft.domain.capture.importers.recorded import answer, history
from regraft.domain.capture.importers.records import records
from support.imported_lines import ANSWER, CALL, CALLING, RESULT, USER, read


def test_an_inspect_sample_has_its_texts_back_and_its_scores_on_the_last_answer():
    sample = {
        "id": 4,
        "epoch": 2,
        "uuid": "s",
        "messages": [
            {"role": "user", "content": "attachment://h", "source": "input"},
            {"role": "assistant", "content": "", "tool_calls": [{"id": "c", "function": "f", "arguments": {"x": 1}}]},
            {"role": "tool", "content": "no", "tool_call_id": "c", "function": "f", "error": {"type": "timeout"}},
            {"role": "assistant", "id": "m", "content": [{"type": "text", "text": "a"}], "model": "gpt"},
        ],
        "attachments": {"h": "q"},
        "events": [
            {
                "event": "model",
                "timestamp": "2025-01-01T00:00:00+00:00",
                "config": {"temperature": 0, "max_connections": 4},
                "tools": [{"name": "f", "description": "d", "parameters": {}, "options": None}],
                "output": {
                    "choices": [{"message": {"id": "m"}, "stop_reason": "stop"}],
                    "usage": {"input_tokens": 3},
                    "time": 2,
                },
            }
        ],
        "scores": {"match": {"value": "C", "explanation": "e"}, "many": {"value": {"x": 0.5, "y": "words"}}},
    }
    form, (talk,), refused = read(sample, head={"eval": {"task": "t", "model": "gpt"}}, member="samples")
    assert (form, refused) == ("inspect_ai", [])
    assert [said.message for said in talk.said] == [
        USER,
        {"role": "assistant", "content": "", "tool_calls": [CALL]},
        {"role": "tool", "content": "no", "tool_call_id": "c", "name": "f", "error": {"type": "timeout"}},
        ANSWER,
    ]
    assert talk.task == "inspect:t/4"
    last = talk.said[3]
    assert (last.usage, last.duration_ns, last.finish_reason) == ({"input_tokens": 3}, 2_000_000_000, "stop")
    assert last.sampling == {"temperature": 0}
    assert last.tools["tools"][0]["function"] == {"name": "f", "description": "d", "parameters": {}}
    assert [(each.name, each.value, each.source) for each in last.judgements] == [
        ("score:match", 1.0, "inspect match"),
        ("score:many.x", 0.5, "inspect many"),
    ]


def generation(key, given, said, parent=None, **more):
    times = {"startTime": "2025-01-01T00:00:00Z", "endTime": "2025-01-01T00:00:01Z"}
    about = {"id": key, "traceId": "t", "parentObservationId": parent, "type": "GENERATION", "model": "m"}
    return {**about, **times, "input": given, "output": said, **more}


def test_langfuse_generations_are_calls_and_one_that_wraps_another_is_left_out():
    observations = [
        generation("outer", json.dumps({"prompt": "q"}), '"a"'),
        generation("inner", json.dumps([USER]), json.dumps(ANSWER), "outer", usageDetails={"input": 3, "total": 4}),
        {**generation("span", None, None), "type": "SPAN"},
        generation("asked", [USER], None),
        generation("empty", None, None),
        generation("python", "{\"messages\": [\"role='user' content='q'\"]}", "a"),
    ]
    scores = [
        {"id": "s1", "name": "toxic", "value": 0.2, "source": "EVAL", "observationId": "inner", "comment": "c"},
        {"id": "s2", "name": "good", "value": 1, "source": "API", "observationId": "span"},
    ]
    form, calls, refused = read(
        {"trace": {"id": "t", "sessionId": "u", "scores": scores}, "observations": observations}
    )
    assert form == "langfuse"
    inner = next(call for call in calls if call.key == "inner")
    assert [said.message for said in inner.said] == [USER, ANSWER]
    assert [said.answered for said in inner.said] == [False, True]
    assert inner.said[1].usage == {"prompt_tokens": 3, "total_tokens": 4}
    assert inner.said[1].duration_ns == 1_000_000_000
    assert [(each.name, each.value, each.source) for each in inner.said[1].judgements] == [
        ("score:toxic", 0.2, "langfuse EVAL")
    ]
    assert inner.rest["session"] == "u"
    asked = next(call for call in calls if call.key == "asked")
    assert [said.answered for said in asked.said] == [False]
    assert {(each.name, each.reason) for each in refused} == {
        ("t/outer", "a generation that wraps another one, which is kept"),
        ("t/empty", "neither a history nor an answer"),
        ("t/python", "messages that were written as Python text"),
        ("score s2", "a score of something that is not a call that could be read"),
    }


@pytest.mark.parametrize(
    ("given", "messages"),
    [
        ("q", [USER]),
        (json.dumps(json.dumps([USER])), [USER]),
        ({"system": "s", "messages": [USER]}, [{"role": "system", "content": "s"}, USER]),
        ([{"type": "human", "content": "q"}, {"type": "ai", "content": "a"}], [USER, ANSWER]),
        (
            [{"type": "ai", "content": "", "additional_kwargs": {"tool_calls": [CALL]}}],
            [{"role": "assistant", "content": "", "tool_calls": [CALL]}],
        ),
        (
            [
                {"role": "assistant", "parts": [{"type": "tool_call", "id": "c", "name": "f", "arguments": {"x": 1}}]},
                {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c", "response": "1"}]},
            ],
            [CALLING, RESULT],
        ),
        (
            [
                {
                    "role": "assistant",
                    "content": [{"type": "tool-call", "toolCallId": "c", "toolName": "f", "input": {"x": 1}}],
                }
            ],
            [CALLING],
        ),
        (
            {"contents": [{"role": "user", "parts": [{"text": "q"}]}, {"role": "model", "parts": [{"text": "a"}]}]},
            [USER, ANSWER],
        ),
        (
            [{"role": "user", "content": [{"type": "video", "x": 1}]}],
            [{"role": "user", "content": [{"type": "video", "x": 1}]}],
        ),
    ],
)
def test_histories_of_every_framework_become_chat_messages(given, messages):
    assert history(given)[0] == messages


ITEMS = [
    {"role": "user", "content": [{"type": "input_text", "text": "q"}]},
    {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
    {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"x":1}'},
    {"type": "function_call_output", "call_id": "c", "output": "1"},
]


def spoken(messages):
    """Role, text, calls and thinking of messages."""
    names = ("role", "content", "tool_calls", "reasoning_content", "tool_call_id")
    return [{name: each[name] for name in names if each.get(name)} for each in messages]


@pytest.mark.parametrize("given", [ITEMS, {"input": ITEMS, "instructions": "s"}, json.dumps({"input": ITEMS})])
def test_a_history_in_the_form_of_the_responses_api_has_its_calls_and_results(given):
    messages, _ = history(given)
    if isinstance(given, dict):
        assert messages.pop(0) == {"role": "system", "content": "s"}
    assert [each["role"] for each in messages] == ["user", "assistant", "tool"]
    assert spoken(messages)[1:] == [
        {"role": "assistant", "tool_calls": [CALL], "reasoning_content": "hm"},
        {"role": "tool", "content": "1", "tool_call_id": "c"},
    ]


@pytest.mark.parametrize("whole", [False, True])
def test_an_answer_in_the_form_of_the_responses_api_is_one_message(whole):
    items = [*ITEMS[1:3], {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "a"}]}]
    (made,) = spoken([answer({"object": "response", "output": items} if whole else items)])
    assert made == {"role": "assistant", "content": "a", "tool_calls": [CALL], "reasoning_content": "hm"}


def test_a_message_whose_role_is_the_name_of_a_called_tool_is_that_tools_result():
    assert history([USER, CALLING, {"role": "f", "content": "1"}])[0] == [USER, CALLING, {**RESULT, "name": "f"}]
    with pytest.raises(UnreadableConversationError, match="'f'"):
        history([USER, {"role": "f", "content": "1"}])


def test_a_tool_of_the_responses_api_is_a_function():
    tool = {"type": "function", "name": "f", "parameters": {}}
    assert history({"input": "q", "tools": [tool]})[1] == [{"name": "f", "parameters": {}}]


def test_what_a_generation_says_and_nobody_reads_is_kept_or_refused():
    def only(given, said):
        return read({"trace": {"id": "t"}, "observations": [generation("o", given, said)]})

    _, (call,), _ = only({"messages": [USER], "retrieved": "pages of a book"}, ANSWER)
    assert call.rest["unread"] == {"input.retrieved": ["pages of a book"]}
    assert [each.reason for each in call.left_out] == ["words that are not read"]
    _, calls, (refused,) = only({"messages": [USER], "examples": [{"role": "user", "content": "shown before"}]}, ANSWER)
    assert (calls, refused.reason) == ([], "messages that are not read")


def test_agents_of_a_swe_agent_run_have_conversations_of_their_own_and_demonstrations_are_no_answers():
    history = [
        {**USER, "agent": "main"},
        {**ANSWER, "agent": "main", "is_demo": True, "thought": "t"},
        {**CALLING, "agent": "main", "action": "f"},
        {"role": "tool", "content": "1", "agent": "main", "tool_call_ids": ["c"]},
        {**USER, "agent": "reviewer"},
    ]
    form, (main, reviewer), _ = read(
        {"history": history, "trajectory": [{"action": "f"}], "info": {"exit_status": "x"}}
    )
    assert form == "swe_agent"
    assert [said.message for said in main.said] == [USER, ANSWER, CALLING, RESULT]
    assert [said.answered for said in main.said] == [False, False, True, False]
    assert main.rest["info"] == {"exit_status": "x"}
    assert reviewer.key.endswith("/reviewer")


def test_tools_beside_a_history_are_told_apart_from_messages():
    definition = {"type": "function", "function": {"name": "f"}}
    assert history([USER, {"role": "tool", "content": definition}]) == ([USER], [definition])
    declared = {"tools": [{"function_declarations": [{"name": "f"}]}]}
    assert history({"contents": [{"role": "user", "parts": [{"text": "q"}]}], "config": declared}) == (
        [USER],
        [{"name": "f"}],
    )


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("a", ANSWER),
        ({"choices": [{"index": 0, "message": ANSWER}]}, ANSWER),
        ({"index": 0, "message": ANSWER}, ANSWER),
        ({"content": {"role": "model", "parts": [{"text": "a"}]}}, ANSWER),
        ([{"toolCallId": "c", "toolName": "f", "input": '{"x":1}'}], CALLING),
        ([CALLING, ANSWER], {"role": "assistant", "content": "a", "tool_calls": [CALL]}),
        ({"role": "assistant", "content": json.dumps([CALL]).replace('"id": "c", "type": "function", ', "")}, None),
    ],
)
def test_answers_of_every_framework_become_one_message(said, message):
    made = answer(said)
    if message is None:  # a framework that writes the calls into the text
        assert made["content"] is None
        assert made["tool_calls"][0]["function"] == CALL["function"]
    else:
        assert made == message


@pytest.mark.parametrize(
    ("read_it", "given", "reason"),
    [
        (history, "system: s\nuser: q", "run together"),
        (history, {"arguments": 1}, "without messages"),
        (history, [{"role": "narrator", "content": "q"}], "narrator"),
        (history, ["plain"], "bare text"),
        (answer, "None", "Python text"),
        (answer, [USER], "not a message of a model"),
    ],
)
def test_what_cannot_be_told_for_certain_is_refused(read_it, given, reason):
    with pytest.raises(UnreadableConversationError, match=reason):
        read_it(given)


@pytest.mark.parametrize(
    ("line", "form"),
    [
        ({"resourceSpans": []}, "otel_genai"),
        ({"resourceLogs": []}, "otel_genai"),
        ({"info": {}, "simulations": []}, "tau2_bench"),
        ({"eval": {}, "plan": {}, "samples": []}, "inspect_ai"),
    ],
)
def test_an_export_without_anything_is_recognised_and_holds_no_conversation(line, form):
    (record,) = records([json.dumps(line)])
    importer = detected(record)
    assert importer is not None
    assert importer.form == form
    assert list(conversations(importer, [record])) == []
