"""Rows in the plain ShareGPT and Alpaca forms."""

from __future__ import annotations

import json
from typing import Any

import pytest

from regraft.domain.datasets.formats import FORMATS
from regraft.domain.datasets.formats.format import write_row
from regraft.domain.datasets.messages import RowRefusal
from regraft.domain.datasets.rows import Row
from support.rows import ANSWER, OTHER, SYSTEM, TOOLS, USER, calls, result, says, sft


def written(row: Row, target: str) -> Any:
    line = write_row(FORMATS[target], row)
    assert not isinstance(line, RowRefusal), line
    return json.loads(line)


def test_sharegpt_is_who_speaks_and_what() -> None:
    assert written(sft(SYSTEM, USER, ANSWER), "sharegpt") == {
        "conversations": [
            {"from": "system", "value": "Be brief."},
            {"from": "human", "value": "What is the weather in Oslo?"},
            {"from": "gpt", "value": "It snows."},
        ]
    }


def test_alpaca_is_a_task_with_what_came_before_as_history() -> None:
    assert written(sft(SYSTEM, USER, OTHER, says("user", "And now?"), ANSWER), "alpaca") == {
        "instruction": "And now?",
        "input": "",
        "output": "It snows.",
        "system": "Be brief.",
        "history": [["What is the weather in Oslo?", "I do not know."]],
    }


@pytest.mark.parametrize("target", ["sharegpt", "alpaca"])
@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (sft(USER, calls("{}"), result("snow"), ANSWER), "calls_unsupported"),
        (sft(USER, calls("{}")), "calls_unsupported"),
        (sft(USER, ANSWER, tools=TOOLS), "tools_unsupported"),
        (sft(USER, says("assistant", "x", reasoning="hm")), "reasoning_unsupported"),
        (sft(USER, says("assistant", "x", weight=0.0), USER, ANSWER), "message_weight"),
        (sft(says("user", None, parts=["a", "b"]), ANSWER), "several_text_parts"),
        (sft(says("developer", "x"), USER, ANSWER), "role_unsupported"),
        (sft(USER, USER, ANSWER), "roles_do_not_alternate"),
        (sft(USER, SYSTEM, ANSWER), "system_not_first"),
        (sft(says("user", "x", name="ann"), ANSWER), "name_unsupported"),
    ],
)
def test_more_than_words_that_take_turns_is_refused(target: str, row: Row, reason: str) -> None:
    found = write_row(FORMATS[target], row)
    assert isinstance(found, RowRefusal)
    assert found.reason == reason
