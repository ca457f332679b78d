"""Claude Code's transcripts: ``~/.claude/projects/PROJECT/SESSION.jsonl`` and those of its sub-agents.

Each line has a ``uuid`` and the ``parentUuid`` of the line before it. The blocks of one answer stand in lines of their
own that share ``message.id``; results of tools that ran at once hang on the lines of their calls. The conversation
begins again, under its own session, behind a ``compact_boundary``, whose ``logicalParentUuid`` is kept. A side chain is
a separate conversation, named by its session and its agent. What is not a message is kept beside the message before it
and named.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from regraft.domain.capture.importers import anthropic_content as content
from regraft.domain.capture.importers.claude_code_lines import (
    WORDLESS,
    TranscriptAnswer,
    TranscriptLine,
    TranscriptMessage,
    TranscriptTree,
    read_line,
)
from regraft.domain.capture.importers.conversation import (
    Conversation,
    Found,
    ImportedMessage,
    RefusedConversation,
    UnreadableConversationError,
    ordered,
)
from regraft.domain.capture.importers.links import NO_PARENT
from regraft.domain.capture.importers.moment import nanoseconds
from regraft.domain.capture.importers.records import JsonRecord
from regraft.domain.capture.importers.values import mapping, text
from regraft.domain.capture.importers.values import rest as rest_of
from regraft.domain.ids import TOO_DEEP, nested_too_deeply

FORM = "claude_code"
_MESSAGES = frozenset({"user", "assistant"})
_OF_SESSION = ("sessionId", "agentId", "cwd", "version", "gitBranch", "slug", "entrypoint", "teamName", "agentName")
_READ = frozenset(
    {"uuid", "parentUuid", "type", "message", "timestamp", "isSidechain", "userType", "sessionId", "agentId", "cwd"}
    | {"version", "gitBranch", "slug", "entrypoint"}
)
_OF_MESSAGE = frozenset({"type", "role", "model", "content", "stop_reason", "usage"})


def recognises(record: JsonRecord) -> bool:
    """Whether the record is a line of such a transcript."""
    line = mapping(record.value)
    kind = text(line.get("type"))
    if kind in _MESSAGES:
        return (
            isinstance(line.get("message"), dict) and "uuid" in line and ("parentUuid" in line or "sessionId" in line)
        )
    if kind == "summary":
        return "leafUuid" in line
    if kind == "file-history-snapshot":
        return "messageId" in line
    return bool(kind) and "sessionId" in line and "payload" not in line and "messages" not in line


def read(record: JsonRecord) -> Iterator[Found]:
    """The conversation of a transcript that has one line."""
    yield from gather([record])


def gather(found: Iterable[JsonRecord]) -> Iterator[Found]:
    """All conversations of a transcript: the session's own, and one a side chain."""
    transcript = _Transcript()
    for record in found:
        if nested_too_deeply(record.value):
            yield RefusedConversation(f"line {record.position + 1}", TOO_DEEP)
            continue
        yield from transcript.add(record)
    yield from transcript.conversations()


@dataclass(slots=True)
class _Conversation:
    """One conversation while its messages are collected."""

    said: list[ImportedMessage] = field(default_factory=list)
    about: dict[str, Any] = field(default_factory=dict)
    left_out: list[RefusedConversation] = field(default_factory=list)


class _Transcript:
    def __init__(self) -> None:
        self._lines: dict[str, TranscriptLine] = {}
        self._early: list[Any] = []  # records before the first line
        self._last: TranscriptLine | None = None
        self._named: list[RefusedConversation] = []

    def add(self, record: JsonRecord) -> Iterator[RefusedConversation]:
        """Take a line."""
        value = mapping(record.value)
        kind = text(value.get("type")) or "no type"
        key = text(value.get("uuid"))
        if not key:
            self._keep(record, kind, value)
            return
        line = read_line(key, kind, record.position, value)
        known = self._lines.get(key)
        if known is not None:
            if known.value.get("message") != value.get("message") or known.parent != line.parent:
                yield RefusedConversation(key, "two messages with the same id")
            return
        self._lines[key] = line
        self._last = line
        line.beside += self._early
        self._early = []

    def _keep(self, record: JsonRecord, kind: str, value: dict[str, Any]) -> None:
        """Keep a line that is not part of the tree with the line before it."""
        if kind not in ("summary", "custom-title", "ai-title"):
            self._name(kind, record.position)
        if kind in WORDLESS:
            return
        (self._early if self._last is None else self._last.beside).append(value)

    def _name(self, kind: str, position: int) -> None:
        self._named.append(RefusedConversation(f"line {position + 1}", f"a record of the type {kind!r}"[:80]))

    def conversations(self) -> Iterator[Found]:
        """What the lines are, parents before children."""
        try:
            tree = TranscriptTree(self._lines)
        except UnreadableConversationError as error:
            yield RefusedConversation(self._session(), str(error), error.place)
            return
        talks: dict[str, _Conversation] = {}
        places: dict[str, int] = {}
        for key in ordered(tree.parents):
            said = tree.said[key]
            talk = talks.setdefault(said.talk, _Conversation())
            parent = tree.parents[key]
            places[key] = len(talk.said)
            talk.said.append(_message(said, None if parent is None else places[parent], talk.about))
            if said.missing:
                talk.left_out.append(RefusedConversation(said.key, NO_PARENT, place=said.missing))
        for line in tree.unsaid:
            if line.kind != "system" or line.value.get("subtype") != "compact_boundary":
                subtype = text(line.value.get("subtype")) or text(mapping(line.value.get("attachment")).get("type"))
                self._name(f"{line.kind}/{subtype}" if subtype else line.kind, line.position)
        if not talks:
            yield from self._named or [RefusedConversation(self._session(), "a transcript without messages")]
            return
        for at, (key, talk) in enumerate(talks.items()):
            left_out = (*talk.left_out, *(self._named if at == 0 else ()))
            yield Conversation(
                key=key,
                said=talk.said,
                named=True,
                started_ns=talk.said[0].started_ns,
                rest={"session": talk.about},
                left_out=left_out,
            )

    def _session(self) -> str:
        found = (text(line.value.get("sessionId")) for line in self._lines.values())
        return next((session for session in found if session), "transcript")


def _message(said: TranscriptMessage, parent: int | None, about: dict[str, Any]) -> ImportedMessage:
    line = said.line
    for name in _OF_SESSION:
        if text(line.value.get(name)):
            about.setdefault(name, line.value[name])
    own = {key: value for key, value in rest_of(line.value, _READ).items() if value is not False}
    changed = {
        name: line.value[name] for name in _OF_SESSION if line.value.get(name) not in (about.get(name), None, "")
    }
    rest: dict[str, Any] = {**own, **changed} if said.first else {}
    if said.answer is None and said.first and (more := rest_of(mapping(line.value.get("message")), _OF_MESSAGE)):
        rest["message"] = more
    if said.beside:
        rest["records"] = said.beside
    made = ImportedMessage(
        message=said.message,
        parent=parent,
        key=said.key,
        started_ns=nanoseconds(line.value.get("timestamp")),
        rest=rest,
        missing_parent=said.missing,
    )
    return made if said.answer is None else _answered(made, said.answer)


def _answered(made: ImportedMessage, given: TranscriptAnswer) -> ImportedMessage:
    """The message as an answer of a model; one that the application wrote in its place is none."""
    message = given.message
    only_thought = not message["content"] and not message.get("tool_calls")
    more = {**rest_of(given.first, _OF_MESSAGE), **rest_of(given.last, _OF_MESSAGE)}
    requests = {"requestId": given.request} if given.request else {}
    model = text(given.first.get("model"))
    return ImportedMessage(
        message=message,
        parent=made.parent,
        key=made.key,
        answered=model != "<synthetic>",
        model=model or None,
        started_ns=made.started_ns,
        duration_ns=given.duration_ns,
        usage=given.usage or None,
        finish_reason=content.finish_reason(given.stop_reason),
        status="interrupted" if only_thought else "ok",
        rest={**made.rest, **requests, **more},
        missing_parent=made.missing_parent,
    )
