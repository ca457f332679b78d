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
from typing import Any

from regraft.domain.datasets.content import LISTS
from regraft.domain.datasets.formats.features import MESSAGES, Feature, Features
from regraft.domain.datasets.formats.format import Parts
from regraft.domain.datasets.formats.json_text import line
from regraft.domain.datasets.formats.message_form import MessageForm, Record
from regraft.domain.datasets.formats.proof import difference
from regraft.domain.datasets.kinds import KINDS
from regraft.domain.datasets.kinds.pair_plan import unweighted
from regraft.domain.datasets.messages import Message, RowRefusal, message_of
from regraft.domain.datasets.rows import LAST_ONLY, Row
from regraft.domain.errors import IllegalRowError
from regraft.domain.ids import plain

_FORM = MessageForm(reasoning="thinking")


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
        return difference(row, self.decode(line, row.kind), int64=True)

    def features(self, kind: str, *, last_only: bool) -> Features:
        """The types of the columns."""
        names = ("prompt", "completion") if kind == "sft" and last_only else KINDS[kind].columns
        columns: dict[str, Feature] = dict.fromkeys(names, MESSAGES)
        return {**columns, **({"label": "bool"} if kind == "suppression" else {}), "tools": "string"}

    def file_name(self, row: Row, split: str) -> str:
        """One JSON Lines file per split."""
        return f"{split}.jsonl"

    def companions(self, dataset: str, kind: str, files: Sequence[str]) -> Mapping[str, str]:
        """No other files."""
        return {}


def record_of(row: Row) -> Record | RowRefusal:
    """A row as a record for TRL, not yet proven."""
    record: Record = {}
    columns = {name: getattr(row, name) for name in KINDS[row.kind].columns}
    if row.kind == "sft" and LAST_ONLY in row.notes:
        columns = _split_last(row)
    for name, messages in columns.items():
        if row.kind == "dpo" and name != "prompt" and any(message["role"] != "assistant" for message in messages):
            return RowRefusal("side_not_masked", f"{name} holds messages that are not answers")
        encoded = _FORM.encode_all(messages)
        if isinstance(encoded, RowRefusal):
            return encoded
        record[name] = encoded
    if row.kind == "suppression":
        record["label"] = row.label == "true"
    if row.tools is not None:
        record["tools"] = row.tools
    return record


def _split_last(row: Row) -> dict[str, tuple[Message, ...]]:
    """The form in which a trainer learns from the last answer alone; the others need no weight then."""
    return {"prompt": unweighted(row.messages[:-1]), "completion": row.messages[-1:]}


def from_stored(record: Mapping[str, Any]) -> Record:
    """A record of the frozen table as TRL wants it: for ``load_dataset("iceberg", ...).map(from_stored)``.

    The table keeps a call's arguments as text; a chat template would quote that text a second time, without an error.
    """
    changed: Record = {}
    for name in LISTS:
        if record.get(name) is not None:
            messages = _FORM.encode_all(message_of(**message) for message in record[name])
            if isinstance(messages, RowRefusal):
                raise IllegalRowError(f"{name} cannot be written for TRL: {messages.reason} {messages.detail}".strip())
            changed[name] = [plain(message) for message in messages]
    return {**record, **changed}


def decode(record: Mapping[str, Any], kind: str) -> Parts:
    """What ``encode`` wrote, as canonical parts again; keys that a loader filled with null are absent keys."""
    columns = KINDS[kind].columns
    if kind == "sft" and record.get("messages") is None:
        before = [_FORM.decode(message) for message in record["prompt"]]
        read = [{**one, "weight": 0.0} if one["role"] == "assistant" else one for one in before]
        parts: Parts = {"messages": [*read, *(_FORM.decode(message) for message in record["completion"])]}
    else:
        parts = {name: [_FORM.decode(message) for message in record[name]] for name in columns}
    if kind == "suppression":
        parts["label"] = "true" if record["label"] else "false"
    parts["tools"] = record.get("tools")
    return parts
