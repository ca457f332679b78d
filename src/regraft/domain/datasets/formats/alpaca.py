"""Rows in the Alpaca form: ``instruction``, ``input``, ``output``, with ``system`` and ``history`` where there is one.

``input`` is empty: what was asked is one text, and readers put a line break between the two. ``history`` is pairs of a
question and an answer. Source: Stanford Alpaca, "Data release"; LLaMA-Factory 0.9.5, ``AlpacaDatasetConverter``.
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


class AlpacaFormat:
    """One task a line, words alone."""

    name = "alpaca"
    kinds = frozenset({"sft"})
    note = "`input` is empty, `history` is pairs of question and answer"

    def encode(self, row: Row) -> str | RowRefusal:
        """The last question and its answer, with earlier turns as history; refused if it contains more than text."""
        talk = plain_dialogue(row)
        if isinstance(talk, RowRefusal):
            return talk
        texts = [one["content"] or "" for one in talk.turns]
        if len(texts) < 2 or len(texts) % 2:
            return RowRefusal("roles_do_not_alternate", f"{len(texts)} turns")
        if not texts[-1]:
            return RowRefusal("no_answer", "the answer is empty")
        pairs = [[texts[place], texts[place + 1]] for place in range(0, len(texts), 2)]
        record = {
            "instruction": pairs[-1][0],
            "input": "",
            "output": pairs[-1][1],
            "system": talk.system,
            "history": pairs[:-1],
        }
        return line(record)

    def decode(self, line: str, kind: str) -> Parts:
        """A line as its readers take it."""
        record = json.loads(line)
        messages = [message_of("system", record["system"])] if record["system"] else []
        asked = "\n".join(text for text in (record["instruction"], record["input"]) if text)
        for question, answer in (*record["history"], (asked, record["output"])):
            messages += [message_of("user", question), message_of("assistant", answer)]
        return {"messages": messages, "tools": None}

    def loss(self, row: Row, line: str) -> RowRefusal | None:
        """A column that reads back differently."""
        return difference(row, self.decode(line, row.kind))

    def features(self, kind: str, *, last_only: bool) -> Features:
        """The types of the columns."""
        return {**dict.fromkeys(("instruction", "input", "output", "system"), "string"), "history": [["string"]]}

    def file_name(self, row: Row, split: str) -> str:
        """One JSON Lines file per split."""
        return f"{split}.jsonl"

    def companions(self, dataset: str, kind: str, files: Sequence[str]) -> Mapping[str, str]:
        """No other files."""
        return {}
