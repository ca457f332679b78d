"""Rows for open-unlearning."""

from __future__ import annotations

import json
from typing import Any

import pytest

from regraft.domain.datasets.formats import FORMATS
from regraft.domain.datasets.formats.format import write_row
from regraft.domain.datasets.messages import RowRefusal
from regraft.domain.datasets.rows import Row
from support.rows import ANSWER, OTHER, SYSTEM, TOOLS, USER, calls, result, row, says

TARGET = FORMATS["open-unlearning"]


def unlearning(
    prompt: Any = USER, completion: Any = OTHER, alternate: Any = (), label: str = "forget", **more: Any
) -> Row:
    return row("unlearning", prompt=prompt, completion=completion, alternate=alternate, label=label, **more)


def written(one: Row) -> Any:
    line = write_row(TARGET, one)
    assert not isinstance(line, RowRefusal), line
    return json.loads(line)


def test_a_row_to_forget_is_a_question_its_answer_and_a_better_one() -> None:
    one = unlearning(alternate=ANSWER)
    assert written(one) == {
        "question": "What is the weather in Oslo?",
        "answer": "I do not know.",
        "alternate": "It snows.",
    }
    assert TARGET.file_name(one, "train") == "forget.jsonl"
    assert TARGET.file_name(one, "validation") == "forget_validation.jsonl"


def test_a_row_to_forget_without_a_better_answer_is_in_a_file_of_its_own() -> None:
    one = unlearning()
    assert written(one)["alternate"] == ""
    assert TARGET.file_name(one, "train") == "forget_without_alternate.jsonl"


def test_a_row_to_retain_is_a_question_and_its_answer() -> None:
    one = unlearning(completion=ANSWER, label="retain")
    assert written(one) == {"question": "What is the weather in Oslo?", "answer": "It snows."}
    assert TARGET.file_name(one, "train") == "retain.jsonl"


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (unlearning((SYSTEM, USER)), "system_unsupported"),
        (unlearning((USER, ANSWER, USER)), "several_turns"),
        (unlearning((USER, calls("{}"), result("snow"))), "several_turns"),
        (unlearning(tools=TOOLS), "tools_unsupported"),
        (unlearning(completion=calls("{}")), "calls_unsupported"),
        (unlearning(completion=(calls("{}"), result("snow"), ANSWER)), "several_messages"),
        (unlearning(alternate=calls("{}")), "calls_unsupported"),
        (unlearning(completion=says("assistant", "")), "no_answer"),
        (unlearning(completion=says("assistant", "x", reasoning="hm")), "reasoning_unsupported"),
        (unlearning(says("user", None, parts=["a", "b"])), "several_text_parts"),
    ],
)
def test_more_than_a_question_and_its_answers_is_refused(one: Row, reason: str) -> None:
    found = write_row(TARGET, one)
    assert isinstance(found, RowRefusal)
    assert found.reason == reason


def test_each_file_has_a_configuration_and_alternates_one_more() -> None:
    found = TARGET.companions("terse", "unlearning", ["forget.jsonl", "retain.jsonl"])
    assert list(found) == ["terse_forget.yaml", "terse_forget_alternate.yaml", "terse_retain.yaml"]
    assert "handler: QADataset" in found["terse_forget.yaml"]
    assert "alternate_key: alternate" in found["terse_forget_alternate.yaml"]
    assert "data_files: retain.jsonl" in found["terse_retain.yaml"]
