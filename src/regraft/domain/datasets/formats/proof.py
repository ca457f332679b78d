"""The proof of a written row: what its target reads is what the branch said."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import InvalidOperation
from typing import Any

from regraft.domain.datasets.content import parts_of
from regraft.domain.datasets.formats.format import Parts
from regraft.domain.datasets.formats.json_text import exact
from regraft.domain.datasets.messages import Message, RowRefusal
from regraft.domain.datasets.rows import Row
from regraft.domain.ids import parse_json


def difference(row: Row, decoded: Parts, *, int64: bool = False, ids: bool = True) -> RowRefusal | None:
    """The first column that reads back differently; None when nothing is lost.

    ``int64``: the target holds a call's arguments in Arrow. ``ids``: it keeps the ids of calls; without them a result
    belongs to a call by its place, so a history in which place and id disagree is lossy.
    """
    parts = parts_of(row)
    if parts.keys() != decoded.keys():
        return RowRefusal("not_lossless", f"columns {', '.join(sorted(parts.keys() ^ decoded.keys()))}")
    for name, value in parts.items():
        try:
            same = _comparable(decoded[name], int64, ids, name) == _comparable(value, int64, ids, name)
        except (ValueError, OverflowError, InvalidOperation) as error:
            return RowRefusal("number_lost", str(error))
        if not same:
            return RowRefusal("not_lossless", f"{name} reads back differently")
    return None


def _comparable(value: Any, int64: bool, ids: bool, column: str) -> Any:
    if column == "tools":
        return None if value is None else exact(parse_json(value), int64=False)
    if not isinstance(value, Sequence) or isinstance(value, str):
        return value
    return [_message(message, int64) for message in (value if ids else by_place(value))]


def _message(message: Message, int64: bool) -> Message:
    calls = [
        {**call, "function": [call["function"]["name"], _arguments(call["function"]["arguments"], int64)]}
        for call in message["tool_calls"]
    ]
    return {**message, "tool_calls": calls}


def _arguments(text: str, int64: bool) -> Any:
    return exact(parse_json(text), int64=int64)


def by_place(messages: Sequence[Message]) -> list[Message]:
    """Messages with the number of each call within its list in place of its id, and the same number in its result.

    The name of a result that only repeats the name of its call is left out; empty text beside a call is not text.
    """
    numbered: list[Message] = []
    waiting: list[tuple[str | None, str]] = []
    answered = 0
    for message in messages:
        if message["role"] == "tool":
            place = str(answered)
            name = message["name"]
            if answered < len(waiting):
                call_id, called = waiting[answered]
                if message["tool_call_id"] not in (None, call_id, place):
                    place = str(message["tool_call_id"])  # a result out of order: no place says which call it answers
                name = None if name == called else name
            numbered.append({**message, "tool_call_id": place, "name": name})
            answered += 1
            continue
        calls = [{**call, "id": str(number)} for number, call in enumerate(message["tool_calls"])]
        waiting = [(call["id"], call["function"]["name"]) for call in message["tool_calls"]]
        answered = 0
        numbered.append({**message, "tool_calls": calls, "content": message["content"] or None} if calls else message)
    return numbered
