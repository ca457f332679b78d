"""Rows for OpenAI's fine-tuning, Together AI and Fireworks AI."""

from __future__ import annotations

import json
from typing import Any

import pytest

from regraft.domain.datasets.formats import FORMATS
from regraft.domain.datasets.formats.format import write_row
from regraft.domain.datasets.messages import Message, RowRefusal
from regraft.domain.datasets.rows import Row
from support.rows import ANSWER, OTHER, SYSTEM, TOOLS, USER, calls, pair, result, says, sft

EXCHANGE = (USER, calls('{"city": "Oslo"}'), result("snow"))
BOTH = (USER, calls('{"city": "Oslo"}', '{"city": "Bergen"}'), result("snow"), result("rain", 1))


def written(row: Row, target: str = "openai") -> Any:
    line = write_row(FORMATS[target], row)
    assert not isinstance(line, RowRefusal), line
    return json.loads(line)


def refused(row: Row, target: str = "openai") -> str:
    found = write_row(FORMATS[target], row)
    assert isinstance(found, RowRefusal), found
    return found.reason


def test_arguments_stay_the_text_that_the_model_wrote() -> None:
    said = '{"city":  "Oslo", "n": 1e-999}'
    record = written(sft(USER, calls(said), result("snow"), ANSWER, tools=TOOLS))
    assert record["messages"][1] == {
        "role": "assistant",
        "tool_calls": [
            {
                "id": "c0",
                "type": "function",
                "function": {"name": "weather", "arguments": '{"city":  "Oslo", "n": 1e-999}'},
            }
        ],
    }
    assert record["messages"][2] == {"role": "tool", "tool_call_id": "c0", "content": "snow"}
    assert record["tools"] == json.loads(TOOLS)
    assert "parallel_tool_calls" not in record


def test_parallel_calls_are_said() -> None:
    assert written(sft(*BOTH, ANSWER, tools=TOOLS))["parallel_tool_calls"] is True
    assert "parallel_tool_calls" not in written(sft(*BOTH, ANSWER, tools=TOOLS), "together")


def test_an_answer_that_is_not_learned_from_has_the_weight_zero() -> None:
    earlier = says("assistant", "Where?", weight=0.0)
    record = written(sft(USER, earlier, USER, ANSWER))
    assert record["messages"][1] == {"role": "assistant", "content": "Where?", "weight": 0}
    assert "weight" not in record["messages"][3]
    assert refused(sft(USER, says("assistant", "x", weight=0.5), USER, ANSWER)) == "message_weight"


def test_what_openai_has_is_kept_developers_names_and_text_parts() -> None:
    asked = says("user", None, parts=["a", "b"], name="ann")
    record = written(sft(says("developer", "Be brief."), asked, ANSWER))
    assert [message["role"] for message in record["messages"]] == ["developer", "user", "assistant"]
    assert record["messages"][1]["content"] == [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert record["messages"][1]["name"] == "ann"


def test_a_pair_is_an_input_and_one_text_a_side() -> None:
    record = written(pair((SYSTEM, *EXCHANGE), tools=TOOLS))
    assert list(record) == ["input", "preferred_output", "non_preferred_output"]
    assert list(record["input"]) == ["messages", "tools"]
    assert record["preferred_output"] == [{"role": "assistant", "content": "It snows."}]
    assert record["non_preferred_output"] == [{"role": "assistant", "content": "I do not know."}]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (pair((USER,), calls("{}")), "answer_not_text"),
        (pair((USER,), says("assistant", None, parts=["a", "b"])), "answer_not_text"),
        (pair((USER,), ANSWER, (calls("{}"), result("snow"), OTHER)), "several_messages"),
        (sft(USER, says("assistant", "x", reasoning="hm")), "reasoning_unsupported"),
        (sft(USER, calls("[1]")), "arguments_not_object"),
        (sft(USER, {**calls("{}"), "tool_calls": [{**calls("{}")["tool_calls"][0], "id": None}]}), "call_without_id"),
        (sft(USER, calls("{}"), says("tool", "snow"), ANSWER), "call_without_id"),
        (sft(USER, ANSWER, tools='[{"function":{"name":"a b"},"type":"function"}]'), "tool_name_unsupported"),
        (sft(USER, ANSWER, tools=json.dumps([json.loads(TOOLS)[0]] * 129)), "too_many_tools"),
        (pair((USER,), kind="reward"), "kind_unsupported"),
    ],
)
def test_what_openai_cannot_say_is_refused(row: Row, reason: str) -> None:
    assert refused(row) == reason


@pytest.mark.parametrize(
    ("target", "messages", "reason"),
    [
        ("together", (USER, USER, ANSWER), "roles_do_not_alternate"),
        ("together", (says("developer", "x"), USER, ANSWER), "role_unsupported"),
        ("together", (USER, SYSTEM, ANSWER), "system_not_first"),
        ("together", (says("user", None, parts=["a", "b"]), ANSWER), "several_text_parts"),
        ("together", (says("user", "x", name="ann"), ANSWER), "name_unsupported"),
        ("together", (USER, calls('{"n": 1e-999}')), "not_lossless"),
        ("fireworks", (USER, SYSTEM, ANSWER), "system_not_first"),
    ],
)
def test_the_services_say_less(target: str, messages: tuple[Message, ...], reason: str) -> None:
    assert refused(sft(*messages), target) == reason


def test_fireworks_takes_what_the_model_thought_and_no_tools_in_a_pair() -> None:
    record = written(sft(USER, says("assistant", "x", reasoning="hm")), "fireworks")
    assert record["messages"][1] == {"role": "assistant", "content": "x", "reasoning_content": "hm"}
    assert refused(pair(EXCHANGE), "fireworks") == "calls_unsupported"
    assert refused(pair((USER,), tools=TOOLS), "fireworks") == "tools_unsupported"
    assert written(pair(EXCHANGE, tools=TOOLS), "together")["input"]["tools"] == json.loads(TOOLS)
