"""LibreChat's JSON export: ``messages`` in a tree by ``children`` (recursive) or by ``parentMessageId`` (flat).

The conversation's ``promptPrefix`` was sent to the model as its system message, so it becomes the first message.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from regraft.domain.capture.importers.conversation import Conversation, Found, ImportedMessage, Judgement
from regraft.domain.capture.importers.links import MessageTree, by_id, link, tree_of
from regraft.domain.capture.importers.messages import checked, content_of, text_part, tool_call
from regraft.domain.capture.importers.moment import nanoseconds
from regraft.domain.capture.importers.records import JsonRecord
from regraft.domain.capture.importers.values import figure, mapping, mappings, rest, text

FORM = "librechat"
_SAMPLING = ("temperature", "top_p", "top_k", "presence_penalty", "frequency_penalty", "max_tokens", "stop", "seed")
_KNOWN = frozenset({"conversationId", "options", "messages", "title"})
_KNOWN_OF_MESSAGE = frozenset(
    {"messageId", "parentMessageId", "conversationId", "text", "content", "isCreatedByUser", "children", "model", "_id"}
    | {"createdAt", "updatedAt", "unfinished", "error", "finish_reason", "files", "feedback", "__v", "user", "depth"}
)
_VOTES = {"thumbsUp": 1.0, "thumbsDown": -1.0}


def recognises(record: JsonRecord) -> bool:
    """Whether the record is such a conversation."""
    value = mapping(record.value)
    return "conversationId" in value and any("messageId" in each for each in mappings(value.get("messages")))


def read(record: JsonRecord) -> Iterator[Found]:
    """The conversation with all its branches."""
    talk = mapping(record.value)
    options = mapping(talk.get("options"))
    messages = by_id((text(each.get("messageId")) or f"message {at}", each) for at, each in _all(talk.get("messages")))
    tree = _tree(messages)
    said: list[ImportedMessage] = []
    prompt = text(options.get("promptPrefix"))
    if prompt:
        said.append(ImportedMessage(message={"role": "system", "content": prompt}, parent=None, key="promptPrefix"))
    first = len(said) - 1 if said else None
    ends: dict[str, int | None] = {}
    gaps: dict[str, str] = {}  # the absent parent that no message hangs on yet
    for key, above in tree.parents.items():
        each = messages[key]
        missing = tree.missing.get(key) or gaps.get(above or "", "")
        end = ends[above] if above else None if missing else first
        for piece, message in enumerate(_split(each)):
            said.append(_said(message, each, key, piece, end, "" if piece else missing))
            end = len(said) - 1
        ends[key], gaps[key] = end, missing if end is None else ""
    found = Conversation(
        key=text(talk.get("conversationId")),
        said=said,
        named=True,
        model=text(options.get("model")) or None,
        sampling={name: options[name] for name in _SAMPLING if options.get(name) is not None},
        rest={**rest(talk, _KNOWN), "title": talk.get("title"), "options": options},
        left_out=tree.left_out(),
    )
    yield checked(found if messages else Conversation(key=found.key, said=[]))


def _all(messages: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    """All messages with their numbers, those in one another too."""
    waiting = list(reversed(mappings(messages)))
    number = 0
    while waiting:
        each = waiting.pop()
        yield number, each
        number += 1
        waiting.extend(reversed(mappings(each.get("children"))))


def _tree(messages: dict[str, dict[str, Any]]) -> MessageTree:
    """``children`` are messages in one another, or their ids."""
    return tree_of(
        {
            key: link(
                each.get("parentMessageId"),
                [
                    child if isinstance(child, str) else text(mapping(child).get("messageId"))
                    for child in each.get("children") or []
                ]
                if isinstance(each.get("children"), list)
                else None,
            )
            for key, each in messages.items()
        }
    )


def _said(
    message: dict[str, Any], each: dict[str, Any], key: str, piece: int, parent: int | None, missing: str
) -> ImportedMessage:
    answered = message["role"] == "assistant"
    vote = mapping(each.get("feedback")).get("rating")
    value = _VOTES.get(vote, figure(vote)) if isinstance(vote, str) else figure(vote)
    judged = answered and value is not None
    status = "interrupted" if each.get("unfinished") is True else "error" if each.get("error") is True else "ok"
    return ImportedMessage(
        message=message,
        parent=parent,
        key=f"{key}/{piece}" if piece else key,
        answered=answered,
        model=text(each.get("model")) or None if answered else None,
        started_ns=None if piece else nanoseconds(each.get("createdAt")),
        finish_reason=text(each.get("finish_reason")) or None,
        status=status if answered else "ok",
        judgements=(Judgement(name="vote", value=value, source="librechat user"),)
        if judged and value is not None
        else (),
        rest={} if piece else rest(each, _KNOWN_OF_MESSAGE),
        missing_parent=missing,
    )


def _split(each: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The chat messages that an exported one is: its parts between tool calls."""
    role = "user" if each.get("isCreatedByUser") else "assistant"
    blocks = mappings(each.get("content"))
    parts: list[Any] = []
    thought = ""
    if not blocks and text(each.get("text")):
        parts.append(text_part(text(each.get("text"))))
    results: list[dict[str, Any]] = []
    calls: list[Any] = []

    def spoken() -> dict[str, Any]:
        made: dict[str, Any] = {"role": role, "content": content_of(parts) if parts or not calls else None}
        if thought:
            made["reasoning_content"] = thought
        return {**made, "tool_calls": calls} if calls else made

    for block in blocks:
        call = mapping(block.get("tool_call"))
        if block.get("type") == "tool_call" and role == "assistant":
            calls.append(tool_call(call.get("id"), call.get("name"), call.get("args")))
            results.append({"role": "tool", "tool_call_id": call.get("id"), "content": text(call.get("output"))})
            continue
        if calls:
            yield spoken()
            yield from results
            parts, calls, results, thought = [], [], [], ""
        if block.get("type") == "think":
            thought += text(block.get("think"))
        elif block.get("type") == "text" and isinstance(block.get("text"), dict):
            parts.append(text_part(text(block["text"].get("value"))))
        else:
            parts.append(block)
    parts += [{"type": "file", "file": file} for file in mappings(each.get("files"))]
    if parts or calls or thought or not blocks:
        yield spoken()
    yield from results
