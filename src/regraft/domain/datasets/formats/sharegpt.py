"""Rows in the plain ShareGPT form: ``conversations`` of ``from`` (system, human, gpt) and ``value``.

There are readers with their own forms for tool calls, so that none is written here. Source: FastChat, "Fine-tuning"
and ``train.py``, which drops what comes before the first ``human`` and stops at roles that do not alternate.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from regraft.domain.datasets.formats.dialogue import plain_dialogue
from regraft.domain.datasets.formats.features import Features
from regraft.domain.datasets.formats.format import Parts
from regraft.domain.datasets.formats.json_text import line
from regraft.domain.datasets.formats.proof import difference
from regraft.domain.datasets.messages import RowRefusal, message_of
from regraft.domain.datasets.rows import Row

_FROM = {"system": "system", "user": "human", "assistant": "gpt"}
_ROLES = {name: role for role, name in _FROM.items()}


class ShareGptFormat:
    """One conversation a line, words alone."""

    name = "sharegpt"
    kinds = frozenset({"sft"})
    note = "`from` is system, human or gpt"

    def encode(self, row: Row) -> str | RowRefusal:
        """The conversation; refused when it is more than words that take turns."""
        talk = plain_dialogue(row)
        if isinstance(talk, RowRefusal):
            return talk
        return line(
            {"conversations": [{"from": _FROM[one["role"]], "value": one["content"] or ""} for one in row.messages]}
        )

    def decode(self, line: str, kind: str) -> Parts:
        """A line as its readers take it."""
        turns = json.loads(line)["conversations"]
        return {"messages": [message_of(_ROLES[one["from"]], one["value"]) for one in turns], "tools": None}

    def loss(self, row: Row, line: str) -> RowRefusal | None:
        """A column that reads back differently."""
        return difference(row, self.decode(line, row.kind))

    def features(self, kind: str, *, last_only: bool) -> Features:
        """The types of the columns."""
        return {"conversations": [{"from": "string", "value": "string"}]}

    def file_name(self, row: Row, split: str) -> str:
        """One JSON Lines file per split."""
        return f"{split}.jsonl"

    def companions(self, dataset: str, kind: str, files: Sequence[str]) -> Mapping[str, str]:
        """No other files."""
        return {}
