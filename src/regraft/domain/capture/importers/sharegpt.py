"""ShareGPT: ``{"conversations": [{"from": "human", "value": ...}], "system": ..., "tools": ...}``.

LLaMA-Factory's additions are read too: ``function_call`` and ``observation`` turns, ``tools`` as JSON text, ``chosen``
and ``rejected``, ``label``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from regraft.domain.capture.importers.answer_beside import unanswered, with_answer
from regraft.domain.capture.importers.conversation import (
    Conversation,
    Found,
    ImportedMessage,
    Judgement,
    UnreadableConversationError,
    last_answer,
)
from regraft.domain.capture.importers.messages import checked, tool_call, tool_list
from regraft.domain.capture.importers.records import JsonRecord
from regraft.domain.capture.importers.values import figure, mapping, mappings, name, rest, text
from regraft.domain.ids import digest_json, parse_json

FORM = "sharegpt"
_ROLES = {
    **dict.fromkeys(("human", "user"), "user"),
    **dict.fromkeys(("gpt", "assistant", "chatgpt", "bing", "bard", "model", "bot"), "assistant"),
    "system": "system",
    "function_call": "function_call",
    **dict.fromkeys(("observation", "tool", "function_response"), "tool"),
}
_KNOWN = frozenset(
    {"id", "conversations", "system", "tools", "chosen", "rejected", "label", "kto_tag", "model", "source"}
)
_TRAINING = ("weight", "train", "training", "trainable", "loss")  # whether a trainer should learn from a turn


def recognises(record: JsonRecord) -> bool:
    """Whether the record is such a line."""
    turns = mappings(mapping(record.value).get("conversations"))
    return bool(turns) and all("from" in turn and "value" in turn for turn in turns)


def read(record: JsonRecord) -> Iterator[Found]:
    """The conversation of a line."""
    line = mapping(record.value)
    source = text(line.get("source")) or FORM
    said: list[ImportedMessage] = []
    if text(line.get("system")):
        said.append(ImportedMessage(message={"role": "system", "content": line["system"]}, parent=None))
    calls = _Calls()
    turns = line.get("conversations")
    if not isinstance(turns, list):
        raise UnreadableConversationError("no list of turns")
    for turn in turns:
        said.append(_said(turn, len(said) - 1 if said else None, calls))
    said, beside = with_answer(said, line, _KNOWN)
    for side, preferred in (("chosen", 1.0), ("rejected", 0.0)):
        if isinstance(line.get(side), dict):
            verdict = Judgement(name="preferred", value=preferred, source=source)
            stem = len(said) - 1 - (side == "rejected" and isinstance(line.get("chosen"), dict))
            said.append(_said(line[side], stem if stem >= 0 else None, calls, key=side, judgements=(verdict,)))
    label = figure(line.get("kto_tag", line.get("label")))
    last = last_answer(said)
    if label is not None and last is not None:
        verdict = Judgement(name="preferred", value=label, source=source)
        said[last] = replace(said[last], judgements=(verdict,))
    yield checked(
        Conversation(
            key=name(line.get("id")) or f"{record.position}:{digest_json(line).hex()[:32]}",
            said=said,
            source=text(line.get("source")),
            model=text(line.get("model")) or None,
            tools=tool_list(_tools(line.get("tools"))),
            rest=rest(line, _KNOWN | beside),
            left_out=unanswered(said, rest(line, _KNOWN | beside)),
        )
    )


class _Calls:
    """Ids for calls, which the format has none of: ``call_1`` and on, answered in their order."""

    def __init__(self) -> None:
        self.made = 0
        self.waiting: deque[str] = deque()

    def make(self) -> str:
        self.made += 1
        self.waiting.append(f"call_{self.made}")
        return self.waiting[-1]

    def answer(self) -> str:
        return self.waiting.popleft() if self.waiting else f"call_{self.made}"


def _said(turn: Any, parent: int | None, calls: _Calls, **more: Any) -> ImportedMessage:
    kind = mapping(turn).get("from")
    role = _ROLES.get(kind) if isinstance(kind, str) else None
    value = mapping(turn).get("value")
    if role is None:
        raise UnreadableConversationError(f"a turn from {kind!r}"[:80])
    if not isinstance(value, str):
        raise UnreadableConversationError("a turn whose value is not text")
    message: dict[str, Any]
    if role == "function_call":
        message = {"role": "assistant", "content": None, "tool_calls": _tool_calls(value, calls)}
    elif role == "tool":
        message = {"role": "tool", "tool_call_id": calls.answer(), "content": value}
    else:
        message = {"role": role, "content": value}
    message.update((key, turn[key]) for key in _TRAINING if key in turn)
    return ImportedMessage(message=message, parent=parent, answered=message["role"] == "assistant", **more)


def _tool_calls(value: str, calls: _Calls) -> list[dict[str, Any]]:
    try:
        given = parse_json(value)
    except ValueError as error:
        raise UnreadableConversationError("a function call that is not JSON") from error
    found = mappings(given if isinstance(given, list) else [given])
    if not found or any(not isinstance(each.get("name"), str) for each in found):
        raise UnreadableConversationError("a function call without a name")
    return [tool_call(calls.make(), each["name"], each.get("arguments", each.get("parameters"))) for each in found]


def _tools(value: Any) -> Any:
    if not isinstance(value, str) or not value.strip():
        return value
    try:
        return parse_json(value)
    except ValueError as error:
        raise UnreadableConversationError("tools that are not JSON") from error
