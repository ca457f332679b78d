"""Rows for LLaMA-Factory, in its sharegpt format, with the ``dataset_info.json`` that registers the files.

A question (``human``, ``observation``) and an answer (``gpt``, ``function_call``) take turns; a history that does not
alternate is dropped by the converter, with no more than a line in the log. The value of ``function_call`` is JSON with
the calls; text beside them comes before them, and the calls within ``<tool_call>``. What a model thought comes first,
within ``<think>``. ``system`` and ``tools`` are text, '' for none, in every row: the converter fails on a missing key.
Source: LLaMA-Factory 0.9.5, ``data/converter.py``, ``data/parser.py``, ``data/formatter.py``, ``data/template.py``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from regraft.domain.datasets.formats.dialogue import Dialogue, dialogue, one_answer
from regraft.domain.datasets.formats.features import Feature, Features
from regraft.domain.datasets.formats.format import Parts
from regraft.domain.datasets.formats.json_text import json_object, line
from regraft.domain.datasets.formats.message_form import Record
from regraft.domain.datasets.formats.proof import difference
from regraft.domain.datasets.messages import Message, RowRefusal, message_of
from regraft.domain.datasets.rows import Row

_THINK, _THOUGHT = "<think>\n", "\n</think>\n\n"
_CALL, _CALLED = "<tool_call>", "</tool_call>"
# Its templates fill in text first and this place next, so that a text that holds the place is changed.
_PLACEHOLDER = "{{idx}}"
_COLUMNS = {
    "sft": ("conversations", "system", "tools"),
    "dpo": ("conversations", "chosen", "rejected", "system", "tools"),
    "reward": ("conversations", "chosen", "rejected", "system", "tools"),
    "suppression": ("conversations", "label", "system", "tools"),
}


class LlamaFactoryFormat:
    """The dataset types "supervised", "ranking" (stages dpo and rm) and "kto" of the sharegpt format."""

    name = "llamafactory"
    kinds = frozenset(_COLUMNS)
    note = "`tools` is JSON text, a call is a turn of `function_call`; `dataset_info.json` registers the files"

    def encode(self, row: Row) -> str | RowRefusal:
        """The row in turns that alternate."""
        asked = {"sft": row.messages, "suppression": (*row.prompt, *row.completion)}.get(row.kind, row.prompt)
        if row.kind == "suppression" and isinstance(one := one_answer(row.completion, "the completion"), RowRefusal):
            return one
        talk = dialogue(asked)
        if isinstance(talk, RowRefusal):
            return talk
        if refusal := _odd_turns(row.kind, talk):
            return refusal
        turns = _turns(talk.turns)
        if isinstance(turns, RowRefusal):
            return turns
        record: Record = {"conversations": turns}
        if row.kind == "suppression":
            record["label"] = row.label == "true"
        if row.kind in {"dpo", "reward"}:
            for name, side in (("chosen", row.chosen), ("rejected", row.rejected)):
                answer = one_answer(side, name)
                turn = answer if isinstance(answer, RowRefusal) else _only_turn(answer)
                if isinstance(turn, RowRefusal):
                    return turn
                record[name] = turn
        return line({**record, "system": talk.system, "tools": row.tools or ""})

    def decode(self, line: str, kind: str) -> Parts:
        """A line as ``SharegptDatasetConverter`` and ``FunctionFormatter`` read it."""
        record = json.loads(line)
        turns = [_message(turn) for turn in record["conversations"]]
        if record["system"]:
            turns.insert(0, message_of("system", record["system"]))
        parts: Parts = {"tools": record["tools"] or None}
        if kind == "sft":
            return {**parts, "messages": turns}
        if kind == "suppression":
            label = "true" if record["label"] else "false"
            return {**parts, "prompt": turns[:-1], "completion": turns[-1:], "label": label}
        return {**parts, "prompt": turns, **{side: [_message(record[side])] for side in ("chosen", "rejected")}}

    def loss(self, row: Row, line: str) -> RowRefusal | None:
        """A column that reads back differently; ids of calls are places here."""
        return difference(row, self.decode(line, row.kind), ids=False)

    def features(self, kind: str, *, last_only: bool) -> Features:
        """The types of the columns."""
        turn: Feature = {"from": "string", "value": "string"}
        types: dict[str, Feature] = {"conversations": [turn], "chosen": turn, "rejected": turn, "label": "bool"}
        return {name: types.get(name, "string") for name in _COLUMNS[kind]}

    def file_name(self, row: Row, split: str) -> str:
        """One JSON Lines file per split."""
        return f"{split}.jsonl"

    def companions(self, dataset: str, kind: str, files: Sequence[str]) -> Mapping[str, str]:
        """``dataset_info.json``: each file by the name that ``dataset`` and ``eval_dataset`` of a training name."""
        columns = {"messages": "conversations", "system": "system", "tools": "tools"}
        if kind == "suppression":
            columns["kto_tag"] = "label"
        if ranking := kind in {"dpo", "reward"}:
            columns |= {"chosen": "chosen", "rejected": "rejected"}
        entries = {
            dataset_name(dataset, file): {
                "file_name": file,
                "formatting": "sharegpt",
                **({"ranking": True} if ranking else {}),
                "columns": columns,
            }
            for file in files
        }
        return {"dataset_info.json": json.dumps(entries, indent=2, ensure_ascii=False) + "\n"}


def dataset_name(dataset: str, file: str) -> str:
    """The name under which a file is registered: the dataset's, and the split unless it is ``train``."""
    split = file.partition(".")[0]
    return dataset if split == "train" else f"{dataset}_{split}"


def _odd_turns(kind: str, talk: Dialogue) -> RowRefusal | None:
    """The converter drops a row whose number of turns does not fit its kind."""
    if not talk.turns or len(talk.turns) % 2 != (kind in {"dpo", "reward"}):
        return RowRefusal("roles_do_not_alternate", f"{len(talk.turns)} turns")
    return None


def _turns(messages: Sequence[Message]) -> list[Record] | RowRefusal:
    turns = []
    for message in messages:
        turn = _turn(message)
        if isinstance(turn, RowRefusal):
            return turn
        turns.append(turn)
    return turns


def _only_turn(answer: Message) -> Record | RowRefusal:
    talk = dialogue((message_of("user", "?"), answer))  # a side is judged as any other answer
    return talk if isinstance(talk, RowRefusal) else _turn(answer)


def _turn(message: Message) -> Record | RowRefusal:
    text = message["content"] or ""
    if message["role"] == "tool":
        return {"from": "observation", "value": text}
    if message["role"] == "user":
        if _PLACEHOLDER in text:
            return RowRefusal("placeholder_in_text", f"{_PLACEHOLDER} would be replaced by a number")
        return {"from": "human", "value": text}
    thought = "" if message["reasoning"] is None else f"{_THINK}{message['reasoning']}{_THOUGHT}"
    if not message["tool_calls"]:
        if not thought + text:
            return RowRefusal("no_answer", "an answer is empty")
        return {"from": "gpt", "value": thought + text}
    calls = []
    for call in message["tool_calls"]:
        arguments = json_object(call["function"]["arguments"])
        if isinstance(arguments, RowRefusal):
            return arguments
        calls.append({"name": call["function"]["name"], "arguments": arguments})
    said = line(calls)
    if _CALL in thought + text + said or _CALLED in thought + text + said:
        return RowRefusal("call_marker_in_text", f"text or arguments hold {_CALL}, which marks calls")
    return {"from": "function_call", "value": thought + (f"{text}{_CALL}{said}{_CALLED}" if text else said)}


def _message(turn: Mapping[str, Any]) -> Message:
    value = turn["value"]
    if turn["from"] == "human":
        return message_of("user", value)
    if turn["from"] == "observation":
        return message_of("tool", value)
    if turn["from"] == "gpt":
        reasoning, text = _thought(value)
        return message_of("assistant", text, reasoning=reasoning)
    start, end = value.find(_CALL), value.rfind(_CALLED)
    if start >= 0 and end > start:
        said, value = value[start + len(_CALL) : end], value[:start] + value[end + len(_CALLED) :]
        reasoning, text = _thought(value)
    else:
        reasoning, said = _thought(value)
        text = ""
    calls = [
        {
            "id": None,
            "type": "function",
            "function": {"name": call["name"], "arguments": line(call["arguments"])},
        }
        for call in json.loads(said)
    ]
    return message_of("assistant", text or None, tool_calls=calls, reasoning=reasoning)


def _thought(value: str) -> tuple[str | None, str]:
    """What a template takes as thought, and the rest. A thought that does not come first leaves what is before it."""
    start = value.find(_THINK)
    end = value.find(_THOUGHT, start + len(_THINK)) if start >= 0 else -1
    if end < 0:
        return None, value
    return value[start + len(_THINK) : end], value[:start] + value[end + len(_THOUGHT) :]
