"""Spans and logged events of OpenTelemetry and OpenInference become calls, or are refused by name."""

from __future__ import annotations

import json

import pytest

from regraft.domain.capture.importers.conversation import RefusedConversation
from regraft.domain.ids import Number
from support.imported_lines import ANSWER, USER, read


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
    assert (form, refused) == ("otel_genai", [RefusedConversation("t/up", "a span that is not a call of a model")])
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
