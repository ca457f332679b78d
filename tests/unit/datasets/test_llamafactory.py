"""Rows for LLaMA-Factory."""

from __future__ import annotations

import json
from typing import Any

import pytest

from regraft.domain.datasets.formats import FORMATS
from regraft.domain.datasets.formats.format import write_row
from regraft.domain.datasets.messages import Message, RowRefusal
from regraft.domain.datasets.rows import Row
from support.rows import ANSWER, OTHER, SYSTEM, TOOLS, USER, calls, pair, result, row, says, sft

TARGET = FORMATS["llamafactory"]
CALL = calls('{"city": "Oslo"}')


def written(one: Row) -> Any:
    line = write_row(TARGET, one)
    assert not isinstance(line, RowRefusal), line
    return json.loads(line)


def refused(one: Row) -> str:
    found = write_row(TARGET, one)
    assert isinstance(found, RowRefusal), found
    return found.reason


def turns(*messages: Message) -> list[tuple[str, str]]:
    return [(turn["from"], turn["value"]) for turn in written(sft(*messages, tools=TOOLS))["conversations"]]


def test_a_conversation_is_turns_with_system_and_tools_beside_them() -> None:
    record = written(sft(SYSTEM, USER, CALL, result("snow"), ANSWER, tools=TOOLS))
    assert record == {
        "conversations": [
            {"from": "human", "value": "What is the weather in Oslo?"},
            {"from": "function_call", "value": '[{"name": "weather", "arguments": {"city": "Oslo"}}]'},
            {"from": "observation", "value": "snow"},
            {"from": "gpt", "value": "It snows."},
        ],
        "system": "Be brief.",
        "tools": TOOLS,
    }


def test_every_row_has_a_system_and_tools_because_a_missing_key_stops_the_converter() -> None:
    assert {key: written(sft(USER, ANSWER))[key] for key in ("system", "tools")} == {"system": "", "tools": ""}


def test_text_beside_a_call_and_thought_before_it_are_marked() -> None:
    said = '[{"name": "weather", "arguments": {}}]'
    assert turns(USER, calls("{}", content="Let me see."))[1][1] == f"Let me see.<tool_call>{said}</tool_call>"
    assert turns(USER, calls("{}", reasoning="hm"))[1][1] == f"<think>\nhm\n</think>\n\n{said}"
    thought = turns(USER, says("assistant", "x", reasoning="hm"))
    assert thought[1] == ("gpt", "<think>\nhm\n</think>\n\nx")


def test_parallel_calls_may_end_a_row_and_not_be_answered_in_it() -> None:
    both = calls("{}", '{"city": "Bergen"}')
    assert json.loads(turns(USER, both)[1][1])[1]["arguments"] == {"city": "Bergen"}
    assert refused(sft(USER, both, result("snow"), result("rain", 1), ANSWER)) == "results_in_a_row"


def test_empty_text_beside_a_call_is_no_text() -> None:
    assert turns(USER, calls("{}", content=""))[1][1].startswith("[")


def test_the_name_of_a_result_is_that_of_its_call() -> None:
    named = {**result("snow"), "name": "weather"}
    assert turns(USER, CALL, named, ANSWER)[2] == ("observation", "snow")
    assert refused(sft(USER, CALL, {**named, "name": "tides"}, ANSWER)) == "name_unsupported"


@pytest.mark.parametrize("kind", ["dpo", "reward"])
def test_a_pair_is_a_prompt_with_one_turn_a_side_and_a_call_is_a_call(kind: str) -> None:
    record = written(pair((SYSTEM, USER), CALL, OTHER, tools=TOOLS, kind=kind))
    assert record["chosen"] == {
        "from": "function_call",
        "value": '[{"name": "weather", "arguments": {"city": "Oslo"}}]',
    }
    assert record["rejected"] == {"from": "gpt", "value": "I do not know."}
    assert record["conversations"] == [{"from": "human", "value": "What is the weather in Oslo?"}]


@pytest.mark.parametrize(("label", "wanted"), [("true", True), ("false", False)])
def test_suppression_is_kto(label: str, wanted: bool) -> None:
    record = written(row("suppression", prompt=(USER,), completion=ANSWER, label=label))
    assert record["conversations"][-1] == {"from": "gpt", "value": "It snows."}
    assert record["label"] is wanted


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (sft(USER, USER, ANSWER), "roles_do_not_alternate"),
        (sft(ANSWER, USER, ANSWER), "roles_do_not_alternate"),
        (sft(USER, SYSTEM, ANSWER), "system_not_first"),
        (sft(says("system", ""), USER, ANSWER), "empty_system"),
        (sft(says("developer", "x"), USER, ANSWER), "role_unsupported"),
        (sft(says("user", None, parts=["a", "b"]), ANSWER), "several_text_parts"),
        (sft(says("user", "x", name="ann"), ANSWER), "name_unsupported"),
        (sft(USER, says("assistant", "x", weight=0.0), USER, ANSWER), "message_weight"),
        (sft(says("user", "What is {{idx}}?"), ANSWER), "placeholder_in_text"),
        (sft(USER, calls('{"city": "<tool_call>"}')), "call_marker_in_text"),
        (sft(USER, calls("[1]")), "arguments_not_object"),
        (sft(USER, calls('{"n": 1e-999}')), "not_lossless"),
        (sft(USER, says("assistant", "<think>\nhm\n</think>\n\nx")), "not_lossless"),
        (sft(USER, says("assistant", "x", reasoning="a\n</think>\n\nb")), "not_lossless"),
        (pair((USER,), ANSWER, (CALL, result("snow"), ANSWER)), "several_messages"),
        (pair((USER,), says("assistant", "x", name="bob")), "name_unsupported"),
        (pair((USER, CALL, result("a"), ANSWER)), "roles_do_not_alternate"),
        (row("suppression", prompt=(USER,), completion=(CALL, result("a"), ANSWER), label="true"), "several_messages"),
    ],
)
def test_what_the_converter_drops_or_changes_is_refused(one: Row, reason: str) -> None:
    assert refused(one) == reason


def test_files_are_registered_with_the_columns_of_their_kind() -> None:
    info = json.loads(TARGET.companions("terse", "dpo", ["train.jsonl", "validation.jsonl"])["dataset_info.json"])
    assert list(info) == ["terse", "terse_validation"]
    assert info["terse"] == {
        "file_name": "train.jsonl",
        "formatting": "sharegpt",
        "ranking": True,
        "columns": {
            "messages": "conversations",
            "system": "system",
            "tools": "tools",
            "chosen": "chosen",
            "rejected": "rejected",
        },
    }
    kto = json.loads(TARGET.companions("terse", "suppression", ["train.jsonl"])["dataset_info.json"])
    assert kto["terse"]["columns"]["kto_tag"] == "label"
    assert "ranking" not in kto["terse"]


def test_markers_are_looked_for_in_linear_time() -> None:
    many = "<think>\n" * 200_000
    assert turns(USER, says("assistant", many))[1] == ("gpt", many)
