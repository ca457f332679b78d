"""Turns of the execution log in the canonical form of dataset rows."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from regraft.domain.capture.endings import recorded_ending
from regraft.domain.datasets.messages import Message, RowRefusal, canonical_message, dropped_fields
from regraft.domain.datasets.tools import tool_list
from regraft.domain.datasets.turns import RecordedTurn, checked
from regraft.domain.ids import parse_json
from regraft.domain.lineage.tombstone import is_erased
from regraft.infra.postgres.arrow import ArrowReader

QUERIES = "postgres/datasets/turns"
_CACHED = 32_000_000  # characters of messages, and of tool lists, that are kept for the next batch

Value = TypeVar("Value")
_Read = tuple[Message | RowRefusal, frozenset[str]]
_ERASED = RowRefusal("erased", "its content was erased")


class _Cache(Generic[Value]):
    """What was read lately, by id; the oldest goes first when it holds too many characters."""

    def __init__(self, read: Callable[[str], Value]) -> None:
        self._read = read
        self._values: OrderedDict[str, tuple[Value, int]] = OrderedDict()
        self._size = 0

    def missing(self, ids: Iterable[str]) -> list[str]:
        return sorted({one for one in ids if one not in self._values})

    def add(self, one: str, text: str) -> None:
        self._values[one] = (self._read(text), len(text))
        self._size += len(text)

    def __getitem__(self, one: str) -> Value:
        return self._values[one][0]

    def shrink(self) -> None:
        while self._size > _CACHED:
            _, (_, size) = self._values.popitem(last=False)
            self._size -= size


class TurnReader:
    """Reads turns in batches; a message that several histories share is read and converted once."""

    def __init__(self, reader: ArrowReader, *, models: bool = False) -> None:
        """``models``: also find out which model gave each answer of a history."""
        self._reader = reader
        self._models = models
        self._messages: _Cache[_Read] = _Cache(_message)
        self._tools: _Cache[str | RowRefusal | None] = _Cache(_tool_list)

    def read(self, turn_ids: Iterable[str]) -> dict[str, RecordedTurn]:
        """The turns with these ids, by id; ids that the log does not hold are left out."""
        ids = sorted(set(turn_ids))
        rows = self._reader.rows("turns", ids)
        wanted = [one for row in rows for one in (*row["history"], row["answer"]) if one]
        self._fill(self._messages, "messages", "message_id", wanted)
        self._fill(self._tools, "tool_lists", "part_id", [row["tools_id"] for row in rows if row["tools_id"]])
        models = self._answer_models(ids) if self._models else {}
        found = {row["turn_id"]: self._turn(row, models.get(row["turn_id"], {})) for row in rows}
        self._messages.shrink()
        self._tools.shrink()
        return found

    def _fill(self, cache: _Cache[Any], query: str, key: str, ids: Sequence[str]) -> None:
        if missing := cache.missing(ids):
            for row in self._reader.rows(query, missing):
                cache.add(row[key], row["body"])

    def _answer_models(self, turn_ids: list[str]) -> dict[str, dict[int, str]]:
        found: dict[str, dict[int, str]] = {}
        for row in self._reader.rows("answer_models", turn_ids):
            found.setdefault(row["turn_id"], {})[row["depth"]] = row["model"]
        return found

    def _turn(self, row: Mapping[str, Any], models: Mapping[int, str]) -> RecordedTurn:
        read = [self._messages[one] for one in (*row["history"], row["answer"]) if one]
        messages = [message for message, _ in read if not isinstance(message, RowRefusal)]
        tools = self._tools[row["tools_id"]] if row["tools_id"] else None
        refusal = next((message for message, _ in read if isinstance(message, RowRefusal)), None)
        if isinstance(tools, RowRefusal):
            refusal, tools = refusal or tools, None
        if row["parent_missing"]:
            refusal = RowRefusal("parent_missing", "the messages before this history are not in the imported file")
        if not refusal and not row["answer"]:
            refusal = RowRefusal("no_answer")
        length = len(row["history"])
        return checked(
            RecordedTurn(
                node_id=row["node_id"],
                session_id=row["session_id"],
                history=() if refusal else tuple(messages[:length]),
                answer=() if refusal else tuple(messages[length:]),
                tools=tools,
                tools_digest=row["tools_id"],
                model=row["model"],
                models=tuple(models.get(depth, "") for depth in range(1, length + 1)) if self._models else (),
                dropped=frozenset().union(*(dropped for _, dropped in read)),
                refusal=refusal,
                ending=recorded_ending(row["node_status"], row["finish_reason"]),
            )
        )


def _message(text: str) -> _Read:
    body = parse_json(text)
    if is_erased(body):
        return _ERASED, frozenset()
    return canonical_message(body), frozenset(dropped_fields(body))


def _tool_list(text: str) -> str | RowRefusal | None:
    part = parse_json(text)
    return _ERASED if is_erased(part) else tool_list(part)
