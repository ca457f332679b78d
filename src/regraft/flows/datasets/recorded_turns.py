"""Turns of the execution log in the canonical form of dataset rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Generic, TypeVar

from regraft.domain.capture.endings import recorded_ending
from regraft.domain.datasets.messages import Message, RowRefusal, canonical_message, dropped_fields
from regraft.domain.datasets.tools import tool_list
from regraft.domain.datasets.turns import RecordedTurn, checked
from regraft.domain.ids import parse_json
from regraft.domain.lineage.tombstone import is_erased
from regraft.infra.postgres.arrow import ArrowReader
from regraft.infra.text.plain_message import plain_message

QUERIES = "postgres/datasets/turns"
_CACHED = 32_000_000  # characters of messages, and of tool lists, that are kept for the next batch

Value = TypeVar("Value")
_Read = tuple[Message | RowRefusal, frozenset[str]]
_ending = lru_cache(1_000)(recorded_ending)
_NOTHING: frozenset[str] = frozenset()
_ERASED = RowRefusal("erased", "its content was erased")


class _Cache(Generic[Value]):
    """What was read lately, by id. ``recent`` holds what the batch at hand is made of; what no batch asked for while
    half of the room was filled again is forgotten."""

    def __init__(self, read: Callable[[str], Value]) -> None:
        self._read = read
        self._older: dict[str, Value] = {}
        self._sizes: dict[str, int] = {}
        self._size = 0
        self.recent: dict[str, Value] = {}

    def missing(self, ids: Iterable[str]) -> list[str]:
        """Which of these ids have to be read; the others are in ``recent`` from now on."""
        wanted = [one for one in dict.fromkeys(ids) if one not in self.recent]
        for one in wanted if self._older else ():
            if one in self._older:
                self.recent[one] = self._older[one]
                self._size += self._sizes[one]
        return [one for one in wanted if one not in self.recent]

    def add(self, ids: Sequence[str], texts: Sequence[str]) -> None:
        """Keep what was read."""
        self.recent.update(zip(ids, map(self._read, texts), strict=True))
        sizes = list(map(len, texts))
        self._sizes.update(zip(ids, sizes, strict=True))
        self._size += sum(sizes)

    def shrink(self) -> None:
        """Forget what is old, between two batches."""
        if self._size > _CACHED // 2:
            self._older, self.recent = self.recent, {}
            self._sizes = {one: self._sizes[one] for one in self._older}
            self._size = 0


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
        self._fill(self._messages, "messages", wanted)
        self._fill(self._tools, "tool_lists", [row["tools_id"] for row in rows if row["tools_id"]])
        models = self._answer_models(ids) if self._models else {}
        found = {row["turn_id"]: self._turn(row, models.get(row["turn_id"], {})) for row in rows}
        self._messages.shrink()
        self._tools.shrink()
        return found

    def _fill(self, cache: _Cache[Any], query: str, ids: Sequence[str]) -> None:
        if missing := cache.missing(ids):
            read, texts = self._reader.table(query, missing).columns
            cache.add(read.to_pylist(), texts.to_pylist())

    def _answer_models(self, turn_ids: list[str]) -> dict[str, dict[int, str]]:
        found: dict[str, dict[int, str]] = {}
        for row in self._reader.rows("answer_models", turn_ids):
            found.setdefault(row["turn_id"], {})[row["depth"]] = row["model"]
        return found

    def _turn(self, row: Mapping[str, Any], models: Mapping[int, str]) -> RecordedTurn:
        known, history = self._messages.recent, row["history"]
        read = [known[one] for one in history]
        if row["answer"]:
            read.append(known[row["answer"]])
        messages = [message for message, _ in read if not isinstance(message, RowRefusal)]
        tools = self._tools.recent[row["tools_id"]] if row["tools_id"] else None
        refusal = None
        if len(messages) < len(read):
            refusal = next(message for message, _ in read if isinstance(message, RowRefusal))
        if isinstance(tools, RowRefusal):
            refusal, tools = refusal or tools, None
        if row["parent_missing"]:
            refusal = RowRefusal("parent_missing", "the messages before this history are not in the imported file")
        if not refusal and not row["answer"]:
            refusal = RowRefusal("no_answer")
        length = len(history)
        return checked(
            RecordedTurn(
                node_id=row["node_id"],
                session_id=row["session_id"],
                history=() if refusal else tuple(messages[:length]),
                answer=() if refusal else tuple(messages[length:]),
                tools=tools,
                tools_digest=row["tools_id"],
                model=models.get(0) or "",
                models=tuple(models.get(depth, "") for depth in range(1, length + 1)) if self._models else (),
                dropped=frozenset().union(*{dropped for _, dropped in read}),
                refusal=refusal,
                ending=_ending(row["node_status"], row["finish_reason"]),
            )
        )


def _message(text: str) -> _Read:
    if plain := plain_message(text):
        return plain, _NOTHING
    body = parse_json(text)
    if is_erased(body):
        return _ERASED, frozenset()
    return canonical_message(body), frozenset(dropped_fields(body))


def _tool_list(text: str) -> str | RowRefusal | None:
    part = parse_json(text)
    return _ERASED if is_erased(part) else tool_list(part)
