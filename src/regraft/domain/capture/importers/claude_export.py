"""Claude's data export: conversations with ``chat_messages`` of content blocks, with ``parent_message_uuid`` a tree.

Tool blocks become tool calls and their results: one exported message may hold several calls of the model. Thinking is
``reasoning_content``. Text that the application made an attachment of (a long paste, a document that it read) is text
of the message; files without their text, and blocks of any other type, are kept verbatim as parts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from regraft.domain.capture.importers.conversation import (
    Conversation,
    Found,
    ImportedMessage,
    UnreadableConversationError,
)
from regraft.domain.capture.importers.links import MessageLinks, by_id, link, tree_of
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
_WRITTEN = frozenset({"text", "voice_note"})
_WORDLESS = frozenset({"token_budget", "thinking"})
_FINISHED = frozenset({"", "end_turn", "stop_sequence", "tool_use", "stop"})
_JOINTS = ("", "\n", "\n\n", " ")


def recognises(record: JsonRecord) -> bool:
    """Whether the record is such a conversation."""
    return isinstance(mapping(record.value).get("chat_messages"), list)


def read(record: JsonRecord) -> Iterator[Found]:
    """The conversation with all its branches."""
    talk = mapping(record.value)
    messages = by_id(
        (text(each.get("uuid")) or str(at), each) for at, each in enumerate(mappings(talk.get("chat_messages")))
    )
    branching = any("parent_message_uuid" in each for each in messages.values())
    keys = list(messages)
    tree = tree_of(
        {
            key: link(messages[key].get("parent_message_uuid"))
            if branching
            else MessageLinks(keys[at - 1] if at else None)
            for at, key in enumerate(keys)
        }
    )
    said: list[ImportedMessage] = []
    ends: dict[str, int | None] = {}
    for key, above in tree.parents.items():
        end = ends.get(above) if above else None
        for made in _split(messages[key], key):
            missing = tree.missing.get(key, "") if not made.piece else ""
            said.append(_said(made, messages[key], f"{key}/{made.piece}" if made.piece else key, end, missing))
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
            left_out=tree.left_out(),
        )
    )


@dataclass(frozen=True, slots=True)
class _MessagePart:
    """One chat message of an exported one, with its number and what is kept beside it."""

    message: dict[str, Any]
    piece: int
    kept: tuple[Any, ...] = ()
    source_texts: tuple[str, ...] = ()


def _said(made: _MessagePart, message: dict[str, Any], key: str, parent: int | None, missing: str) -> ImportedMessage:
    more = {} if made.piece else rest(message, _KNOWN_OF_MESSAGE)
    return ImportedMessage(
        message=made.message,
        parent=parent,
        key=key,
        answered=made.message["role"] == "assistant",
        started_ns=None if made.piece else nanoseconds(message.get("created_at")),
        status="interrupted" if _is_cut(made.message, message) else "ok",
        rest={**more, "blocks": list(made.kept)} if made.kept else more,
        missing_parent=missing,
        source_texts=made.source_texts,
    )


def _is_cut(said: dict[str, Any], message: dict[str, Any]) -> bool:
    """Whether the export says that the answer was not finished, or it holds nothing but thinking."""
    if said["role"] != "assistant":
        return False
    stopped = text(message.get("stop_reason"))
    only_thought = not said["content"] and "tool_calls" not in said
    return message.get("truncated") is True or only_thought or (stopped not in _FINISHED)


class _AnswerBlocks:
    """The blocks of one chat message so far."""

    def __init__(self, role: str) -> None:
        self.role = role
        self.parts: list[Any] = []
        self.calls: list[Any] = []
        self.thoughts: list[str] = []
        self.kept: list[Any] = []

    def __bool__(self) -> bool:
        return bool(self.parts or self.calls or self.thoughts)

    def add(self, block: dict[str, Any]) -> None:
        """Take a block that is not a tool's."""
        kind = text(block.get("type"))
        plain = {name: value for name, value in block.items() if name not in _UNSAID and value not in (None, [], "")}
        if kind == "thinking" and self.role == "assistant" and text(block.get("thinking")):
            self.thoughts.append(block["thinking"])
            if plain.keys() - {"type", "thinking"}:
                self.kept.append({name: plain[name] for name in plain if name != "thinking"})
        elif kind in _WRITTEN and text(block.get("text")):
            self.parts.append(text_part(block["text"]))
            if plain.keys() - {"type", "text"} or kind != "text":
                self.kept.append({name: plain[name] for name in plain if name != "text"})
        elif kind == "text" or kind in _WORDLESS:
            self.kept += [plain] if plain.keys() - {"type"} else []
        else:
            self.parts.append(plain)

    def piece(self, number: int, whole: str = "") -> _MessagePart:
        """What was said as one chat message. ``whole`` is the text of all its blocks, as the export has it too."""
        parts = self.parts
        texts = [part["text"] for part in parts if mapping(part).get("type") == "text"]
        if len(texts) == len(parts) > 1 and whole in {joint.join(texts) for joint in _JOINTS}:
            parts = [text_part(whole)]
        made: dict[str, Any] = {"role": self.role, "content": content_of(parts)}
        if not parts and (self.calls or self.thoughts):
            made["content"] = None
        if self.thoughts:
            made["reasoning_content"] = "\n\n".join(self.thoughts)
        if self.calls:
            made["tool_calls"] = self.calls
        return _MessagePart(made, number, tuple(self.kept), tuple(texts))


def _split(message: dict[str, Any], key: str) -> Iterator[_MessagePart]:
    """The chat messages that an exported one is, each with its number."""
    role = _ROLES.get(text(message.get("sender")))
    if role is None:
        raise UnreadableConversationError(f"a sender {message.get('sender')!r}"[:80])
    blocks = mappings(message.get("content")) or [text_part(text(message.get("text")))]
    spoken = _AnswerBlocks(role)
    piece = 0
    last = ""
    for block in blocks:
        kind = block.get("type")
        if kind == "tool_use" and role == "assistant":
            call_id = text(block.get("id")) or f"{key}:{piece}:{len(spoken.calls)}"
            last = call_id
            spoken.calls.append(tool_call(call_id, block.get("name"), block.get("input")))
            continue
        if kind == "tool_result" and role == "assistant":
            if spoken:
                yield spoken.piece(piece)
                piece += 1
            yield _MessagePart(_result(block, last), piece)
            piece += 1
            spoken = _AnswerBlocks(role)
            continue
        if spoken.calls:
            yield spoken.piece(piece)
            piece += 1
            spoken = _AnswerBlocks(role)
        spoken.add(block)
    whole = text(message.get("text"))
    if mappings(message.get("content")) and whole and not _says(blocks, whole):
        spoken.kept.append({"type": "text", "text": whole})
    _attach(spoken, message, whole)
    if spoken or not piece:
        yield spoken.piece(piece, whole)


def _says(blocks: list[dict[str, Any]], whole: str) -> bool:
    """Whether the text beside the blocks repeats them."""
    return "".join(whole.split()) == "".join("".join(text(block.get("text")) for block in blocks).split())


def _attach(spoken: _AnswerBlocks, message: dict[str, Any], whole: str) -> None:
    """Add what is attached: its words to the text, else as a part."""
    words = []
    for each in mappings(message.get("attachments")):
        extracted = text(each.get("extracted_content"))
        if extracted.strip():
            words.append(extracted)
            more = {name: value for name, value in each.items() if name != "extracted_content"}
            spoken.kept.append({"type": "attachment", **more})
        else:
            spoken.parts.append({"type": "attachment", **each})
    if words:
        written = [mapping(part).get("text") for part in spoken.parts if mapping(part).get("type") == "text"]
        others = [part for part in spoken.parts if mapping(part).get("type") != "text"]
        first = [whole] if len(written) > 1 and whole else [each for each in written if isinstance(each, str)]
        spoken.parts = [text_part("\n\n".join(filter(None, [*first, *words]))), *others]
    spoken.parts += [{"type": "file", "file": each} for each in mappings(message.get("files"))]


def _result(block: dict[str, Any], last: str) -> dict[str, Any]:
    content = block.get("content")
    parts = [
        {name: value for name, value in each.items() if name not in _UNSAID and value is not None}
        for each in mappings(content)
    ]
    written = content if isinstance(content, str) else content_of(parts) if parts else canonical_json(content)
    return {"role": "tool", "tool_call_id": text(block.get("tool_use_id")) or last, "content": written}
