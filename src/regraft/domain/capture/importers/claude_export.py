"""Claude's data export: conversations with ``chat_messages`` of content blocks, with ``parent_message_uuid`` a tree.

Tool blocks become tool calls and their results: one exported message may hold several calls of the model. Thinking
blocks, attachments and blocks of any other type are kept verbatim as parts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from regraft.domain.capture.importers.conversation import (
    Conversation,
    Found,
    ImportedMessage,
    UnreadableConversationError,
    ordered,
)
from regraft.domain.capture.importers.messages import checked, content_of, text_part, tool_call
from regraft.domain.capture.importers.moment import nanoseconds
from regraft.domain.capture.importers.records import JsonRecord
from regraft.domain.capture.importers.values import mapping, mappings, rest, text
from regraft.domain.ids import canonical_json

FORM = "claude"
_ROLES = {"human": "user", "assistant": "assistant"}
_KNOWN = frozenset({"uuid", "name", "created_at", "updated_at", "chat_messages", "account"})
_KNOWN_OF_MESSAGE = frozenset(
    {"uuid", "text", "content", "sender", "created_at", "updated_at", "attachments", "files", "files_v2"}
    | {"parent_message_uuid", "index"}
)
_UNSAID = frozenset({"start_timestamp", "stop_timestamp", "flags"})


def recognises(record: JsonRecord) -> bool:
    """Whether the record is such a conversation."""
    return isinstance(mapping(record.value).get("chat_messages"), list)


def read(record: JsonRecord) -> Iterator[Found]:
    """The conversation with all its branches."""
    talk = mapping(record.value)
    messages = {text(each.get("uuid")) or str(at): each for at, each in enumerate(mappings(talk.get("chat_messages")))}
    branching = any("parent_message_uuid" in each for each in messages.values())
    keys = list(messages)
    parents: dict[str, str | None] = {
        key: (text(messages[key].get("parent_message_uuid")) or None) if branching else keys[at - 1] if at else None
        for at, key in enumerate(keys)
    }
    said: list[ImportedMessage] = []
    ends: dict[str, int | None] = {}
    for key in ordered(parents):
        above = parents[key]
        end = ends.get(above) if above else None
        for made in _split(messages[key], key):
            said.append(_said(made, messages[key], f"{key}/{made[1]}" if made[1] else key, end))
            end = len(said) - 1
        ends[key] = end
    yield checked(
        Conversation(
            key=text(talk.get("uuid")) or str(record.position),
            said=said,
            named=True,
            model=text(talk.get("model")) or None,
            started_ns=nanoseconds(talk.get("created_at")),
            rest={**rest(talk, _KNOWN), "title": talk.get("name")},
        )
    )


def _said(made: tuple[dict[str, Any], int], message: dict[str, Any], key: str, parent: int | None) -> ImportedMessage:
    said, piece = made
    return ImportedMessage(
        message=said,
        parent=parent,
        key=key,
        answered=said["role"] == "assistant",
        started_ns=None if piece else nanoseconds(message.get("created_at")),
        rest={} if piece else rest(message, _KNOWN_OF_MESSAGE),
    )


def _split(message: dict[str, Any], key: str) -> Iterator[tuple[dict[str, Any], int]]:
    """The chat messages that an exported one is, each with its number."""
    role = _ROLES.get(text(message.get("sender")))
    if role is None:
        raise UnreadableConversationError(f"a sender {message.get('sender')!r}"[:80])
    blocks = mappings(message.get("content")) or [text_part(text(message.get("text")))]
    parts: list[Any] = []
    calls: list[Any] = []
    piece = 0
    last = ""
    for block in blocks:
        kind = block.get("type")
        if kind == "tool_use" and role == "assistant":
            call_id = text(block.get("id")) or f"{key}:{piece}:{len(calls)}"
            last = call_id
            calls.append(tool_call(call_id, block.get("name"), block.get("input")))
            continue
        if kind == "tool_result" and role == "assistant":
            if calls or parts:
                yield _assistant(parts, calls), piece
                piece += 1
            yield _result(block, last), piece
            piece += 1
            parts, calls = [], []
            continue
        if calls:
            yield _assistant(parts, calls), piece
            piece += 1
            parts, calls = [], []
        plain = {name: value for name, value in block.items() if name not in _UNSAID and value not in (None, [])}
        parts.append(plain)
    parts += [{"type": "attachment", **each} for each in mappings(message.get("attachments"))]
    parts += [{"type": "file", "file": each} for each in mappings(message.get("files"))]
    if calls or parts or not piece:
        yield (_assistant(parts, calls) if calls else {"role": role, "content": content_of(parts)}), piece


def _assistant(parts: list[Any], calls: list[Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"role": "assistant", "content": content_of(parts) if parts else None}
    return {**made, "tool_calls": calls} if calls else made


def _result(block: dict[str, Any], last: str) -> dict[str, Any]:
    content = block.get("content")
    parts = [
        {name: value for name, value in each.items() if name not in _UNSAID and value is not None}
        for each in mappings(content)
    ]
    written = content if isinstance(content, str) else content_of(parts) if parts else canonical_json(content)
    return {"role": "tool", "tool_call_id": text(block.get("tool_use_id")) or last, "content": written}
