"""The lines of a Claude Code transcript as a tree of messages: which lines are one answer, and what answers what.

Lines that say nothing (progress, hooks, attachments, notices) are steps of the chain and no messages: what hangs on
them hangs on the message before them. All lines of one answer are one message. Results of its calls follow one another
in the order of the file, whichever of its lines they hang on, and what comes after any of them comes after all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from regraft.domain.capture.importers import anthropic_content as content
from regraft.domain.capture.importers.links import MessageLinks, tree_of
from regraft.domain.capture.importers.moment import nanoseconds
from regraft.domain.capture.importers.values import mapping, text
from regraft.domain.ids import canonical_json

WORDLESS = frozenset({"file-history-snapshot", "progress"})  # copies of files; what sub-agents do meanwhile


@dataclass(slots=True)
class TranscriptLine:
    """A line with a ``uuid``. ``beside`` are records without one that follow it."""

    key: str
    kind: str
    position: int
    value: dict[str, Any]
    parent: str | None
    beside: list[Any] = field(default_factory=list)

    @property
    def aside(self) -> str:
        """The agent that a line of a side chain belongs to; empty for the session's own."""
        if self.value.get("isSidechain") is not True:
            return ""
        return text(self.value.get("agentId")) or "sidechain"


@dataclass(slots=True)
class TranscriptAnswer:
    """One answer of the API, from its lines."""

    key: str
    parent: str | None
    first: dict[str, Any]
    last: dict[str, Any]
    request: str
    started_ns: int | None
    blocks: list[Any] = field(default_factory=list)
    duration_ns: int = 0
    stop_reason: Any = None
    usage: dict[str, Any] = field(default_factory=dict)
    calls: set[str] = field(default_factory=set)
    results: dict[str, str] = field(default_factory=dict)  # the messages of its results, by the id of the call
    tail: str = ""  # the last of its results
    _seen: set[str] = field(default_factory=set)

    @property
    def message(self) -> dict[str, Any]:
        """The answer as a chat message."""
        return content.answer(self.blocks)

    def add(self, line: TranscriptLine) -> None:
        """Take a line: blocks that the answer has already are not repeated."""
        message = mapping(line.value.get("message"))
        given = message.get("content")
        blocks = (
            given if isinstance(given, list) else [{"type": "text", "text": given}] if isinstance(given, str) else []
        )
        for block in blocks:
            if (written := canonical_json(block)) not in self._seen:
                self._seen.add(written)
                self.blocks.append(block)
                if mapping(block).get("type") == "tool_use":
                    self.calls.add(text(block.get("id")))
        self.last = message
        self.stop_reason = message.get("stop_reason") or self.stop_reason
        self.usage = mapping(message.get("usage")) or self.usage
        moment = nanoseconds(line.value.get("timestamp"))
        if moment is not None and self.started_ns is not None:
            self.duration_ns = max(self.duration_ns, moment - self.started_ns)

    def goes_on(self, line: TranscriptLine) -> bool:
        """Whether a line with the same ``message.id`` that hangs on this answer belongs to it, and is no other answer
        that a server gave the same id."""
        request = text(line.value.get("requestId"))
        if self.request and request:
            return self.request == request
        return self.stop_reason is None or not self.results


@dataclass(slots=True)
class TranscriptMessage:
    """One chat message of the tree. ``first``: it is the first of its line; ``talk`` names its conversation."""

    key: str
    line: TranscriptLine
    talk: str
    message: dict[str, Any]
    first: bool = True
    missing: str = ""
    answer: TranscriptAnswer | None = None
    beside: list[Any] = field(default_factory=list)


def read_line(key: str, kind: str, position: int, value: dict[str, Any]) -> TranscriptLine:
    """A line of a transcript; the conversation begins again behind a compaction."""
    parent = value.get("parentUuid")
    cut = value.get("subtype") == "compact_boundary"
    return TranscriptLine(
        key, kind, position, value, parent if isinstance(parent, str) and parent and not cut else None
    )


class TranscriptTree:
    """The messages by key, and the message that each hangs on.

    Raises UnreadableConversationError when lines follow one another in a circle, or a message has an unknown role.
    """

    def __init__(self, lines: Mapping[str, TranscriptLine]) -> None:
        self.said: dict[str, TranscriptMessage] = {}
        self.unsaid: list[TranscriptLine] = []
        self._above: dict[str, str | None] = {}
        self._owner: dict[str, str | None] = {}  # the message that a line belongs to
        self._missing: dict[str, str] = {}
        self._talks: dict[str, str] = {}
        self._waiting: dict[str, list[Any]] = {}  # records of lines that say nothing, for what comes after them
        self._beginning: dict[tuple[str, str | None], TranscriptAnswer] = {}  # by ``message.id`` and what it hangs on
        self._answer_of: dict[str, TranscriptAnswer] = {}  # by the key of the answer and of its results
        self._apart: set[str] = set()  # other results of calls that have one
        tree = tree_of({key: MessageLinks(line.parent) for key, line in lines.items()})
        for key, above in tree.parents.items():
            self._place(lines[key], lines[above] if above else None, tree.missing.get(key, ""))
        self.parents = {key: self._end_of(key) for key in self.said}
        for key, records in self._waiting.items():
            owner = self._owner[key]
            if owner is not None:
                self.said[owner].beside += records

    def _place(self, line: TranscriptLine, above: TranscriptLine | None, missing: str) -> None:
        new = above is None or above.aside != line.aside
        parent = None if above is None or new else self._owner[above.key]
        talk = _talk_name(line) if above is None or new else self._talks[above.key]
        if above is not None and not new:
            missing = missing or self._missing.get(above.key, "")
        elif above is not None and line.aside:
            line.beside.append({"started_by": above.key})
        elif above is not None:
            missing = above.key  # the session continues from a side chain: not from what was said to it
        self._talks[line.key] = talk
        waiting = self._waiting.pop(above.key, []) if above is not None and not new else []
        message = mapping(line.value.get("message"))
        if _is_unsaid(line):
            self.unsaid.append(line)
            self._owner[line.key] = parent
            if parent is None and missing:
                self._missing[line.key] = missing
            own = [] if line.kind in WORDLESS else [line.value]
            self._waiting[line.key] = [*waiting, *own, *line.beside]
            return
        beside = [*waiting, *line.beside]
        missing = missing if parent is None else ""
        if line.kind == "assistant":
            self._answer(
                line, parent, message, TranscriptMessage(line.key, line, talk, {}, missing=missing, beside=beside)
            )
        else:
            self._user(line, parent, talk, missing, beside)

    def _answer(
        self, line: TranscriptLine, parent: str | None, message: dict[str, Any], said: TranscriptMessage
    ) -> None:
        name = text(message.get("id"))
        known = self._answer_of.get(parent or "")
        if known is None or text(known.first.get("id")) != name:
            known = self._beginning.get((name, parent))
        if name and known is not None and known.goes_on(line):
            known.add(line)
            self._owner[line.key] = known.key
            self.said[known.key].beside += said.beside
            return
        started, request = nanoseconds(line.value.get("timestamp")), text(line.value.get("requestId"))
        given = TranscriptAnswer(line.key, parent, message, message, request, started)
        given.add(line)
        self._beginning[name, parent] = given
        self._answer_of[line.key] = given
        said.answer = given
        self._say(said, parent)
        self._owner[line.key] = line.key

    def _user(self, line: TranscriptLine, parent: str | None, talk: str, missing: str, beside: list[Any]) -> None:
        given = self._answer_of.get(parent or "")
        for at, message in enumerate(_messages(line)):
            key = f"{line.key}/{at}" if at else line.key
            call = text(message.get("tool_call_id"))
            if given is not None and message["role"] == "tool" and call in given.calls:
                known = given.results.get(call)
                if known is not None and self.said[known].message == message:
                    parent = self._owner[line.key] = known
                    continue
                if known is None:
                    parent, given.results[call] = given.tail or given.key, key
                    self._chain(given, key)
                else:
                    parent, given = given.key, None
                    self._apart.add(key)
            elif at and given is not None:  # what the user says beside results
                self._chain(given, key)
            else:
                given = None
            said = TranscriptMessage(key, line, talk, message, first=not at, missing=missing if not at else "")
            said.beside = beside if not at else []
            self._say(said, parent)
            parent = self._owner[line.key] = key

    def _chain(self, given: TranscriptAnswer, key: str) -> None:
        given.tail = key
        self._answer_of[key] = given

    def _say(self, said: TranscriptMessage, parent: str | None) -> None:
        self.said[said.key] = said
        self._above[said.key] = parent

    def _end_of(self, key: str) -> str | None:
        """What a message hangs on: behind an answer with results, the last of them."""
        parent = self._above[key]
        given = self._answer_of.get(parent or "")
        if given is None or not given.tail or key in self._apart or self._answer_of.get(key) is given:
            return parent
        return given.tail


def _talk_name(line: TranscriptLine) -> str:
    session = text(line.value.get("sessionId")) or line.key
    if not line.aside:
        return session
    return f"{session}/{text(line.value.get('agentId')) or line.key}"


def _is_unsaid(line: TranscriptLine) -> bool:
    """Whether a line is a step of the chain that was not said to or by the model."""
    if line.kind == "attachment":
        return _queued(line) is None
    if line.kind not in ("user", "assistant") or not isinstance(line.value.get("message"), dict):
        return True
    if line.value.get("isApiErrorMessage") is True:
        return True
    return line.value.get("isVisibleInTranscriptOnly") is True and line.value.get("isCompactSummary") is not True


def _queued(line: TranscriptLine) -> Any:
    """What the user wrote while the model was working, if the line holds that."""
    attached = mapping(line.value.get("attachment"))
    return attached.get("prompt") if attached.get("type") == "queued_command" else None


def _messages(line: TranscriptLine) -> list[dict[str, Any]]:
    if line.kind == "attachment":
        return content.chat_messages({"role": "user", "content": _queued(line)})
    message = mapping(line.value.get("message"))
    return content.chat_messages({**message, "role": message.get("role") or "user"})
