"""Logs and traces become calls with their histories, or are refused by name."""

from __future__ import annotations

import json

import pytest

from regraft.domain.capture.importers import conversations, detected
from regraft.domain.capture.importers.conversation import Conversation, RefusedConversation, UnreadableConversationError
from regraft.domain.capture.importers.recorded import answer, history
from regraft.domain.capture.importers.records import JsonRecord, records
from regraft.domain.ids import Number, parse_json


def read(value, **where):
    record = JsonRecord(0, parse_json(json.dumps(value)), **where)
    importer = detected(record)
    found = [each for _, each in conversations(importer, [record])]
    calls = [each for each in found if isinstance(each, Conversation)]
    return importer.form, calls, [each for each in found if isinstance(each, RefusedConversation)]


USER, ANSWER = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}}
CALLING = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "c", "content": "1"}


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
        ("score s2", "a score of something that is no call that could be read"),
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
        (answer, [USER], "no message of a model"),
    ],
)
def test_what_cannot_be_told_for_certain_is_refused(read_it, given, reason):
    with pytest.raises(UnreadableConversationError, match=reason):
        read_it(given)


def attribute(key, value):
    kinds = {str: "stringValue", int: "intValue", float: "doubleValue"}
    return {"key": key, "value": {kinds[type(value)]: str(value) if isinstance(value, int) else value}}


def spans(*made):
    return {"resource": {}, "scopeSpans": [{"scope": {}, "spans": list(made)}]}


def span(key, attributes, events=(), **more):
    times = {"startTimeUnixNano": "1735689600000000000", "endTimeUnixNano": "1735689601000000000"}
    listed = [attribute(name, value) for name, value in attributes.items()]
    return {
        "traceId": "t",
        "spanId": key,
        "name": "chat",
        **times,
        "attributes": listed,
        "events": list(events),
        **more,
    }


ASKED = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "gen_ai.usage.input_tokens": 3}


@pytest.mark.parametrize(
    ("attributes", "events"),
    [
        (
            {
                "gen_ai.input.messages": json.dumps([{"role": "user", "parts": [{"type": "text", "content": "q"}]}]),
                "gen_ai.output.messages": json.dumps(
                    [{"role": "assistant", "parts": [{"type": "text", "content": "a"}]}]
                ),
            },
            [],
        ),
        ({"gen_ai.prompt.0.role": "user", "gen_ai.prompt.0.content": "q", "gen_ai.completion.0.content": "a"}, []),
        (
            {},
            [
                {"name": "gen_ai.user.message", "attributes": [attribute("content", "q")]},
                {
                    "name": "gen_ai.choice",
                    "attributes": [attribute("index", 0), attribute("message", json.dumps(ANSWER))],
                },
            ],
        ),
    ],
)
def test_spans_of_all_generations_of_the_conventions_are_calls(attributes, events):
    form, (call,), refused = read(
        spans(span("s", {**ASKED, **attributes}, events), span("other", {"http.method": "GET"}))
    )
    assert (form, refused) == ("otel_genai", [])
    assert [said.message for said in call.said] == [USER, ANSWER]
    last = call.said[1]
    assert (last.model, last.usage, last.duration_ns) == ("m", {"prompt_tokens": 3}, 1_000_000_000)
    assert last.started_ns == 1_735_689_600_000_000_000


def test_structured_attributes_and_instructions_are_read():
    part = {"kvlistValue": {"values": [attribute("type", "text"), attribute("content", "q")]}}
    message = {
        "kvlistValue": {
            "values": [attribute("role", "user"), {"key": "parts", "value": {"arrayValue": {"values": [part]}}}]
        }
    }
    made = span("s", {**ASKED, "gen_ai.system_instructions": json.dumps([{"type": "text", "content": "s"}])})
    made["attributes"].append({"key": "gen_ai.input.messages", "value": {"arrayValue": {"values": [message]}}})
    _, (call,), _ = read(spans(made))
    assert [said.message for said in call.said] == [{"role": "system", "content": "s"}, USER]


def test_a_span_whose_content_was_not_recorded_is_refused_by_name():
    _, calls, refused = read(spans(span("s", ASKED)))
    assert (calls, refused) == (
        [],
        [RefusedConversation("t/s", "a span without messages (its content was not recorded)")],
    )


def logs(*made):
    return {"resource": {}, "scopeLogs": [{"scope": {}, "logRecords": list(made)}]}


def logged(span, name, body=None, **attributes):
    listed = [attribute(key, value) for key, value in attributes.items()]
    said = {"body": {"kvlistValue": {"values": [attribute(*each) for each in body.items()]}}} if body else {}
    times = {"timeUnixNano": "1735689600000000000"}
    return {"traceId": "t", "spanId": span, "eventName": name, "attributes": listed, **times, **said}


def test_events_that_were_logged_are_put_together_by_their_span():
    details = {
        "gen_ai.request.model": "m",
        "gen_ai.usage.input_tokens": 3,
        "gen_ai.input.messages": json.dumps([{"role": "user", "parts": [{"type": "text", "content": "q"}]}]),
        "gen_ai.output.messages": json.dumps([{"role": "assistant", "parts": [{"type": "text", "content": "a"}]}]),
    }
    form, (one, other), refused = read(
        logs(
            logged("one", "gen_ai.user.message", {"content": "q"}),
            logged("other", "gen_ai.client.inference.operation.details", **details),
            logged("one", "gen_ai.choice", {"index": 0, "message": json.dumps(ANSWER)}),
            logged("third", "gen_ai.user.message"),
            logged("third", "http.request"),
        )
    )
    assert form == "otel_genai"
    assert [said.message for said in one.said] == [said.message for said in other.said] == [USER, ANSWER]
    assert (one.key, other.key, other.said[1].usage) == ("one", "other", {"prompt_tokens": 3})
    assert one.said[1].started_ns == 1_735_689_600_000_000_000
    assert refused == [RefusedConversation("t/third", "a span without messages (its content was not recorded)")]


def openinference(key, kind="LLM", **attributes):
    named = {"openinference.span.kind": kind, **{name.replace("__", "."): value for name, value in attributes.items()}}
    return span(key, named)


ASKED_FLAT = {
    "llm.model_name": "m",
    "llm.input_messages.0.message.role": "user",
    "llm.input_messages.0.message.content": "q",
    "llm.output_messages.0.message.role": "assistant",
    "llm.output_messages.0.message.content": "a",
    "llm.token_count.prompt": 3,
    "llm.invocation_parameters": '{"temperature": 0.5, "model": "m"}',
    "input.value": '{"messages": [{"role": "user", "content": "q"}], "model": "m"}',
    "output.value": '{"choices": [{"index": 0, "finish_reason": "length", "message": {"content": "a"}}]}',
}


def test_openinference_spans_in_otlp_are_calls():
    form, (call,), refused = read(spans(openinference("s", **ASKED_FLAT), openinference("up", kind="CHAIN")))
    assert (form, refused) == ("otel_genai", [RefusedConversation("t/up", "a span that is no call of a model")])
    assert [said.message for said in call.said] == [USER, ANSWER]
    last = call.said[1]
    assert (last.model, last.usage, last.finish_reason) == ("m", {"prompt_tokens": 3}, "length")
    assert (last.started_ns, last.duration_ns) == (1_735_689_600_000_000_000, 1_000_000_000)
    assert (call.source, call.key, call.sampling) == ("t", "s", {"temperature": Number("0.5")})
    assert "unread" not in call.rest


def test_tools_thoughts_pictures_and_judgements_of_openinference_spans_are_kept():
    stem, out = "llm.input_messages.1.message", "llm.output_messages.0.message"
    tool = {"type": "function", "function": {"name": "f", "parameters": {}}}
    told = {
        "llm.request.model_name": "asked",
        "llm.response.model_name": "served",
        "llm.input_messages.0.message.role": "system",
        "llm.input_messages.0.message.content": "s",
        f"{stem}.role": "user",
        f"{stem}.contents.0.message_content.type": "text",
        f"{stem}.contents.0.message_content.text": "see",
        f"{stem}.contents.1.message_content.type": "image",
        f"{stem}.contents.1.message_content.image.image.url": "https://x/y.png",
        f"{out}.role": "assistant",
        f"{out}.contents.0.message_content.type": "reasoning",
        f"{out}.contents.0.message_content.text": "I look",
        f"{out}.contents.1.message_content.type": "text",
        f"{out}.contents.1.message_content.text": "a",
        f"{out}.tool_calls.0.tool_call.id": "c",
        f"{out}.tool_calls.0.tool_call.function.name": "f",
        f"{out}.tool_calls.0.tool_call.function.arguments": "{}",
        "llm.tools.0.tool.json_schema": json.dumps(tool),
        "annotations.0.annotation.name": "ok",
        "annotations.0.annotation.annotator_kind": "HUMAN",
        "annotations.0.annotation.score": 1,
    }
    _, (call,), refused = read(spans(openinference("s", **told)))
    assert refused == []
    assert call.said[1].message["content"][1] == {"type": "image_url", "image_url": {"url": "https://x/y.png"}}
    answer = call.said[2]
    assert (answer.message["content"], answer.message["reasoning_content"]) == ("a", "I look")
    assert answer.message["tool_calls"][0]["id"] == "c"
    assert (call.model, answer.model, call.tools) == ("asked", "served", {"tools": [tool]})
    assert [(each.name, each.value, each.source) for each in answer.judgements] == [("score:ok", 1.0, "phoenix HUMAN")]


def test_a_span_that_wraps_a_call_tells_it_once_whichever_convention_both_follow():
    words = {name: value for name, value in ASKED_FLAT.items() if name.startswith("llm.")}
    genai = {"gen_ai.prompt.0.role": "user", "gen_ai.prompt.0.content": "q", "gen_ai.completion.0.content": "a"}
    outer = openinference("outer", **words)
    for inner in (openinference("inner", **words), span("inner", {**ASKED, **genai})):
        inner["parentSpanId"] = "between"
        between = {**openinference("between", kind="CHAIN"), "parentSpanId": "outer"}
        _, (call,), refused = read(spans(outer, between, inner))
        assert call.key == "inner"
        assert RefusedConversation("t/outer", "a span that wraps another call, which is kept") in refused


def test_a_span_of_both_conventions_is_one_call():
    genai = {"gen_ai.prompt.0.role": "user", "gen_ai.prompt.0.content": "q", "gen_ai.completion.0.content": "a"}
    for more in ({}, genai):
        _, (call,), refused = read(spans(openinference("s", **{**ASKED_FLAT, **ASKED, **more})))
        assert refused == []
        assert [said.message for said in call.said] == [USER, ANSWER]


def test_completions_choices_and_failures_of_openinference_spans_are_told():
    completion = {
        "llm.prompts.0.prompt.text": "q",
        "llm.choices.0.completion.text": "a",
        "llm.choices.1.completion.text": "b",
    }
    _, (call,), _ = read(spans(openinference("s", **completion)))
    assert [(said.message["content"], said.parent) for said in call.said] == [("q", None), ("a", 0), ("b", 0)]
    _, calls, refused = read(spans(openinference("s", **completion, **{"llm.prompts.1.prompt.text": "another"})))
    assert (calls, [each.reason for each in refused]) == ([], ["a span that asked with several prompts at once"])
    failed = openinference("s", **{name: value for name, value in ASKED_FLAT.items() if "output" not in name})
    failed["status"] = {"code": 2, "message": "rate limited"}
    _, (call,), _ = read(spans(failed))
    assert [said.message for said in call.said] == [USER]
    assert call.rest["status_message"] == "rate limited"


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
