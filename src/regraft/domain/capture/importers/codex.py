"""Codex rollouts: ``~/.codex/sessions/**/rollout-*.jsonl``, the items that went to and came from the Responses API.

Items that the model made one after another are one answer; each output of a call is a ``tool`` message. Behind
``compacted`` the conversation begins again with the history that replaced the old one, and behind
``thread_rolled_back`` it continues from before the turns that were taken back: those stay as a branch. Events repeat
the items; their additional content is kept with the message before them. A rollout without items is read from them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from regraft.domain.capture.dialects.responses import answer_of
from regraft.domain.capture.importers.codex_items import as_call, is_made_by_model, message_of, opens_turn, starts_again
from regraft.domain.capture.importers.conversation import (
    Conversation,
    Found,
    ImportedMessage,
    RefusedConversation,
    UnreadableConversationError,
)
from regraft.domain.capture.importers.messages import checked
from regraft.domain.capture.importers.moment import nanoseconds
from regraft.domain.capture.importers.records import JsonRecord
from regraft.domain.capture.importers.values import mapping, mappings, name, text
from regraft.domain.capture.importers.values import rest as rest_of
from regraft.domain.ids import TOO_DEEP, nested_too_deeply

FORM = "codex"
_LINES = frozenset({"session_meta", "response_item", "event_msg", "turn_context", "compacted", "world_state"})
_LEGACY_HEAD = frozenset({"id", "timestamp", "instructions"})
_ENDS_ANSWER = frozenset({"task_complete", "turn_complete", "turn_aborted", "task_started", "turn_started"})
_SAID_AGAIN = frozenset({"user_message", "agent_message"})
_OF_LINE = frozenset({"timestamp", "type", "payload", "ordinal"})
_OF_SESSION = ("cwd", "originator", "cli_version", "source", "model_provider", "git", "forked_from_id")
_NO_PARENT = "a segment of a session whose beginning is in another file"


def recognises(record: JsonRecord) -> bool:
    """Whether the record is a line of a rollout."""
    line = mapping(record.value)
    if isinstance(line.get("payload"), dict):
        return text(line.get("type")) in _LINES
    return line.get("record_type") == "state" or (line.keys() >= _LEGACY_HEAD and "messages" not in line)


def read(record: JsonRecord) -> Iterator[Found]:
    """The conversation of a rollout that has one line."""
    yield from gather([record])


def gather(found: Iterable[JsonRecord]) -> Iterator[Found]:
    """The conversation of a rollout."""
    rollout = _Conversation()
    lines = []
    for record in found:
        if nested_too_deeply(record.value):
            yield RefusedConversation(f"line {record.position + 1}", TOO_DEEP)
        else:
            lines.append((record.position, mapping(record.value)))
    rollout.from_events = not any(_kind(line) == "response_item" and _role(line) for _, line in lines)
    try:
        for position, line in lines:
            rollout.add(position, line)
        yield rollout.conversation()
    except UnreadableConversationError as error:
        yield RefusedConversation(rollout.key or "rollout", str(error), error.place)


def _kind(line: dict[str, Any]) -> str:
    if "payload" in line:
        return text(line.get("type"))
    return "session_meta" if line.keys() >= _LEGACY_HEAD else "response_item" if "type" in line else "state"


def _role(line: dict[str, Any]) -> str:
    return text(mapping(line.get("payload", line)).get("role"))


class _Conversation:
    """A conversation while its lines are read."""

    def __init__(self) -> None:
        self.key = ""
        self.from_events = False
        self._about: dict[str, Any] = {}
        self._said: list[ImportedMessage] = []
        self._end: int | None = None
        self._lines = 0
        self._missing = ""
        self._items: list[Any] = []  # of the answer that is being read
        self._begun: tuple[int, Any] = (0, None)
        self._turns: list[int | None] = []  # what each turn hangs on
        self._known: set[str] = set()  # texts that were said
        self._events: list[tuple[int, dict[str, Any], int]] = []  # with the message before each
        self._early: list[Any] = []
        self._model: str | None = None
        self._effort: str | None = None
        self._left_out: list[RefusedConversation] = []
        self._started_ns: int | None = None

    def add(self, position: int, line: dict[str, Any]) -> None:
        """Take a line."""
        kind, moment, ordinal = _kind(line), line.get("timestamp"), line.get("ordinal")
        if not self._said and isinstance(ordinal, int) and ordinal > self._lines + 1 and not self._missing:
            self._missing = f"ordinal {ordinal - 1}"
        self._lines += 1
        if "payload" in line and (more := rest_of(line, _OF_LINE)):
            self._keep(position, more, kind or "no type", named=False)
        payload = mapping(line.get("payload", line))
        if kind == "session_meta":
            self._session(payload, moment)
        elif kind == "turn_context":
            self._close()
            self._model = text(payload.get("model")) or self._model
            self._effort = text(payload.get("effort")) or self._effort
            self._keep(position, line, kind, named=False)
        elif kind == "compacted":
            self._compact(position, payload, moment)
        elif kind == "response_item":
            self._item(position, payload, moment)
        elif kind == "event_msg":
            self._event(position, line, payload, moment)
        else:
            self._keep(position, line, kind or "no type")

    def conversation(self) -> Conversation:
        """The conversation so far. An answer that nothing follows may continue: it does not say why it ended."""
        self._close(ended=False)
        for position, line, at in self._events:
            payload = mapping(line.get("payload"))
            if not self._is_known(payload):
                kind = text(payload.get("type")) or "no type"
                self._keep(position, line, kind, named=kind not in _ENDS_ANSWER, at=at)
        if self._early and self._said:
            self._beside(0, self._early)
        return checked(
            Conversation(
                key=self.key or "rollout",
                said=self._said,
                named=bool(self.key),
                started_ns=self._started_ns,
                rest={"session": self._about},
                left_out=tuple(self._left_out),
            )
        )

    def _session(self, payload: dict[str, Any], moment: Any) -> None:
        if self._about or self.key:
            self._keep(0, payload, "session_meta", named=False)  # of the session that this one was forked from
            return
        self.key = name(payload.get("id")) or name(payload.get("session_id"))
        self._about = {key: payload[key] for key in _OF_SESSION if payload.get(key) not in (None, "", {})}
        self._started_ns = nanoseconds(payload.get("timestamp")) or nanoseconds(moment)
        self._model = text(payload.get("model")) or None
        own = {*_OF_SESSION, "id", "session_id", "timestamp", "base_instructions", "model"}
        self._early += [{key: value for key, value in payload.items() if key not in own and value not in (None, "")}]
        base = payload.get("base_instructions")
        instructions = text(mapping(base).get("text")) or text(base)
        if instructions:
            self._say(f"{self.key}/instructions", {"role": "system", "content": instructions}, moment)

    def _item(self, position: int, item: dict[str, Any], moment: Any) -> None:
        if is_made_by_model(item):
            if starts_again(self._items, item):
                self._close()
            if not self._items:
                self._begun = (position, moment)
            self._items.append(as_call(item))
            return
        self._close()
        message = message_of(item)
        if message is None:
            self._keep(position, item, text(item.get("type")) or "no type")
            return
        if opens_turn(message):
            self._turns.append(self._end)
        self._say(str(position), message, moment)

    def _event(self, position: int, line: dict[str, Any], payload: dict[str, Any], moment: Any) -> None:
        kind = text(payload.get("type"))
        if kind in _ENDS_ANSWER:
            self._close()
        if kind == "token_count":
            self._count(mapping(mapping(payload.get("info")).get("last_token_usage")))
        elif kind == "thread_rolled_back":
            turns = payload.get("num_turns")
            for _ in range(min(turns, len(self._turns)) if isinstance(turns, int) else 0):
                self._close()
                self._end = self._turns.pop()
        elif kind == "turn_aborted" and self._said and self._said[-1].answered and self._said[-1].usage is None:
            self._said[-1] = replace(self._said[-1], status="interrupted")
        if self.from_events and kind in _SAID_AGAIN and text(payload.get("message")):
            made = kind == "agent_message"
            if not made:
                self._turns.append(self._end)
            message = {"role": "assistant" if made else "user", "content": payload["message"]}
            self._say(str(position), message, moment, answered=made)
        elif kind != "token_count":
            self._events.append((position, line, len(self._said) - 1))

    def _is_known(self, payload: dict[str, Any]) -> bool:
        words = [value for value in payload.values() if isinstance(value, str) and " " in value.strip()]
        nested = any(isinstance(value, dict | list) and value for value in payload.values())
        said = [text(payload.get(key)) for key in ("message", "text", "last_agent_message")]
        return not nested and all(value.strip() in self._known for value in [*words, *filter(None, said)])

    def _count(self, usage: dict[str, Any]) -> None:
        self._close()
        if usage and self._said and self._said[-1].answered:
            self._said[-1] = replace(self._said[-1], usage=usage)

    def _compact(self, position: int, payload: dict[str, Any], moment: Any) -> None:
        self._close()
        before = self._said[-1].key if self._said else ""
        self._end, self._turns = None, []
        evidence = {"compacted": {key: value for key, value in payload.items() if key != "replacement_history"}}
        evidence["compacted"]["after"] = before
        history = mappings(payload.get("replacement_history"))
        if not history and not text(payload.get("message")):
            self._missing = before
            self._early.append(evidence)
            return
        if not history:
            self._say(str(position), {"role": "user", "content": payload["message"]}, moment, rest=evidence)
            return
        for at, each in enumerate(history):
            item = mapping(each.get("item")) or each
            message = answer_of([as_call(item)]) if is_made_by_model(item) else message_of(item)
            if message is None:
                self._keep(position, item, text(item.get("type")) or "no type")
            else:
                self._say(f"{position}/{at}", message, moment, rest={} if at else evidence)

    def _close(self, *, ended: bool = True) -> None:
        """End the answer that is being read."""
        if not self._items:
            return
        position, moment = self._begun
        items, self._items = self._items, []
        message = answer_of(items)
        self._say(str(position), message, moment, answered=True)
        if not ended:
            self._said[-1] = replace(self._said[-1], finish_reason=None)

    def _say(self, key: str, message: dict[str, Any], moment: Any, *, answered: bool = False, rest: Any = None) -> None:
        only_thought = answered and not message.get("content") and not message.get("tool_calls")
        finish = "tool_calls" if message.get("tool_calls") else "stop"
        self._said.append(
            ImportedMessage(
                message=message,
                parent=self._end,
                key=key,
                answered=answered,
                model=self._model if answered else None,
                started_ns=nanoseconds(moment),
                finish_reason=finish if answered and not only_thought else None,
                status="interrupted" if only_thought else "ok",
                sampling={"reasoning_effort": self._effort} if answered and self._effort else None,
                rest=rest or {},
                missing_parent=self._missing if self._end is None else "",
            )
        )
        if self._end is None and self._missing:
            self._left_out.append(RefusedConversation(key, _NO_PARENT, place=self._missing))
            self._missing = ""
        self._end = len(self._said) - 1
        self._learn(message)

    def _learn(self, message: dict[str, Any]) -> None:
        content = message.get("content")
        parts = [text(part.get("text")) for part in mappings(content)] if isinstance(content, list) else [text(content)]
        thoughts = text(message.get("reasoning_content"))
        self._known.update(part.strip() for part in [*parts, "".join(parts), thoughts, *thoughts.split("\n\n")])

    def _keep(self, position: int, value: Any, kind: str, *, named: bool = True, at: int | None = None) -> None:
        """Keep what is not a message beside the message before it."""
        if named:
            self._left_out.append(RefusedConversation(f"line {position + 1}", f"a record of the type {kind!r}"[:80]))
        place = at if at is not None else len(self._said) - 1
        if place >= 0:
            self._beside(place, [value])
        else:
            self._early.append(value)

    def _beside(self, at: int, values: list[Any]) -> None:
        said = self._said[at]
        known = said.rest.get("records")
        if isinstance(known, list):
            known += values
        else:
            self._said[at] = replace(said, rest={**said.rest, "records": list(values)})
