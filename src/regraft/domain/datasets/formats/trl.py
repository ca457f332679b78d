"""Rows for TRL, and back.

SFT is ``messages`` (+ ``tools``), or ``prompt``/``completion`` where only the last answer is learned from. DPO and
reward are the explicit ``prompt``/``chosen``/``rejected`` (+ ``tools``): in the implicit form the common start of the
two sides becomes the prompt. Suppression is KTO's ``prompt``/``completion``/``label``. A call's ``arguments`` are an
object (chat templates print them as JSON; text would be quoted twice); ``tools`` is JSON text, which TRL's trainers
decode; what a model thought is ``thinking``. No form has a weight for each message. Source: TRL 1.16, "Dataset formats
and types".
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from regraft.domain.datasets.content import LISTS, parts_of
from regraft.domain.datasets.formats.format import Parts
from regraft.domain.datasets.kinds import KINDS
from regraft.domain.datasets.kinds.dpo import unweighted
from regraft.domain.datasets.messages import Message, RowRefusal, message_of
from regraft.domain.datasets.rows import LAST_ONLY, Row
from regraft.domain.errors import IllegalRowError
from regraft.domain.ids import Number, parse_json, plain

Record = dict[str, Any]

_INT64 = 1 << 63


class TrlFormat:
    """The record types "language modeling", "prompt-completion", "preference" and "unpaired preference",
    conversational."""

    name = "trl"
    kinds = frozenset({"sft", "dpo", "reward", "suppression"})
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
        return (*KINDS[kind].columns, *(("label",) if kind == "suppression" else ()), "tools")

    def file_name(self, row: Row, split: str) -> str:
        """One JSON Lines file per split."""
        return f"{split}.jsonl"

    def companions(self, dataset: str, kind: str, files: Sequence[str]) -> Mapping[str, str]:
        """TRL wants nothing beside the rows."""
        return {}


def record_of(row: Row) -> Record | RowRefusal:
    """A row as a record for TRL, not yet proven."""
    record: Record = {}
    columns = {name: getattr(row, name) for name in KINDS[row.kind].columns}
    if row.kind == "sft" and LAST_ONLY in row.notes:
        columns = _split_last(row)
    for name, messages in columns.items():
        encoded = []
        for message in messages:
            one = _encode_message(message)
            if isinstance(one, RowRefusal):
                return one
            encoded.append(one)
        record[name] = encoded
    if row.kind == "suppression":
        record["label"] = row.label == "true"
    if row.tools is not None:
        record["tools"] = row.tools
    return record


def _split_last(row: Row) -> dict[str, tuple[Message, ...]]:
    """The form in which a trainer learns from the last answer alone; the others need no weight then."""
    return {"prompt": unweighted(row.messages[:-1]), "completion": row.messages[-1:]}


def _encode_message(message: Message) -> Record | RowRefusal:
    if message["role"] == "developer":
        return RowRefusal(
            "role_unsupported", 'chat templates know no developer; `developer = "system"` in [content] helps'
        )
    if message["parts"]:
        return RowRefusal("several_text_parts", "chat templates join text parts in different ways")
    if message["weight"] is not None:
        return RowRefusal("message_weight", "an answer has a weight, which the record cannot say")
    encoded: Record = {
        key: message[key] for key in ("role", "content", "tool_call_id", "name") if message[key] is not None
    }
    if message["reasoning"] is not None:
        encoded["thinking"] = message["reasoning"]
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
    for name in LISTS:
        if record.get(name) is not None:
            messages = [_encode_message(message_of(**message)) for message in record[name]]
            refusal = next((message for message in messages if isinstance(message, RowRefusal)), None)
            if refusal:
                raise IllegalRowError(f"{name} cannot be written for TRL: {refusal.reason} {refusal.detail}".strip())
            changed[name] = [plain(message) for message in messages]
    return {**record, **changed}


def decode(record: Mapping[str, Any], kind: str) -> Parts:
    """What ``encode`` wrote, as canonical parts again; keys that a loader filled with null are absent keys."""
    columns = KINDS[kind].columns
    if kind == "sft" and record.get("messages") is None:
        before = [_decode_message(message) for message in record["prompt"]]
        read = [{**one, "weight": 0.0} if one["role"] == "assistant" else one for one in before]
        parts: Parts = {"messages": [*read, *(_decode_message(message) for message in record["completion"])]}
    else:
        parts = {name: [_decode_message(message) for message in record[name]] for name in columns}
    if kind == "suppression":
        parts["label"] = "true" if record["label"] else "false"
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
    same = {key: message.get(key) for key in ("tool_call_id", "name")}
    return message_of(
        message["role"], message.get("content"), **same, reasoning=message.get("thinking"), tool_calls=calls
    )


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
