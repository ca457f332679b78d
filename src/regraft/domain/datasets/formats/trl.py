"""Rows for TRL, and back.

SFT is ``messages`` (+ ``tools``). DPO is the explicit ``prompt``/``chosen``/``rejected`` (+ ``tools``): in the implicit
form the common start of the two sides becomes the prompt. A call's ``arguments`` are an object (chat templates
print them as JSON; text would be quoted twice); ``tools`` is JSON text, which TRL's trainers decode. Source: TRL 1.16,
"Dataset formats and types".
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from regraft.domain.datasets.content import parts_of
from regraft.domain.datasets.formats.format import Parts
from regraft.domain.datasets.kinds import KINDS
from regraft.domain.datasets.rows import Message, Row, RowRefusal
from regraft.domain.errors import IllegalRowError
from regraft.domain.ids import Number, parse_json, plain

Record = dict[str, Any]

_INT64 = 1 << 63
_EMPTY: Message = {"content": None, "tool_calls": [], "tool_call_id": None, "name": None}


class TrlFormat:
    """The record types "language modeling" and "preference" of TRL, both conversational."""

    name = "trl"
    kinds = frozenset({"sft", "dpo"})
    note = "`tools` is JSON text, the arguments of a call are an object"

    def encode(self, row: Row) -> str | RowRefusal:
        """The row as TRL's loader takes it; refused when a call's arguments are not a JSON object."""
        record = record_of(row)
        return record if isinstance(record, RowRefusal) else line(record)

    def decode(self, line: str, kind: str) -> Parts:
        """A line as ``datasets`` loads it for TRL's trainers."""
        return decode(json.loads(line), kind)

    def loss(self, row: Row, line: str) -> RowRefusal | None:
        """A number that Arrow cannot hold, or a column that reads back differently."""
        decoded = self.decode(line, row.kind)
        for name, value in parts_of(row).items():
            try:
                same = _comparable(decoded[name]) == _comparable(value)
            except (ValueError, OverflowError, InvalidOperation) as error:
                return RowRefusal("number_lost", str(error))
            if not same:
                return RowRefusal("not_lossless", f"{name} reads back differently")
        return None

    def columns(self, kind: str) -> tuple[str, ...]:
        """The row's own columns and its tools."""
        return (*KINDS[kind].columns, "tools")

    def file_name(self, split: str) -> str:
        """One JSON Lines file per split."""
        return f"{split}.jsonl"


def record_of(row: Row) -> Record | RowRefusal:
    """A row as a record for TRL, not yet proven."""
    record: Record = {}
    for name, value in parts_of(row).items():
        if name == "tools":
            if value is not None:
                record["tools"] = value
            continue
        messages = [_encode_message(message) for message in value]
        for message in messages:
            if isinstance(message, RowRefusal):
                return message
        record[name] = messages
    return record


def _encode_message(message: Message) -> Record | RowRefusal:
    encoded: Record = {
        key: message[key] for key in ("role", "content", "tool_call_id", "name") if message[key] is not None
    }
    calls = []
    for call in message["tool_calls"] or []:
        arguments = _object(call["function"]["arguments"])
        if isinstance(arguments, RowRefusal):
            return arguments
        named = {"name": call["function"]["name"], "arguments": arguments}
        identity = {} if call["id"] is None else {"id": call["id"]}
        calls.append({**identity, "type": "function", "function": named})
    if calls:
        encoded["tool_calls"] = calls
    return encoded


def _object(text: str) -> Record | RowRefusal:
    if not text.strip():
        return RowRefusal("arguments_not_object", "empty")
    try:
        value = parse_json(text)
        json.loads(text, object_pairs_hook=_no_duplicates)
    except ValueError as error:
        return RowRefusal("arguments_not_object", str(error))
    if not isinstance(value, dict):
        return RowRefusal("arguments_not_object", type(value).__name__)
    return value


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key occurs twice")
    return found


def from_stored(record: Mapping[str, Any]) -> Record:
    """A record of the frozen table as TRL wants it: for ``load_dataset("iceberg", ...).map(from_stored)``.

    The table keeps a call's arguments as text; a chat template would quote that text a second time, without an error.
    """
    changed: Record = {}
    for name in ("messages", "prompt", "chosen", "rejected"):
        if record.get(name) is not None:
            messages = [_encode_message({**_EMPTY, **message}) for message in record[name]]
            refusal = next((message for message in messages if isinstance(message, RowRefusal)), None)
            if refusal:
                raise IllegalRowError(f"{name} cannot be written for TRL: {refusal.reason} {refusal.detail}".strip())
            changed[name] = [plain(message) for message in messages]
    return {**record, **changed}


def decode(record: Mapping[str, Any], kind: str) -> Parts:
    """What ``encode`` wrote, as canonical parts again; keys that a loader filled with null are absent keys."""
    parts: Parts = {name: [_decode_message(message) for message in record[name]] for name in KINDS[kind].columns}
    parts["tools"] = record.get("tools")
    return parts


def _decode_message(message: Mapping[str, Any]) -> Message:
    calls = [
        {
            "id": call.get("id"),
            "type": call["type"],
            "function": {"name": call["function"]["name"], "arguments": line(call["function"]["arguments"])},
        }
        for call in message.get("tool_calls") or []
    ]
    plain = {key: message.get(key) for key in ("role", "content", "tool_call_id", "name")}
    return {**plain, "tool_calls": calls}


def _comparable(value: Any) -> Any:
    """Parts with arguments parsed and numbers by their exact value, so that only a real loss makes a difference."""
    if isinstance(value, list):
        return [_comparable(one) for one in value]
    if isinstance(value, dict):
        if value.keys() == {"name", "arguments"} and isinstance(value["arguments"], str):
            return [value["name"], _numbers(parse_json(value["arguments"]))]
        return {key: _comparable(one) for key, one in value.items()}
    return value


def _numbers(value: Any) -> Any:
    if isinstance(value, Number):
        return ("number", Decimal(value.literal))
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, int):
        if not -_INT64 <= value < _INT64:
            raise OverflowError(f"{value} does not fit into 64 bits")
        return ("number", Decimal(value))
    if isinstance(value, list):
        return [_numbers(one) for one in value]
    return {key: _numbers(one) for key, one in value.items()}


def line(value: Any) -> str:
    """JSON text on one line, keys in their order and number literals as written (the order is part of what a model
    learns, so this is not the canonical form)."""
    if isinstance(value, Number):
        return value.literal
    if isinstance(value, Mapping):
        return (
            "{" + ", ".join(f"{json.dumps(key, ensure_ascii=False)}: {line(one)}" for key, one in value.items()) + "}"
        )
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(map(line, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
