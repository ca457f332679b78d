"""Rows for open-unlearning: ``forget.jsonl`` and ``retain.jsonl`` of ``question``, ``answer`` and ``alternate``.

A question is one text: the framework gives the system prompt itself, the same for all rows. A chat template prints the
word "None" for an alternate that is missing, so that rows to forget without one have their own file, with an empty
alternate that methods without alternates never read. Source: open-unlearning, ``src/data/qa.py`` and ``utils.py``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from regraft.domain.datasets.formats.dialogue import dialogue, one_answer, words_only
from regraft.domain.datasets.formats.features import Features
from regraft.domain.datasets.formats.format import Parts
from regraft.domain.datasets.formats.json_text import line
from regraft.domain.datasets.formats.message_form import Record
from regraft.domain.datasets.formats.proof import difference
from regraft.domain.datasets.messages import Message, RowRefusal, message_of
from regraft.domain.datasets.rows import Row

FORGET = "forget"


class OpenUnlearningFormat:
    """``QADataset``, and ``QAwithAlternateDataset`` where rows have an alternate."""

    name = "open-unlearning"
    kinds = frozenset({"unlearning"})
    note = "`alternate` is the answer to give in place of the one to forget; each file has a `.yaml` beside it"

    def encode(self, row: Row) -> str | RowRefusal:
        """The question and its answers; refused when it is more than one question in words."""
        talk = dialogue(row.prompt)
        if isinstance(talk, RowRefusal):
            return talk
        if talk.system:
            return RowRefusal("system_unsupported", "the framework gives one system prompt to all rows")
        if len(talk.turns) != 1:
            return RowRefusal("several_turns", f"{len(talk.turns)} messages were asked; there is room for one question")
        if row.tools is not None:
            return RowRefusal("tools_unsupported", "there is no form for a tool list")
        if refusal := words_only(talk.turns):
            return refusal
        record: Record = {"question": talk.turns[0]["content"] or ""}
        sides: dict[str, Sequence[Message]] = {"answer": row.completion, "alternate": row.alternate}
        for key, side in sides.items():
            if key == "alternate" and not side:
                record |= {key: ""} if row.label == FORGET else {}
                continue
            text = _text(side, key)
            if isinstance(text, RowRefusal):
                return text
            record[key] = text
        return line(record)

    def decode(self, line: str, kind: str) -> Parts:
        """A line as the datasets of the framework read it; the file says which set it belongs to."""
        record = json.loads(line)
        alternate = record.get("alternate")
        return {
            "prompt": [message_of("user", record["question"])],
            "completion": [message_of("assistant", record["answer"])],
            "alternate": [message_of("assistant", alternate)] if alternate else [],
            "tools": None,
        }

    def loss(self, row: Row, line: str) -> RowRefusal | None:
        """A column that reads back differently."""
        return difference(row, {**self.decode(line, row.kind), "label": row.label})

    def features(self, kind: str, *, last_only: bool) -> Features:
        """The types of the columns."""
        return dict.fromkeys(("question", "answer", "alternate"), "string")

    def file_name(self, row: Row, split: str) -> str:
        """A file per set, the split beside it unless it is ``train``; rows to forget without an alternate apart."""
        name = FORGET if row.label == FORGET else "retain"
        name += "_without_alternate" if row.label == FORGET and not row.alternate else ""
        return f"{name}.jsonl" if split == "train" else f"{name}_{split}.jsonl"

    def companions(self, dataset: str, kind: str, files: Sequence[str]) -> Mapping[str, str]:
        """For each file a dataset of the framework's configuration; for alternates one that reads them."""
        found: dict[str, str] = {}
        for file in files:
            stem = file.partition(".")[0]
            found |= _configuration(f"{dataset}_{stem}", file)
            if stem.startswith(FORGET) and "without_alternate" not in stem:
                found |= _configuration(f"{dataset}_{stem}_alternate", file, alternate=True)
        return found


def _configuration(name: str, file: str, *, alternate: bool = False) -> dict[str, str]:
    lines = [
        "# For configs/data/datasets. data_files is relative to where the training runs.",
        f"{name}:",
        f"  handler: {'QAwithAlternateDataset' if alternate else 'QADataset'}",
        "  args:",
        "    hf_args:",
        "      path: json",
        f"      data_files: {file}",
        "      split: train",
        "    question_key: question",
        "    answer_key: answer",
        *(["    alternate_key: alternate"] if alternate else []),
        "    max_length: 512",
    ]
    return {f"{name}.yaml": "\n".join(lines) + "\n"}


def _text(side: Sequence[Message], name: str) -> str | RowRefusal:
    """The words of an answer; refused when it is more, or blank."""
    answer = one_answer(side, name)
    if isinstance(answer, RowRefusal):
        return answer
    talk = dialogue((message_of("user", "?"), answer))  # judged as any other answer
    refusal = talk if isinstance(talk, RowRefusal) else words_only(talk.turns)
    if refusal:
        return refusal
    return answer["content"] or RowRefusal("no_answer", f"{name} is empty")
