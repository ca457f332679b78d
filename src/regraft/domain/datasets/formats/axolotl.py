"""Rows for axolotl: ``chat_template`` with a flag of training per message, and ``chat_template.default`` for DPO.

SFT is ``messages`` + ``tools``; ``train`` false keeps an answer out of the loss (``message_field_training``). Arguments
and tools are JSON text, because a loader would add nulls to objects of different shapes, and axolotl then takes out
every null, those of the record too. DPO passes role and content alone to the template, without tools; of a side it
takes the last message, and searches for its text in what the template made of ``[[dummy_message]]`` and the answer.
Source: axolotl 0.19, ``prompt_strategies/chat_template.py``, ``prompt_strategies/dpo/chat_template.py``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from regraft.domain.datasets.formats.dialogue import one_answer
from regraft.domain.datasets.formats.features import MESSAGES, Features
from regraft.domain.datasets.formats.format import Parts
from regraft.domain.datasets.formats.json_text import line
from regraft.domain.datasets.formats.message_form import MessageForm, Record
from regraft.domain.datasets.formats.proof import difference
from regraft.domain.datasets.messages import Message, RowRefusal, message_of
from regraft.domain.datasets.rows import Row

_FORM = MessageForm(arguments="json", reasoning="reasoning_content", weight="train", weights={0.0: False})
_PAIR_FORM = MessageForm(names=False, calls=False)
# What templates print before an answer. An answer that occurs in it is cut out at the wrong place.
_BEFORE_ANSWER = (
    "<|begin_of_text|><|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
    "[[dummy_message]]<|im_end|>\n<|im_start|>assistant\n"
    "<|start_header_id|>user<|end_header_id|>\n\n[[dummy_message]]<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n"
    "<bos><start_of_turn>user\n[[dummy_message]]<end_of_turn>\n<start_of_turn>model\n"
    "<s>[INST] [[dummy_message]] [/INST] <|user|>\n[[dummy_message]]<|end|>\n<|assistant|>\n"
    "### Instruction:\n[[dummy_message]]\n\n### Response:\n USER: [[dummy_message]] ASSISTANT: "
    "You are Qwen, created by Alibaba Cloud. Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n"
)
_THOUGHT_MARKS = ("<think>", "</think>", "<|channel>", "<channel|>")


class AxolotlFormat:
    """The dataset types ``chat_template`` and, with ``rl: dpo``, ``chat_template.default``."""

    name = "axolotl"
    kinds = frozenset({"sft", "dpo"})
    note = "`tools` and the arguments of a call are JSON text; `axolotl.yaml` names the files and their fields"

    def encode(self, row: Row) -> str | RowRefusal:
        """The row as the strategy of its kind reads it."""
        record = self._sft(row) if row.kind == "sft" else self._pair(row)
        return record if isinstance(record, RowRefusal) else line(record)

    def decode(self, line: str, kind: str) -> Parts:
        """A line as the strategy reads it, before a template prints it."""
        record = without_nulls(json.loads(line))
        if kind == "sft":
            return {"messages": _FORM.decode_all(record["messages"]), "tools": record.get("tools")}
        sides = {name: [_role_and_content(record[name])] for name in ("chosen", "rejected")}
        return {"prompt": [_role_and_content(one) for one in record["messages"]], **sides, "tools": None}

    def loss(self, row: Row, line: str) -> RowRefusal | None:
        """A column that reads back differently."""
        return difference(row, self.decode(line, row.kind))

    def features(self, kind: str, *, last_only: bool) -> Features:
        """The types of the columns."""
        if kind == "sft":
            return {"messages": MESSAGES, "tools": "string"}
        return {"messages": MESSAGES, "chosen": "json", "rejected": "json"}

    def file_name(self, row: Row, split: str) -> str:
        """One JSON Lines file per split."""
        return f"{split}.jsonl"

    def companions(self, dataset: str, kind: str, files: Sequence[str]) -> Mapping[str, str]:
        """``axolotl.yaml``: the part of a configuration that names the files and their fields.

        It names the folder, whose card tells the types of the columns: of a file alone they would be guessed.
        """
        splits = [file.partition(".")[0] for file in files]
        train = [split for split in splits if split == "train"] or splits
        rest = [split for split in splits if split not in train]
        text = [f"# {dataset}: put this into the configuration of a training. `path` is the folder of this file."]
        text += ["rl: dpo"] if kind == "dpo" else []
        for key, names in (("datasets", train), ("test_datasets", rest)):
            text += [f"{key}:"] if names else []
            for name in names:
                text += _entry(name, kind)
        return {"axolotl.yaml": "\n".join(text) + "\n"}

    def _sft(self, row: Row) -> Record | RowRefusal:
        encoded = _FORM.encode_all(row.messages)
        if isinstance(encoded, RowRefusal):
            return encoded
        return {"messages": encoded, **({} if row.tools is None else {"tools": row.tools})}

    def _pair(self, row: Row) -> Record | RowRefusal:
        if row.tools is not None:
            return RowRefusal("tools_unsupported", "templates see no tools in a pair")
        if any(one["role"] == "tool" for one in row.prompt):
            return RowRefusal("calls_unsupported", "the calls of a prompt are dropped")
        asked = _PAIR_FORM.encode_all(row.prompt)
        if isinstance(asked, RowRefusal):
            return asked
        record: Record = {"messages": asked}
        for name, side in (("chosen", row.chosen), ("rejected", row.rejected)):
            answer = one_answer(side, name)
            encoded = answer if isinstance(answer, RowRefusal) else _PAIR_FORM.encode(answer)
            if isinstance(encoded, RowRefusal):
                return encoded
            text = encoded.get("content") or ""
            if text in _BEFORE_ANSWER:  # so is an empty one
                return RowRefusal("answer_found_elsewhere", f"{name} is {text!r}, which templates print before it")
            if any(mark in text for mark in _THOUGHT_MARKS):
                return RowRefusal("thought_in_answer", f"{name} is not found where a template takes the thought out")
            if text != text.strip():
                return RowRefusal("blanks_around_answer", f"{name} is not found where a template takes its blanks off")
            record[name] = encoded
        return record


def without_nulls(value: Any) -> Any:
    """A value without its nulls, as axolotl reads every record."""
    if isinstance(value, Mapping):
        return {key: without_nulls(one) for key, one in value.items() if one is not None}
    return [without_nulls(one) for one in value] if isinstance(value, list) else value


def _role_and_content(record: Mapping[str, Any]) -> Message:
    return message_of(record["role"], record.get("content"))


def _entry(split: str, kind: str) -> list[str]:
    lines = ["  - path: .", f"    split: {split}"]
    if kind == "sft":
        return [*lines, "    type: chat_template", "    field_messages: messages", "    message_field_training: train"]
    fields = ("messages", "chosen", "rejected")
    return [*lines, "    type: chat_template.default", *(f"    field_{name}: {name}" for name in fields)]
