"""The text that digests of rows are made of, and the short way from stored and recorded messages to rows."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from regraft.domain.datasets.kinds import KINDS
from regraft.domain.datasets.messages import ADDED_KEYS, Message, RowRefusal, canonical_message, compact, message_of
from regraft.domain.datasets.row_text import row_line
from regraft.domain.datasets.rows import Row, RowSource
from regraft.domain.ids import canonical_json, parse_json
from regraft.infra.iceberg.rows import from_batch, to_batch
from regraft.infra.text.plain_message import plain_message

TEXTS = st.text(st.one_of(st.characters(), st.sampled_from('"\\\n\t\x00\x1f\x7f\u2028é字😀')), max_size=12).filter(
    lambda text: text.isascii() or not any("\ud800" <= each <= "\udfff" for each in text)
)
MAYBE = st.one_of(st.none(), TEXTS)
CALLS = st.fixed_dictionaries(
    {"id": MAYBE, "type": st.just("function"), "function": st.fixed_dictionaries({"name": TEXTS, "arguments": TEXTS})}
)
MESSAGES = st.fixed_dictionaries(
    {
        "role": st.sampled_from(["system", "user", "assistant", "tool"]),
        "content": MAYBE,
        "tool_calls": st.lists(CALLS, max_size=2),
        "tool_call_id": MAYBE,
        "name": MAYBE,
        "parts": st.one_of(st.none(), st.lists(TEXTS, max_size=2)),
        "reasoning": MAYBE,
        "weight": st.one_of(st.none(), st.floats(0, 1e30)),
    }
)
LISTS = st.lists(MESSAGES, max_size=3).map(tuple)


@st.composite
def rows(draw: st.DrawFn) -> Row:
    """Rows of every kind, with texts that JSON escapes."""
    kind = draw(st.sampled_from(sorted(KINDS)))
    source = st.builds(RowSource, TEXTS, TEXTS, TEXTS)
    return Row(
        row_id=draw(TEXTS),
        kind=kind,
        session_id=draw(TEXTS),
        sources=tuple(draw(st.lists(source, max_size=2))),
        tools=draw(MAYBE),
        tools_digest=draw(MAYBE),
        anchor=draw(MAYBE),
        label=draw(MAYBE),
        label_source=draw(TEXTS),
        margin=draw(st.floats(0, 1)),
        score=draw(st.floats(0, 1)),
        stratum=draw(TEXTS),
        negative=draw(TEXTS),
        evidence=draw(TEXTS),
        agreement=draw(st.one_of(st.none(), st.floats(-1, 1))),
        notes=tuple(draw(st.lists(TEXTS, max_size=2))),
        **{name: draw(LISTS) for name in KINDS[kind].columns},
    )


def line_of(row: Row, split: str | None) -> bytes:
    """The text by its definition: a JSON object with sorted keys."""
    line: dict[str, Any] = {
        **{name: getattr(row, name) for name in ("tools", "row_id", "session_id", "tools_digest", "anchor")},
        "label_source": row.label_source,
        "sources": [[source.part, source.node_id, source.turn_id] for source in row.sources],
        "margin": repr(row.margin),
        "score": repr(row.score),
    }
    if split is not None:
        line["split"] = split
    for name in KINDS[row.kind].columns:
        line[name] = [compact(message) for message in getattr(row, name)]
    line |= {name: value for name in ("label", "stratum", "negative", "evidence") if (value := getattr(row, name))}
    if row.notes:
        line["notes"] = row.notes
    if row.agreement is not None:
        line["agreement"] = repr(row.agreement)
    return canonical_json(line).encode()


@given(rows(), st.sampled_from([None, "train"]))
def test_the_text_of_a_row_is_its_canonical_json(row: Row, split: str | None) -> None:
    assert row_line(row, split) == line_of(row, split)


def test_half_a_character_in_a_tool_list_is_escaped() -> None:
    row = Row(row_id="r", kind="sft", session_id="s", sources=(), tools='[{"description": "\ud800"}]')
    assert row_line(row) == line_of(row, None)
    assert b"\\ud800" in row_line(row)


@given(st.lists(rows(), min_size=1, max_size=4))
def test_rows_come_back_from_their_columns(made: list[Row]) -> None:
    same = [replace(row, kind=made[0].kind) for row in made]
    filled = [
        replace(row, **{name: getattr(row, name) if name in KINDS[row.kind].columns else () for name in LIST_NAMES})
        for row in same
    ]
    batch = to_batch([(row, "train") for row in filled], filled[0].kind)
    assert from_batch(batch, filled[0].kind) == [(row, "train") for row in filled]
    assert from_batch(batch.slice(1), filled[0].kind) == [(row, "train") for row in filled[1:]]


LIST_NAMES = ("messages", "prompt", "completion", "chosen", "rejected", "alternate")


def test_a_column_of_before_has_no_added_keys() -> None:
    row = Row(row_id="r", kind="sft", session_id="s", sources=(), messages=(message_of("user", "hello"),))
    batch = to_batch([(row, "train")], "sft")
    place = batch.schema.get_field_index("messages")
    first = [
        [{key: value for key, value in each.items() if key not in ADDED_KEYS} for each in said]
        for said in batch.column(place).to_pylist()
    ]
    names = [
        name for name in batch.schema.names if name not in ("stratum", "negative", "evidence", "agreement", "notes")
    ]
    before = batch.set_column(place, "messages", pa.array(first)).select(names)
    assert from_batch(before, "sft") == [(row, "train")]


BODIES: list[Any] = [
    {"role": "user", "content": "hello"},
    {"role": "user", "content": ""},
    {"role": "user", "content": None},
    {"role": "user"},
    {"role": "tool", "content": "7", "tool_call_id": "c", "name": "f"},
    {"role": "function", "content": "7", "name": "f"},
    {"role": "narrator", "content": "7"},
    {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "type": "function", "function": {}}]},
    {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}]},
    {"role": "assistant", "tool_calls": [{"id": None, "function": {"name": "", "arguments": "{}"}}]},
    {"role": "assistant", "tool_calls": [{"id": "c", "type": None, "function": {"name": "f", "arguments": "{}"}}]},
    {"role": "assistant", "tool_calls": [{"id": "c", "index": 0, "function": {"name": "f", "arguments": "{}"}}]},
    {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": {"x": 1}}}]},
    {"role": "assistant", "content": "a", "tool_calls": None, "name": None},
    {"role": "assistant", "content": "a", "tool_calls": [], "refusal": None},
    {"role": "assistant", "content": "a", "weight": 0},
    {"role": "assistant", "content": "a", "reasoning_content": "because"},
    {"role": "user", "content": [{"type": "text", "text": "hello"}]},
    {"role": "user", "content": "hello", "audio": {"id": "a"}},
    {"role": "user", "content": "[erased]", "erased": "a mark"},
    {"role": "user", "content": 7},
    ["role", "user"],
    "hello",
]


def test_the_short_way_gives_what_the_long_way_gives() -> None:
    short = 0
    for body in BODIES:
        text = json.dumps(body)
        found = plain_message(text)
        if found is not None:
            short += 1
            assert found == canonical_message(parse_json(text)), text
    assert short == 5


@given(MESSAGES)
def test_the_short_way_reads_any_text(message: Message) -> None:
    body = {key: value for key, value in message.items() if key not in ADDED_KEYS}
    for text in (json.dumps(body), json.dumps(body, ensure_ascii=False)):
        found = plain_message(text)
        expected = canonical_message(parse_json(text))
        assert found == expected if found is not None else isinstance(expected, RowRefusal)


def test_half_a_character_is_left_to_the_long_way() -> None:
    assert plain_message('{"role": "user", "content": "\\ud800"}') is None
    assert plain_message('{"role": "user", "content": "\ud800"}') is None
    assert plain_message('{"role": "user", "content": "\\ud83d\\ude00"}') == message_of("user", "😀")
