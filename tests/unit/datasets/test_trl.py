"""Rows for TRL, proven by reading them back."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regraft.domain.datasets.content import content_hash, illegal, parts_of, row_digest
from regraft.domain.datasets.formats import FORMATS, format_named, trl
from regraft.domain.datasets.formats.format import write_row
from regraft.domain.datasets.formats.json_text import line
from regraft.domain.datasets.kinds import KINDS
from regraft.domain.datasets.messages import (
    RowRefusal,
    canonical_message,
    canonical_messages,
    dropped_fields,
    message_of,
)
from regraft.domain.datasets.recipe import KindName
from regraft.domain.datasets.rows import LAST_ONLY, Row
from regraft.domain.datasets.tools import tool_list
from regraft.domain.errors import IllegalRowError, UsageError
from regraft.domain.ids import parse_json

USER = {"role": "user", "content": "Where?"}
TEXT = st.text(st.characters(blacklist_categories=["Cs"]))
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


def calling(arguments: Any) -> dict[str, Any]:
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": arguments}}],
    }


def sft(*bodies: dict[str, Any], tools: str | None = None) -> Row:
    messages = canonical_messages(bodies)
    assert not isinstance(messages, RowRefusal)
    return Row(row_id="r", kind="sft", session_id="s", sources=(), messages=messages, tools=tools)


def dpo(prompt: list[dict[str, Any]], chosen: str, rejected: str) -> Row:
    sides = [canonical_messages([{"role": "assistant", "content": text}]) for text in (chosen, rejected)]
    asked = canonical_messages(prompt)
    assert not isinstance(asked, RowRefusal)
    assert not any(isinstance(side, RowRefusal) for side in sides)
    return Row(row_id="r", kind="dpo", session_id="s", sources=(), prompt=asked, chosen=sides[0], rejected=sides[1])  # type: ignore[arg-type]


def reason(body: Any) -> str:
    found = canonical_message(body)
    return found.reason if isinstance(found, RowRefusal) else ""


def encoded(row: Row) -> dict[str, Any]:
    written = write_row(FORMATS["trl"], row)
    assert not isinstance(written, RowRefusal), written
    record = trl.record_of(row)
    assert not isinstance(record, RowRefusal)
    assert written == line(record)
    return record


def test_arguments_become_an_object_and_tools_stay_text() -> None:
    row = sft(
        USER,
        calling('{"b": 1.0, "a": [1]}'),
        {"role": "tool", "content": "here", "tool_call_id": "1"},
        {"role": "assistant", "content": "Here."},
        tools='[{"type":"function"}]',
    )
    record = json.loads(line(encoded(row)))
    assert list(record) == ["messages", "tools"]
    assert record["tools"] == '[{"type":"function"}]'
    arguments = record["messages"][1]["tool_calls"][0]["function"]["arguments"]
    assert list(arguments.items()) == [("b", 1.0), ("a", [1])]
    assert "content" not in record["messages"][1]
    assert record["messages"][2] == {"role": "tool", "content": "here", "tool_call_id": "1"}


def test_dpo_is_explicit() -> None:
    record = encoded(dpo([USER], "Here.", "There."))
    assert record == {
        "prompt": [USER],
        "chosen": [{"role": "assistant", "content": "Here."}],
        "rejected": [{"role": "assistant", "content": "There."}],
    }


@given(st.dictionaries(TEXT, JSON, max_size=4), TEXT)
def test_what_is_written_reads_back_as_the_same_branch(arguments: dict[str, Any], content: str) -> None:
    row = sft({"role": "user", "content": content}, calling(json.dumps(arguments)))
    record = encoded(row)
    decoded = trl.decode(json.loads(line(record)), "sft")
    assert decoded["messages"][0] == row.messages[0]
    again = json.loads(decoded["messages"][1]["tool_calls"][0]["function"]["arguments"])
    assert again == arguments


def test_keys_that_a_loader_filled_with_null_are_absent_keys() -> None:
    row = sft(USER, {"role": "assistant", "content": "Here."})
    record = encoded(row)
    filled = {"messages": [{**message, "tool_calls": None, "name": None} for message in record["messages"]]}
    assert trl.decode(filled, "sft") == parts_of(row)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("", "arguments_not_object"),
        ("[1]", "arguments_not_object"),
        ("{broken", "arguments_not_object"),
        ('{"a": 1, "a": 2}', "arguments_not_object"),
        ('{"a": 1e-999}', "number_or_loss"),
        ('{"a": 0.1000000000000000055511151231257827}', "number_or_loss"),
        ('{"a": 123456789012345678901234567890}', "number_or_loss"),
        ('{"a": 1e999}', "number_or_loss"),
    ],
)
def test_arguments_that_would_change_are_refused(arguments: str, expected: str) -> None:
    found = write_row(FORMATS["trl"], sft(USER, calling(arguments)))
    assert isinstance(found, RowRefusal)
    assert found.reason in {expected, *(("number_lost", "not_lossless") if expected == "number_or_loss" else ())}


def test_numbers_that_only_look_different_pass() -> None:
    record = encoded(sft(USER, calling('{"a": 1.0, "b": 1e2, "c": 0.10, "d": -0}')))
    assert '{"a": 1.0, "b": 1e2, "c": 0.10, "d": ' in trl.line(record)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"role": "critic", "content": "x"}, "role_unsupported"),
        ({"role": "developer", "content": "x"}, ""),
        ({"role": "user", "content": [{"type": "image_url", "image_url": {}}]}, "content_not_text"),
        (
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
            "",
        ),
        ({"role": "assistant", "content": None}, "no_answer"),
        ({"role": "user"}, "no_content"),
        ({"role": "assistant", "content": "", "function_call": {"name": ""}}, "call_without_name"),
        ({"role": "assistant", "content": "", "function_call": "f"}, "call_not_function"),
        ({"role": "assistant", "audio": {"id": "a"}}, "content_not_text"),
        ({"role": "assistant", "tool_calls": [{"type": "custom", "custom": {}}]}, "call_not_function"),
        ({"role": "assistant", "tool_calls": [{"type": "function", "function": {"name": ""}}]}, "call_without_name"),
        ({"role": "user", "content": "\ud800"}, "not_unicode"),
        ("text", "not_a_message"),
        ({"role": "user", "content": "x", "name": 3}, "not_a_message"),
        ({"role": "assistant", "content": "x", "tool_calls": {"0": {}}}, "call_not_function"),
        ({"role": "user", "content": [{"type": "text", "text": "one part"}]}, ""),
        ({"role": "user", "content": "NUL \0 is text"}, ""),
    ],
)
def test_what_has_no_canonical_form_says_why(body: Any, expected: str) -> None:
    assert reason(body) == expected


def test_shapes_that_trainers_take_without_a_word_are_refused() -> None:
    def refused(row: Row) -> str:
        found = illegal(row)
        return found.reason if found else ""

    assert refused(sft(USER)) == "no_answer"
    assert refused(dpo([], "a", "b")) == "empty_prompt"
    assert refused(dpo([USER, {"role": "assistant", "content": "x"}], "a", "b")) == "prompt_ends_with_answer"


def test_dropped_fields_are_named_when_they_hold_something() -> None:
    body = {"role": "assistant", "content": "x", "refusal": None, "annotations": [], "logprobs": [1], "weight": 1}
    assert dropped_fields(body) == {"logprobs"}
    assert canonical_message(body) == canonical_message({"role": "assistant", "content": "x"})


def test_a_datasets_hash_is_of_its_rows_not_of_their_order() -> None:
    one, two = sft(USER, {"role": "assistant", "content": "a"}), dpo([USER], "a", "b")
    two = Row(**{**{name: getattr(two, name) for name in Row.__slots__}, "row_id": "q"})
    entries = [(row.row_id, "train", row_digest(row)) for row in (one, two)]
    other = [entries[0], (*entries[1][:1], "validation", entries[1][2])]
    assert content_hash(entries) == content_hash(entries[::-1]) != content_hash(other)


def test_a_line_keeps_order_and_literals() -> None:
    text = '{"b": 1e-999, "a": [true, null, "é"]}'
    assert line(parse_json(text)) == text


def test_a_stored_record_becomes_what_an_export_holds() -> None:
    row = sft(USER, calling('{"b": 1.5, "a": [1]}'), {"role": "assistant", "content": "x"}, tools="[]")
    stored = {"messages": [dict(message) for message in row.messages], "tools": row.tools}
    assert trl.from_stored(stored) == json.loads(line(encoded(row)))
    broken = {"messages": [canonical_message(calling("[1]"))]}
    with pytest.raises(IllegalRowError, match="arguments_not_object"):
        trl.from_stored(broken)


def test_a_tool_list_is_cut_from_the_request_and_what_is_no_function_is_refused() -> None:
    tool = {"type": "function", "function": {"name": "f"}}
    assert tool_list({}) is None
    assert tool_list({"tools": [], "tool_choice": "none"}) is None
    assert tool_list({"tools": [tool], "tool_choice": "auto"}) == '[{"function":{"name":"f"},"type":"function"}]'
    for part in ({"tools": [{"type": "web_search"}]}, {"functions": {"name": "f"}}, {"tools": "f"}):
        assert isinstance(tool_list(part), RowRefusal)


def test_a_row_that_a_format_cannot_express_is_legal_all_the_same() -> None:
    row = sft(
        USER,
        calling("[1]"),
        {"role": "tool", "content": "x", "tool_call_id": "1"},
        {"role": "assistant", "content": "y"},
    )
    assert illegal(row) is None
    found = write_row(FORMATS["trl"], row)
    assert isinstance(found, RowRefusal)
    assert found.reason == "arguments_not_object"


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (message_of("developer", "x"), "role_unsupported"),
        (message_of("user", None, parts=["a", "b"]), "several_text_parts"),
        (message_of("assistant", "x", weight=0.5), "message_weight"),
    ],
)
def test_what_trl_has_no_form_for_is_refused(message: dict[str, Any], expected: str) -> None:
    row = Row(row_id="r", kind="sft", session_id="s", sources=(), messages=(message, message_of("assistant", "y")))
    found = write_row(FORMATS["trl"], row)
    assert isinstance(found, RowRefusal)
    assert found.reason == expected


def test_what_the_model_thought_is_thinking() -> None:
    row = Row(
        row_id="r",
        kind="sft",
        session_id="s",
        sources=(),
        messages=(message_of("user", "?"), message_of("assistant", "x", reasoning="hm")),
    )
    assert encoded(row)["messages"][1] == {"role": "assistant", "content": "x", "thinking": "hm"}


def test_a_row_of_which_only_the_last_answer_counts_is_prompt_and_completion() -> None:
    messages = (message_of("user", "?"), message_of("assistant", "a", weight=0.0), message_of("user", "And?"))
    row = Row(
        row_id="r",
        kind="sft",
        session_id="s",
        sources=(),
        messages=(*messages, message_of("assistant", "b")),
        notes=(LAST_ONLY,),
    )
    record = encoded(row)
    assert list(record) == ["prompt", "completion"]
    assert [message["content"] for message in record["prompt"]] == ["?", "a", "And?"]
    assert record["completion"] == [{"role": "assistant", "content": "b"}]


def test_a_format_has_its_name_and_an_unknown_one_is_refused_with_the_names_there_are() -> None:
    assert all(format_named(name).name == name for name in FORMATS)
    with pytest.raises(UsageError, match=r"'csv'.*trl"):
        format_named("csv")


def test_every_kind_that_a_recipe_may_name_is_registered() -> None:
    assert set(get_args(KindName)) == set(KINDS)
