"""Logs and traces of calls: each call is its history and its answer, in whatever form the log keeps them."""

from __future__ import annotations

import json

import pytest

from regraft.domain.capture.importers.batch_files import WITHOUT_REQUEST
from regraft.domain.capture.importers.conversation import Conversation, RefusedConversation
from support.imported_conversation import found, judged, one, path

QUESTION = {"role": "user", "content": "q"}
CHAT = {"model": "m", "messages": [{"role": "system", "content": "s"}, QUESTION], "temperature": 0}
ANSWER = {
    "id": "x", "object": "chat.completion", "model": "m-1",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "a"}, "finish_reason": "stop"}],
    "usage": {"total_tokens": 5},
}  # fmt: skip
MESSAGE = {
    "id": "msg", "type": "message", "role": "assistant", "model": "claude", "stop_reason": "tool_use",
    "content": [{"type": "text", "text": "a"}, {"type": "tool_use", "id": "t", "name": "f", "input": {"x": 1}}],
    "usage": {"output_tokens": 3},
}  # fmt: skip
WHOLE = [("system", "s"), ("user", "q"), ("assistant", "a")]


def test_helicone_calls_keep_scores_times_and_what_else_is_said():
    talk = one(
        "calls",
        {
            "request_id": "r1", "request_created_at": "2026-01-01T00:00:00Z", "request_body": CHAT,
            "response_created_at": "2026-01-01T00:00:02Z", "response_body": ANSWER, "response_status": 200,
            "request_properties": {"Helicone-Session-Id": "s1"}, "scores": {"quality": 4}, "feedback_rating": False,
        },
    )  # fmt: skip
    assert path(talk) == WHOLE
    answer = talk.said[-1]
    assert (talk.key, answer.model, answer.finish_reason, answer.duration_ns) == ("r1", "m-1", "stop", 2_000_000_000)
    assert judged(talk) == {"vote": (-1.0, "helicone"), "score:quality": (4.0, "helicone")}
    assert talk.sampling == {"temperature": 0}
    assert talk.rest["request_properties"] == {"Helicone-Session-Id": "s1"}


@pytest.mark.parametrize(
    "line",
    [
        {"request": CHAT, "response": ANSWER},
        {"request": json.dumps(CHAT), "response": json.dumps(ANSWER)},
        {"request": {"url": "u", "headers": {}, "body": CHAT}, "response": {"status": 200, "body": ANSWER}},
        {
            "custom_id": "c",
            "method": "POST",
            "url": "/v1",
            "body": CHAT,
            "response": {"status_code": 200, "body": ANSWER},
        },
        {
            "request": {"model": "m", "instructions": "s", "input": "q"},
            "response": {
                "object": "response",
                "status": "completed",
                "model": "m-1",
                "output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "a"}]}],
            },
        },
        {
            "request": {
                "system_instruction": {"parts": [{"text": "s"}]},
                "contents": [{"role": "user", "parts": [{"text": "q"}]}],
            },
            "response": {
                "candidates": [{"content": {"role": "model", "parts": [{"text": "a"}]}, "finishReason": "STOP"}]
            },
        },
    ],
)
def test_a_request_beside_its_response_is_read_in_the_form_of_its_api(line):
    talk = one("calls", line)
    assert path(talk) == WHOLE
    assert talk.said[-1].answered


def test_requests_and_messages_of_anthropic_are_read_with_their_calls():
    request = {"model": "claude", "system": "s", "max_tokens": 9, "messages": [QUESTION]}
    talk = one("calls", {"request": request, "response": MESSAGE})
    assert path(talk) == WHOLE
    answer = talk.said[-1]
    assert answer.message["tool_calls"][0]["function"] == {"name": "f", "arguments": '{"x":1}'}
    assert (answer.finish_reason, answer.usage) == ("tool_calls", {"output_tokens": 3})
    talk = one("calls", {"custom_id": "c", "params": request, "result": {"type": "succeeded", "message": MESSAGE}})
    assert path(talk) == WHOLE


def test_streamed_answers_are_put_together():
    chunks = [
        {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "a"}}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    ]
    streamed = "".join(f"data: {json.dumps(each)}\n\n" for each in chunks) + "data: [DONE]\n\n"
    for response in (streamed, {"streamed_data": chunks}):
        talk = one("calls", {"request": CHAT, "response": response})
        assert path(talk) == WHOLE
        assert talk.said[-1].finish_reason == "stop"


def test_several_choices_are_branches_of_one_history():
    choices = [{"index": at, "message": {"role": "assistant", "content": words}} for at, words in enumerate("ab")]
    talk = one("calls", {"request": CHAT, "response": {"choices": choices}})
    assert [each.parent for each in talk.said] == [None, 0, 1, 1]


def test_a_call_that_failed_is_a_history_without_an_answer_and_its_error_is_kept():
    talk = one("calls", {"request": CHAT, "response": {"error": {"message": "over the limit"}}})
    assert path(talk) == WHOLE[:2]
    assert talk.rest["response"] == {"error": {"message": "over the limit"}}


def test_the_input_of_a_batch_has_no_answers_and_its_output_no_histories():
    talk = one("calls", {"custom_id": "c", "method": "POST", "url": "/v1/chat/completions", "body": CHAT})
    assert path(talk) == WHOLE[:2]
    (refused,) = found("calls", {"custom_id": "c", "response": {"status_code": 200, "body": ANSWER}})
    assert refused.reason == WITHOUT_REQUEST
    assert "--requests" in WITHOUT_REQUEST
    (refused,) = found("calls", ANSWER)
    assert refused.reason == "an answer whose request is not in its line"


def serialised(kind, words, **more):
    return {
        "lc": 1,
        "type": "constructor",
        "id": ["langchain", "schema", "messages", kind],
        "kwargs": {"content": words, **more},
    }


def test_langsmith_runs_are_read_with_the_calls_in_them():
    asked, tool = {"id": "c", "name": "f", "args": {"x": 1}}, {"type": "function", "function": {"name": "f"}}
    call = {
        "id": "r2",
        "run_type": "llm",
        "trace_id": "r1",
        "start_time": "2026-01-01T00:00:00",
        "end_time": "2026-01-01T00:00:01",
        "inputs": {"messages": [[serialised("SystemMessage", "s"), serialised("HumanMessage", "q")]]},
        "outputs": {"generations": [[{"text": "a", "message": serialised("AIMessage", "a", tool_calls=[asked])}]]},
        "extra": {"invocation_params": {"model": "m", "temperature": 0, "tools": [tool]}},
        "feedback_stats": {"correct": {"n": 1, "avg": 1.0}},
        "prompt_tokens": 3,
    }
    talk = one("langsmith", {"id": "r1", "run_type": "chain", "inputs": {"x": "y"}, "child_runs": [call]})
    assert path(talk) == WHOLE
    answer = talk.said[-1]
    assert answer.message["tool_calls"][0]["function"] == {"name": "f", "arguments": '{"x":1}'}
    assert (answer.model, answer.duration_ns, answer.usage) == ("m", 1_000_000_000, {"prompt_tokens": 3})
    assert judged(talk) == {"score:correct": (1.0, "langsmith")}
    assert (talk.sampling, talk.source) == ({"temperature": 0}, "r1")
    assert talk.tools["tools"][0]["function"]["name"] == "f"


def test_langsmith_runs_of_wrapped_clients_and_other_runs():
    talk = one("langsmith", {"id": "r", "run_type": "llm", "inputs": CHAT, "outputs": ANSWER, "trace_id": "t"})
    assert path(talk) == WHOLE
    (refused,) = found("langsmith", {"id": "r", "run_type": "tool", "inputs": {"x": 1}, "outputs": {}})
    assert refused.reason == "a run that is not a call of a model"


def span(key, parent, kind, inputs, outputs, **attributes):
    return {
        "span_id": key, "parent_span_id": parent, "name": "n",
        "start_time_unix_nano": 10**18, "end_time_unix_nano": 10**18 + 20,
        "status": {"code": "STATUS_CODE_OK"},
        "attributes": {
            "mlflow.spanType": json.dumps(kind), "mlflow.spanInputs": json.dumps(inputs),
            "mlflow.spanOutputs": json.dumps(outputs), **attributes,
        },
    }  # fmt: skip


def test_mlflow_traces_keep_the_innermost_call_and_its_assessments():
    assessment = {
        "assessment_name": "relevance", "feedback": {"value": "yes"}, "rationale": "on topic",
        "source": {"source_type": "LLM_JUDGE", "source_id": "gpt"},
    }  # fmt: skip
    trace = {
        "info": {"trace_id": "tr", "assessments": [assessment]},
        "data": {
            "spans": [
                span("a", None, "AGENT", {"x": 1}, {"y": 2}),
                span("b", "a", "CHAT_MODEL", {"messages": [[serialised("HumanMessage", "q")]]}, {}),
                span("c", "b", "CHAT_MODEL", CHAT, ANSWER, **{"mlflow.chat.tokenUsage": '{"input_tokens": 3}'}),
            ]
        },
    }
    each = found("mlflow", trace)
    talk = next(one for one in each if isinstance(one, Conversation))
    assert path(talk) == WHOLE
    assert (talk.key, talk.said[-1].duration_ns, talk.source) == ("c", 20, "tr")
    assert judged(talk) == {"score:relevance": (1.0, "mlflow LLM_JUDGE gpt")}
    assert [one.reason for one in each if isinstance(one, RefusedConversation)] == [
        "a span that wraps another call, which is kept"
    ]


NESTED = {
    "llm": {
        "model_name": "m",
        "input_messages": [
            {"message": {"role": "system", "content": "s"}},
            {"message": {"role": "user", "content": "q"}},
        ],
        "output_messages": [
            {
                "message": {
                    "role": "assistant",
                    "content": "a",
                    "tool_calls": [{"tool_call": {"id": "c", "function": {"name": "f", "arguments": "{}"}}}],
                }
            }
        ],
        "invocation_parameters": '{"temperature": 0, "model": "m"}',
        "token_count": {"prompt": 3, "completion": 4},
    },
    "openinference": {"span": {"kind": "LLM"}},
}  # fmt: skip


def flat(value, name=""):
    if isinstance(value, dict | list):
        inner = value.items() if isinstance(value, dict) else enumerate(value)
        return {
            key: end for part, each in inner for key, end in flat(each, f"{name}.{part}" if name else str(part)).items()
        }
    return {name: value}


@pytest.mark.parametrize(
    "attributes",
    [
        {"attributes": NESTED},
        {"attributes": flat(NESTED)},
        {
            "attributes.llm.model_name": "m",
            "attributes.llm.input_messages": [
                {"message.role": "system", "message.content": "s"}, {"message.role": "user", "message.content": "q"},
            ],
            "attributes.llm.output_messages": [
                {
                    "message.role": "assistant", "message.content": "a",
                    "message.tool_calls": [
                        {"tool_call.id": "c", "tool_call.function.name": "f", "tool_call.function.arguments": "{}"}
                    ],
                }
            ],
            "attributes.llm.invocation_parameters": '{"temperature": 0}',
            "attributes.llm.token_count.prompt": 3, "attributes.llm.token_count.completion": 4,
        },
    ],
)  # fmt: skip
def test_phoenix_spans_are_read_nested_flat_and_as_columns(attributes):
    context = {"context": {"trace_id": "t", "span_id": "s"}}
    annotation = {"name": "ok", "annotator_kind": "HUMAN", "result": {"score": 1.0, "explanation": "fine"}}
    talk = one("openinference", {"span_kind": "LLM", **context, **attributes, "annotations": [annotation]})
    assert path(talk) == WHOLE
    answer = talk.said[-1]
    assert answer.message["tool_calls"][0]["id"] == "c"
    assert (answer.model, answer.usage) == ("m", {"prompt_tokens": 3, "completion_tokens": 4})
    assert talk.sampling == {"temperature": 0}
    assert judged(talk) == {"score:ok": (1.0, "phoenix HUMAN")}


def test_spans_of_other_kinds_are_named():
    (refused,) = found("openinference", {"span_kind": "CHAIN", "context": {"span_id": "s"}, "attributes": {}})
    assert refused.reason == "a span that is not a call of a model"
