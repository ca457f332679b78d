"""ChatGPT's ``conversations.json``: per conversation a ``mapping`` of nodes with ``parent`` and ``children``.

Every branch is kept; ``current_node`` (what the user saw last) is noted. A node without a message (the root) is no
message. What the model thought (``thoughts``, ``reasoning_recap``) goes with the answer that follows it, as
``reasoning_content``. A message to a tool (``recipient``) is a tool call, and the tool's message its result. Content of
any other type is kept whole, as one part of that type. ``message_feedback.json`` beside it holds the user's votes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from regraft.domain.capture.importers.conversation import (
    Conversation,
    Found,
    ImportedMessage,
    Judgement,
    UnreadableConversationError,
    ordered,
)
from regraft.domain.capture.importers.messages import checked, content_of, text_part, tool_call
from regraft.domain.capture.importers.moment import nanoseconds
from regraft.domain.capture.importers.records import JsonRecord
from regraft.domain.capture.importers.values import mapping, mappings, name, rest, text

FORM = "chatgpt"
_ROLES = frozenset({"system", "user", "assistant", "tool"})
_THINKING = frozenset({"thoughts", "reasoning_recap"})
_KNOWN = frozenset({"id", "conversation_id", "title", "create_time", "update_time", "mapping", "current_node"})
_KNOWN_OF_MESSAGE = frozenset({"id", "author", "create_time", "update_time", "content", "status", "recipient"})
_FEEDBACK = "message_feedback"
_VOTES = {"thumbsup": 1.0, "thumbsdown": -1.0}
_STATES = {"in_progress": "interrupted"}


def recognises(record: JsonRecord) -> bool:
    """Whether the record is such a conversation."""
    return isinstance(mapping(record.value).get("mapping"), dict)


def feedback(found: Iterable[JsonRecord]) -> dict[str, Any]:
    """The votes of ``message_feedback.json`` by the id of the message that they are about."""
    votes: dict[str, list[dict[str, Any]]] = {}
    for record in found:
        given = mapping(record.value)
        votes.setdefault(name(given.get("message_id")) or name(given.get("id")), []).append(given)
    return {_FEEDBACK: votes}


def read(record: JsonRecord) -> Iterator[Found]:
    """The conversation with all its branches."""
    talk = mapping(record.value)
    nodes = talk.get("mapping")
    if not isinstance(nodes, dict):
        raise UnreadableConversationError("no mapping of messages")
    places: dict[str, int | None] = {}
    votes = mapping(record.head.get(_FEEDBACK))
    thoughts: dict[str, str] = {}
    called: dict[str, str] = {}
    said: list[ImportedMessage] = []
    for key in ordered({key: _parent(node) for key, node in nodes.items()}):
        node = mapping(nodes[key])
        above = _parent(node)
        place = places.get(above) if above else None
        places[key], thoughts[key], called[key] = place, thoughts.get(above or "", ""), called.get(above or "", "")
        message = node.get("message")
        if not isinstance(message, dict):
            continue
        kind = text(mapping(message.get("content")).get("content_type"))
        role = mapping(message.get("author")).get("role")
        if role == "assistant" and kind in _THINKING and _continued(nodes, node):
            thoughts[key] = "\n\n".join(filter(None, (thoughts[key], _thought(message["content"]))))
            continue
        made = _said(key, message, place, thoughts.pop(key), called[key])
        given = [*votes.get(key, ()), *(votes.get(text(message.get("id")), ()) if message.get("id") != key else ())]
        said.append(replace(made, judgements=tuple(_judgements(given))) if given else made)
        places[key], thoughts[key] = len(said) - 1, ""
        if said[-1].message.get("tool_calls"):
            called[key] = key
    first = next((key for key in nodes), "")
    yield checked(
        Conversation(
            key=name(talk.get("conversation_id")) or name(talk.get("id")) or f"{talk.get('create_time')}:{first}",
            said=said,
            named=True,
            started_ns=nanoseconds(talk.get("create_time")),
            rest={**rest(talk, _KNOWN), "title": talk.get("title"), "current_node": talk.get("current_node")},
        )
    )


def _judgements(given: list[dict[str, Any]]) -> Iterator[Judgement]:
    for vote in given:
        value = _VOTES.get(text(vote.get("rating")).replace("_", "").lower())
        if value is not None:
            yield Judgement(name="vote", value=value, source="chatgpt user", comment=text(vote.get("content")) or None)


def _continued(nodes: dict[str, Any], node: dict[str, Any]) -> bool:
    """Whether messages follow this one."""
    children = node.get("children")
    return isinstance(children, list) and any(isinstance(child, str) and child in nodes for child in children)


def _parent(node: Any) -> str | None:
    parent = mapping(node).get("parent")
    return parent if isinstance(parent, str) else None


def _thought(content: dict[str, Any]) -> str:
    pieces = [text(each.get("content")) or text(each.get("summary")) for each in mappings(content.get("thoughts"))]
    return "\n\n".join(filter(None, [*pieces, text(content.get("content"))]))


def _said(key: str, message: dict[str, Any], parent: int | None, thought: str, call: str) -> ImportedMessage:
    role = mapping(message.get("author")).get("role")
    if not isinstance(role, str) or role not in _ROLES:
        raise UnreadableConversationError(f"an author {role!r}"[:80])
    content = _content(mapping(message.get("content")))
    recipient = message.get("recipient")
    made: dict[str, Any] = {"role": role, "content": content}
    if role == "assistant" and isinstance(recipient, str) and recipient != "all":
        arguments = content if isinstance(content, str) else {"parts": content}
        made = {"role": role, "content": None, "tool_calls": [tool_call(key, recipient, arguments)]}
    elif role == "tool":
        made = {
            "role": role,
            "name": mapping(message.get("author")).get("name"),
            "tool_call_id": call,
            "content": content,
        }
    if thought and role == "assistant":
        made["reasoning_content"] = thought
    details = mapping(message.get("metadata"))
    finish = mapping(details.get("finish_details")).get("type")
    return ImportedMessage(
        message=made,
        parent=parent,
        key=key,
        answered=role == "assistant",
        model=text(details.get("model_slug")) or None,
        started_ns=nanoseconds(message.get("create_time")),
        finish_reason=finish if isinstance(finish, str) else None,
        status="interrupted" if finish == "interrupted" else _STATES.get(text(message.get("status")), "ok"),
        rest=rest(message, _KNOWN_OF_MESSAGE),
    )


def _content(content: dict[str, Any]) -> str | list[Any]:
    kind = content.get("content_type")
    parts = content.get("parts")
    if kind in ("text", "multimodal_text") and isinstance(parts, list):
        return content_of([text_part(part) if isinstance(part, str) else _typed(part) for part in parts])
    if kind in ("code", "execution_output") and isinstance(content.get("text"), str):
        return str(content["text"])
    return [_typed(content)]


def _typed(part: Any) -> Any:
    """A part under its own type."""
    if not isinstance(part, dict):
        return {"type": "unknown", "value": part}
    return {"type": part.get("content_type", "unknown"), **part}
