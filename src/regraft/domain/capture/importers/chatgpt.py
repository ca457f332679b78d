"""ChatGPT's ``conversations.json``: per conversation a ``mapping`` of nodes with ``parent``, ``children`` or both.

Every branch is kept; ``current_node`` (what the user saw last) is noted. A node without a message (the root) is no
message. What the model thought goes with the answer that follows it, as ``reasoning_content``; without one it is an
answer that was interrupted. A message to a tool (``recipient``) is a tool call, and the tool's message its result.
``message_feedback.json`` beside it holds the user's votes. What its contents say is in ``chatgpt_content``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from regraft.domain.capture.importers.chatgpt_content import MessageContent, content_of_message
from regraft.domain.capture.importers.conversation import (
    Conversation,
    Found,
    ImportedMessage,
    Judgement,
    UnreadableConversationError,
)
from regraft.domain.capture.importers.links import MessageTree, link, tree_of
from regraft.domain.capture.importers.messages import checked, tool_call
from regraft.domain.capture.importers.moment import nanoseconds
from regraft.domain.capture.importers.records import JsonRecord
from regraft.domain.capture.importers.values import figure, mapping, name, rest, text

FORM = "chatgpt"
_ROLES = frozenset({"system", "user", "assistant", "tool"})
_KNOWN = frozenset({"id", "conversation_id", "title", "create_time", "update_time", "mapping", "current_node"})
_KNOWN_OF_MESSAGE = frozenset({"id", "author", "create_time", "update_time", "content", "status", "recipient"})
_KNOWN_OF_NODE = frozenset({"id", "parent", "children", "message"})
_FEEDBACK = "message_feedback"
_VOTES = {"thumbsup": 1.0, "thumbsdown": -1.0}
_MOST_THOUGHTS = 2_000
_FINISHED = frozenset({"", "finished_successfully"})
_STOPPED = frozenset({"", "stop"})


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
    tree = tree_of(
        {key: link(mapping(node).get("parent"), mapping(node).get("children")) for key, node in nodes.items()}
    )
    said = _Path(tree, mapping(record.head.get(_FEEDBACK))).read(nodes)
    first = next((key for key in nodes), "")
    yield checked(
        Conversation(
            key=name(talk.get("conversation_id")) or name(talk.get("id")) or f"{talk.get('create_time')}:{first}",
            said=said,
            named=True,
            model=text(talk.get("default_model_slug")) or None,
            started_ns=nanoseconds(talk.get("create_time")),
            rest={**rest(talk, _KNOWN), "title": talk.get("title"), "current_node": talk.get("current_node")},
            left_out=tree.left_out(),
        )
    )


@dataclass(frozen=True, slots=True)
class _Predecessor:
    """What is known before a message: the place of the message before it, what was thought since, the rest of the
    nodes that hold no message of their own, the last tool call, and the absent parent that nothing hangs on yet."""

    place: int | None = None
    thoughts: tuple[str, ...] = ()
    folded: tuple[Any, ...] = ()
    call: str = ""
    missing: str = ""


class _Path:
    """Messages as they are made on the way down a tree."""

    def __init__(self, tree: MessageTree, votes: dict[str, Any]) -> None:
        self._tree = tree
        self._votes = votes
        self._inner = tree.has_children()
        self._known: dict[str, _Predecessor] = {}
        self.said: list[ImportedMessage] = []

    def read(self, nodes: dict[str, Any]) -> list[ImportedMessage]:
        """The messages of all nodes."""
        for key, parent in self._tree.parents.items():
            above = self._known[parent] if parent is not None else _Predecessor()
            if key in self._tree.missing:
                above = replace(above, missing=self._tree.missing[key])
            node = mapping(nodes[key])
            message = node.get("message")
            self._known[key] = self._next(key, node, message, above) if isinstance(message, dict) else above
            if key not in self._inner and self._known[key].thoughts:
                self._add(_thinking(key, self._known[key]))
        return self.said

    def _next(self, key: str, node: dict[str, Any], message: dict[str, Any], above: _Predecessor) -> _Predecessor:
        content = content_of_message(mapping(message.get("content")), mapping(message.get("metadata")))
        more = {**rest(message, _KNOWN_OF_MESSAGE), **rest(node, _KNOWN_OF_NODE), **content.rest}
        role = mapping(message.get("author")).get("role")
        if len(above.thoughts) + len(above.folded) > _MOST_THOUGHTS:
            raise UnreadableConversationError(f"more than {_MOST_THOUGHTS} thoughts before an answer", key)
        if content.thought and role == "assistant":
            above = replace(above, thoughts=(*above.thoughts, content.thought))
        if content.says_nothing and (key in self._inner or not above.thoughts or role != "assistant"):
            return replace(above, folded=(*above.folded, more))
        if above.thoughts and role not in ("assistant", "tool"):
            place = self._add(_thinking(key, above))
            above = replace(above, place=place, thoughts=(), folded=(), missing="")
        made = _said(key, message, content, above, more)
        place = self._add(made, text(message.get("id")))
        call = key if made.message.get("tool_calls") else above.call
        if role == "tool":
            return replace(above, place=place, call=call, missing="")
        return _Predecessor(place=place, call=call)

    def _add(self, said: ImportedMessage, message_id: str = "") -> int:
        given = [*self._votes.get(said.key, ()), *(self._votes.get(message_id, ()) if message_id != said.key else ())]
        judgements = [*_judgements(given)]
        self.said.append(replace(said, judgements=tuple(judgements)) if judgements else said)
        return len(self.said) - 1


def _judgements(given: Iterable[dict[str, Any]]) -> Iterator[Judgement]:
    for vote in given:
        value = _VOTES.get(text(vote.get("rating")).replace("_", "").lower())
        if value is not None:
            yield Judgement(name="vote", value=value, source="chatgpt user", comment=text(vote.get("content")) or None)


def _thinking(key: str, above: _Predecessor) -> ImportedMessage:
    """What was thought and led to no answer."""
    made = {"role": "assistant", "content": None, "reasoning_content": "\n\n".join(above.thoughts)}
    return ImportedMessage(
        message=made,
        parent=above.place,
        key=f"{key}/thoughts",
        answered=True,
        status="interrupted",
        rest={"folded": list(above.folded)},
        missing_parent=above.missing,
    )


def _said(
    key: str, message: dict[str, Any], content: MessageContent, above: _Predecessor, more: dict[str, Any]
) -> ImportedMessage:
    role = mapping(message.get("author")).get("role")
    if not isinstance(role, str) or role not in _ROLES:
        raise UnreadableConversationError(f"an author {role!r}"[:80])
    recipient = message.get("recipient")
    words = content.words
    made: dict[str, Any] = {"role": role, "content": words}
    if role == "assistant" and isinstance(recipient, str) and recipient != "all":
        arguments = words if isinstance(words, str) else {"parts": words}
        made = {"role": role, "content": None, "tool_calls": [tool_call(key, recipient, arguments)]}
    elif role == "assistant" and content.says_nothing:
        made = {"role": role, "content": None}
    elif role == "tool":
        name_of_tool = mapping(message.get("author")).get("name")
        made = {"role": role, "name": name_of_tool, "tool_call_id": above.call, "content": words}
    if role == "assistant":
        if above.thoughts:
            made["reasoning_content"] = "\n\n".join(above.thoughts)
        if figure(message.get("weight")) not in (None, 1.0):
            made["weight"] = message["weight"]
        if above.folded:
            more = {**more, "folded": list(above.folded)}
    details = mapping(message.get("metadata"))
    finish = text(mapping(details.get("finish_details")).get("type"))
    status = text(message.get("status"))
    cut = status not in _FINISHED or finish not in _STOPPED or details.get("is_complete") is False
    only_thought = role == "assistant" and made["content"] is None and "tool_calls" not in made
    return ImportedMessage(
        message=made,
        parent=above.place,
        key=key,
        answered=role == "assistant",
        model=text(details.get("model_slug")) or None,
        started_ns=nanoseconds(message.get("create_time")),
        finish_reason=finish or (status if status not in _FINISHED else None),
        status="interrupted" if cut or only_thought else "ok",
        rest=more,
        missing_parent=above.missing,
        source_texts=content.source_texts,
    )
