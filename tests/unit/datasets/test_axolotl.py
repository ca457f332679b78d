"""Rows for axolotl."""

from __future__ import annotations

import json
from typing import Any

import pytest

from regraft.domain.datasets.formats import FORMATS
from regraft.domain.datasets.formats.format import write_row
from regraft.domain.datasets.messages import RowRefusal
from regraft.domain.datasets.rows import Row
from support.rows import ANSWER, SYSTEM, TOOLS, USER, calls, pair, result, says, sft

TARGET = FORMATS["axolotl"]


def written(row: Row) -> Any:
    line = write_row(TARGET, row)
    assert not isinstance(line, RowRefusal), line
    return json.loads(line)


def refused(row: Row) -> str:
    found = write_row(TARGET, row)
    assert isinstance(found, RowRefusal), found
    return found.reason


def test_arguments_and_tools_are_text_so_that_a_null_in_them_survives() -> None:
    record = written(sft(USER, calls('{"city": null}'), result("snow"), ANSWER, tools=TOOLS))
    assert record["messages"][1]["tool_calls"][0]["function"]["arguments"] == '{"city": null}'
    assert record["tools"] == TOOLS


def test_answers_that_are_not_learned_from_have_a_flag() -> None:
    messages = written(sft(USER, says("assistant", "Where?", weight=0.0), USER, ANSWER))["messages"]
    assert messages[1] == {"role": "assistant", "content": "Where?", "train": False}
    assert "train" not in messages[3]


def test_what_the_model_thought_is_reasoning_content() -> None:
    messages = written(sft(USER, says("assistant", "x", reasoning="hm")))["messages"]
    assert messages[1] == {"role": "assistant", "content": "x", "reasoning_content": "hm"}


def test_a_pair_is_messages_and_one_answer_a_side() -> None:
    assert written(pair((SYSTEM, USER))) == {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "What is the weather in Oslo?"},
        ],
        "chosen": {"role": "assistant", "content": "It snows."},
        "rejected": {"role": "assistant", "content": "I do not know."},
    }


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (sft(USER, says("assistant", "x", weight=0.5)), "message_weight"),
        (sft(says("developer", "x"), USER, ANSWER), "role_unsupported"),
        (sft(says("user", None, parts=["a", "b"]), ANSWER), "several_text_parts"),
        (sft(USER, calls("[1]")), "arguments_not_object"),
        (sft(USER, calls('{"n": 1e-999}')), "not_lossless"),
        (pair((USER,), says("assistant", "")), "answer_found_elsewhere"),
        (pair((USER,), ANSWER, says("assistant", "user")), "answer_found_elsewhere"),
        (pair((USER,), says("assistant", "dummy_message")), "answer_found_elsewhere"),
        (pair((USER,), says("assistant", " It snows.")), "blanks_around_answer"),
        (pair((USER,), says("assistant", "<think>hm</think>It snows.")), "thought_in_answer"),
        (pair((USER,), (calls("{}"), result("snow"), ANSWER)), "several_messages"),
        (pair((USER,), calls("{}")), "calls_unsupported"),
        (pair((USER, calls("{}"), result("snow"))), "calls_unsupported"),
        (pair((USER,), tools=TOOLS), "tools_unsupported"),
        (pair((says("user", "x", name="ann"),)), "name_unsupported"),
        (pair((USER,), says("assistant", "x y z", reasoning="hm")), "reasoning_unsupported"),
        (pair((says("user", None, parts=["a", "b"]),)), "several_text_parts"),
        (pair((USER,), kind="reward"), "kind_unsupported"),
    ],
)
def test_what_axolotl_drops_or_changes_is_refused(row: Row, reason: str) -> None:
    assert refused(row) == reason


def test_the_configuration_names_files_fields_and_the_flag() -> None:
    text = TARGET.companions("terse", "sft", ["train.jsonl", "validation.jsonl"])["axolotl.yaml"]
    assert text.splitlines()[1:] == [
        "datasets:",
        "  - path: .",
        "    split: train",
        "    type: chat_template",
        "    field_messages: messages",
        "    message_field_training: train",
        "test_datasets:",
        "  - path: .",
        "    split: validation",
        "    type: chat_template",
        "    field_messages: messages",
        "    message_field_training: train",
    ]
    pairs = TARGET.companions("terse", "dpo", ["train.jsonl"])["axolotl.yaml"]
    assert "rl: dpo" in pairs
    assert "type: chat_template.default" in pairs
    assert "test_datasets" not in pairs
