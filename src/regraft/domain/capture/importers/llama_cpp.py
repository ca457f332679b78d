"""Exports of llama.cpp's web interface: a conversation (``conv``) with its ``messages``, linked by ``parent``.

One object, a list of them, or one a line. Thinking is ``reasoning_content``; attachments (``extra``) stay beside the
message.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from regraft.domain.capture.importers.conversation import (
    Conversation,
    Found,
    ImportedMessage,
    UnreadableConversationError,
)
from regraft.domain.capture.importers.links import by_id, link, tree_of
from regraft.domain.capture.importers.messages import checked, tool_call
from regraft.domain.capture.importers.moment import nanoseconds
from regraft.domain.capture.importers.recorded import decoded
from regraft.domain.capture.importers.records import JsonRecord
from regraft.domain.capture.importers.values import mapping, mappings, name, rest, text

FORM = "llama_cpp"
_READ = frozenset(
    {"id", "convId", "role", "content", "parent", "children", "timestamp", "type", "model", "thinking"}
    | {"reasoning_content", "reasoningContent", "toolCalls", "tool_calls", "toolCallId", "tool_call_id"}
)
_ROLES = frozenset({"user", "assistant", "system", "tool"})


def recognises(record: JsonRecord) -> bool:
    """Whether the record is such a conversation."""
    talk = mapping(record.value)
    return isinstance(talk.get("conv"), dict) and isinstance(talk.get("messages"), list)


def read(record: JsonRecord) -> Iterator[Found]:
    """The conversation with all its branches."""
    talk = mapping(record.value)
    about = mapping(talk.get("conv"))
    messages = by_id((name(each.get("id")) or f"#{at}", each) for at, each in enumerate(mappings(talk.get("messages"))))
    roots = {key for key, each in messages.items() if each.get("type") == "root"}
    tree = tree_of({key: _link(each, roots) for key, each in messages.items() if key not in roots})
    said: list[ImportedMessage] = []
    places: dict[str, int] = {}
    for key, above in tree.parents.items():
        places[key] = len(said)
        said.append(_said(messages[key], key, None if above is None else places[above], tree.missing.get(key, "")))
    yield checked(
        Conversation(
            key=name(about.get("id")) or str(record.position),
            said=said,
            named=bool(name(about.get("id"))),
            started_ns=said[0].started_ns if said else None,
            rest={**rest(about, frozenset({"id"})), **rest(talk, frozenset({"conv", "messages"}))},
            left_out=tree.left_out(),
        )
    )


def _link(message: dict[str, Any], roots: set[str]) -> Any:
    parent = name(message.get("parent"))
    return link(
        None if parent in roots or parent == "-1" else message.get("parent"),
        [each for each in message.get("children") or [] if name(each)]
        if isinstance(message.get("children"), list)
        else [],
    )


def _said(message: dict[str, Any], key: str, parent: int | None, missing: str) -> ImportedMessage:
    role = message.get("role")
    if not isinstance(role, str) or role not in _ROLES:
        raise UnreadableConversationError(f"a message with the role {role!r}"[:80], key)
    made: dict[str, Any] = {"role": role, "content": message.get("content")}
    thoughts = next(
        (message[each] for each in ("reasoning_content", "reasoningContent", "thinking") if text(message.get(each))), ""
    )
    if thoughts:
        made["reasoning_content"] = thoughts
    calls = mappings(decoded(message.get("toolCalls") or message.get("tool_calls")))
    if calls:
        functions = [(each.get("id"), mapping(each.get("function")) or each) for each in calls]
        made["tool_calls"] = [tool_call(call, each.get("name"), each.get("arguments")) for call, each in functions]
    if role == "tool":
        made["tool_call_id"] = text(message.get("toolCallId")) or text(message.get("tool_call_id"))
    answered = role == "assistant"
    unfinished = answered and not made["content"] and not calls
    return ImportedMessage(
        message=made,
        parent=parent,
        key=key,
        answered=answered,
        model=text(message.get("model")) or None if answered else None,
        started_ns=nanoseconds(message.get("timestamp")),
        status="interrupted" if unfinished else "ok",
        rest=rest(message, _READ),
        missing_parent=missing,
    )
