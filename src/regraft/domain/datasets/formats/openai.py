"""Rows for OpenAI's fine-tuning API and for services that take its files with small differences.

SFT is ``messages`` (+ ``tools``, ``parallel_tool_calls``), an answer may have the ``weight`` 0. A preference is
``input`` (``messages``, ``tools``), ``preferred_output`` and ``non_preferred_output``, each one assistant message with
text. Arguments of calls are JSON text. Sources: OpenAI API reference, "Training format for chat models" of the
supervised and preference methods; Together AI, "Data preparation" and "Function calling fine-tuning"; Fireworks AI,
"Supervised fine tuning - Text" and "Direct preference optimization".
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from regraft.domain.datasets.formats.dialogue import one_answer
from regraft.domain.datasets.formats.features import MESSAGES, Features
from regraft.domain.datasets.formats.format import Parts
from regraft.domain.datasets.formats.json_text import line
from regraft.domain.datasets.formats.message_form import COMMON_ROLES, MessageForm, Record
from regraft.domain.datasets.formats.proof import difference
from regraft.domain.datasets.messages import Message, RowRefusal
from regraft.domain.datasets.rows import Row
from regraft.domain.ids import canonical_json, parse_json

_FUNCTION_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_MOST_TOOLS = 128
_WEIGHTS = {0.0: 0}


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAiFormat:
    """``form`` is what messages can say. ``system_first``: a system message can only be the first. ``alternating``: two
    messages of one role in a row are refused. ``pair_tools``: a preference may offer tools. ``parallel_flag``: rows
    with parallel calls say so."""

    name: str
    form: MessageForm
    system_first: bool = False
    alternating: bool = False
    pair_tools: bool = True
    parallel_flag: bool = False
    kinds: frozenset[str] = frozenset({"sft", "dpo"})
    note: str = "the arguments of a call are JSON text, `weight` 0 marks answers that are not learned from"

    def encode(self, row: Row) -> str | RowRefusal:
        """The row as the upload takes it."""
        tools = None if row.tools is None else parse_json(row.tools)
        refusal = self._unsupported(row, tools)
        if refusal:
            return refusal
        record = self._sft(row.messages, tools) if row.kind == "sft" else self._pair(row, tools)
        return record if isinstance(record, RowRefusal) else line(record)

    def decode(self, line: str, kind: str) -> Parts:
        """A line as the documentation says that it is read."""
        record = json.loads(line)
        if kind == "sft":
            return {"messages": self.form.decode_all(record["messages"]), "tools": _tools_text(line, "tools")}
        return {
            "prompt": self.form.decode_all(record["input"]["messages"]),
            "chosen": self.form.decode_all(record["preferred_output"]),
            "rejected": self.form.decode_all(record["non_preferred_output"]),
            "tools": _tools_text(line, "input", "tools"),
        }

    def loss(self, row: Row, line: str) -> RowRefusal | None:
        """A column that reads back differently."""
        return difference(row, self.decode(line, row.kind))

    def features(self, kind: str, *, last_only: bool) -> Features:
        """The types of the columns."""
        if kind == "sft":
            flag = {"parallel_tool_calls": "bool"} if self.parallel_flag else {}
            return {"messages": MESSAGES, "tools": "json", **flag}
        return {"input": "json", "preferred_output": MESSAGES, "non_preferred_output": MESSAGES}

    def file_name(self, row: Row, split: str) -> str:
        """One JSON Lines file per split."""
        return f"{split}.jsonl"

    def companions(self, dataset: str, kind: str, files: Sequence[str]) -> Mapping[str, str]:
        """The files are uploaded as they are."""
        return {}

    def _sft(self, messages: Sequence[Message], tools: Any) -> Record | RowRefusal:
        encoded = self.form.encode_all(messages)
        if isinstance(encoded, RowRefusal):
            return encoded
        record: Record = {"messages": encoded}
        if tools is not None:
            record["tools"] = tools
            if self.parallel_flag and any(len(message["tool_calls"]) > 1 for message in messages):
                record["parallel_tool_calls"] = True
        return record

    def _pair(self, row: Row, tools: Any) -> Record | RowRefusal:
        asked = self.form.encode_all(row.prompt)
        if isinstance(asked, RowRefusal):
            return asked
        record: Record = {"input": {"messages": asked, **({} if tools is None else {"tools": tools})}}
        for key, name, side in (
            ("preferred_output", "chosen", row.chosen),
            ("non_preferred_output", "rejected", row.rejected),
        ):
            answer = one_answer(side, name)
            if isinstance(answer, RowRefusal):
                return answer
            if answer["tool_calls"] or answer["parts"]:
                return RowRefusal("answer_not_text", f"{name} is not one text")
            encoded = self.form.encode(answer)
            if isinstance(encoded, RowRefusal):
                return encoded
            record[key] = [encoded]
        return record

    def _unsupported(self, row: Row, tools: Any) -> RowRefusal | None:
        messages = row.messages if row.kind == "sft" else row.prompt
        if tools is not None and row.kind != "sft" and not self.pair_tools:
            return RowRefusal("tools_unsupported", "a preference offers no tools")
        if row.kind != "sft" and not self.pair_tools and any(one["role"] == "tool" for one in messages):
            return RowRefusal("calls_unsupported", "a preference has no calls")
        names = [tool["function"].get("name") for tool in tools or ()]
        names += [call["function"]["name"] for message in messages for call in message["tool_calls"]]
        if len(tools or ()) > _MOST_TOOLS:
            return RowRefusal("too_many_tools", f"{len(tools)} tools; there is room for {_MOST_TOOLS}")
        if any(not isinstance(name, str) or not _FUNCTION_NAME.match(name) for name in names):
            return RowRefusal("tool_name_unsupported", "a name of a function is of 1 to 64 letters, digits, _ and -")
        if self.system_first and any(message["role"] == "system" for message in messages[1:]):
            return RowRefusal("system_not_first", "a system message can only be the first")
        if self.alternating:
            for before, after in pairwise(messages):
                if before["role"] == after["role"] != "tool":
                    return RowRefusal("roles_do_not_alternate", f"two messages of {after['role']} in a row")
        return None


def _tools_text(text: str, *path: str) -> str | None:
    """The tool list in a line in canonical form, numbers as they were written: the service stores the line itself."""
    value = parse_json(text)
    for key in path:
        value = value.get(key)
        if value is None:
            return None
    return canonical_json(value)


OPENAI = OpenAiFormat(
    name="openai",
    form=MessageForm(
        roles=COMMON_ROLES | {"developer"}, arguments="text", parts=True, ids=True, weight="weight", weights=_WEIGHTS
    ),
    parallel_flag=True,
)
TOGETHER = OpenAiFormat(
    name="together",
    form=MessageForm(arguments="json", names=False, ids=True, weight="weight", weights=_WEIGHTS),
    system_first=True,
    alternating=True,
)
FIREWORKS = OpenAiFormat(
    name="fireworks",
    form=MessageForm(
        arguments="json", names=False, ids=True, reasoning="reasoning_content", weight="weight", weights=_WEIGHTS
    ),
    system_first=True,
    pair_tools=False,
)
