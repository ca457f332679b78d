"""OpenAssistant message trees: nested ``replies`` under a ``prompt``, or flat messages with ``parent_id``.

``rank`` is a human order of the answers to one message, 0 the best; emojis and labels are counts of votes. A flat file
may name children before their parents: it is read whole before the first tree comes out.
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
    RefusedConversation,
    UnreadableConversationError,
    ordered,
)
from regraft.domain.capture.importers.links import NO_PARENT
from regraft.domain.capture.importers.messages import checked
from regraft.domain.capture.importers.moment import nanoseconds
from regraft.domain.capture.importers.records import JsonRecord
from regraft.domain.capture.importers.unread import with_unread
from regraft.domain.capture.importers.values import figure, mapping, mappings, rest, text

FORM = "oasst"
FLAT = "oasst_messages"
_ROLES = {"prompter": "user", "assistant": "assistant"}
_KNOWN = frozenset(
    {"message_id", "user_message_id", "parent_id", "parent_message_id", "message_tree_id", "text", "role", "replies"}
    | {"rank", "emojis", "labels", "model_name", "created_date"}
)
_SOURCE = "oasst people"


def recognises(record: JsonRecord) -> bool:
    """Whether the record is a tree."""
    prompt = mapping(mapping(record.value).get("prompt"))
    return "text" in prompt and "role" in prompt


def recognises_flat(record: JsonRecord) -> bool:
    """Whether the record is one message."""
    value = mapping(record.value)
    return _key(value) != "" and "text" in value and text(value.get("role")) in _ROLES


def read(record: JsonRecord) -> Iterator[Found]:
    """The tree of a record."""
    tree = mapping(record.value)
    messages: dict[str, dict[str, Any]] = {}
    parents: dict[str, str | None] = {}
    waiting: list[tuple[dict[str, Any], str | None]] = [(mapping(tree.get("prompt")), None)]
    while waiting:
        each, above = waiting.pop()
        key = _key(each) or f"{above or record.position}/{len(messages)}"
        if key in messages:
            raise UnreadableConversationError("two messages with the same id", key)
        messages[key], parents[key] = each, above
        waiting.extend((reply, key) for reply in reversed(mappings(each.get("replies"))))
    key = text(tree.get("message_tree_id")) or next(iter(messages))
    yield _tree(key, messages, parents, rest(tree, frozenset({"prompt", "message_tree_id"})))


def gather(records: Iterable[JsonRecord]) -> Iterator[Found]:
    """All trees of a flat file. A message whose parent is missing opens a separate tree, that says so."""
    messages: dict[str, dict[str, Any]] = {}
    doubled: set[str] = set()
    for record in records:
        each = mapping(record.value)
        key = _key(each)
        if not key:
            yield RefusedConversation(f"record {record.position + 1}", "a message without an id")
        elif messages.setdefault(key, each) != each:
            doubled.add(key)
    above = {key: text(each.get("parent_id")) or text(each.get("parent_message_id")) for key, each in messages.items()}
    roots: dict[str, str] = {}
    try:
        for key in ordered({key: parent or None for key, parent in above.items()}):
            roots[key] = roots.get(above[key], key)
    except UnreadableConversationError as error:
        circle = next(key for key in messages if key not in roots)
        yield RefusedConversation(circle, str(error))
    trees: dict[str, list[str]] = {}
    for key, root in roots.items():
        trees.setdefault(root, []).append(key)
    for root, keys in trees.items():
        if twice := doubled.intersection(keys):
            yield RefusedConversation(root, "two messages with the same id", min(twice))
            continue
        try:
            tree = _tree(root, messages, {key: None if key == root else above[key] for key in keys}, {}, above[root])
            yield from with_unread([messages[key] for key in keys], [tree], frozenset())
        except UnreadableConversationError as error:
            yield RefusedConversation(root, str(error), error.place)


def _key(message: dict[str, Any]) -> str:
    return text(message.get("message_id")) or text(message.get("user_message_id"))


def _tree(
    key: str,
    messages: dict[str, dict[str, Any]],
    parents: dict[str, str | None],
    more: dict[str, Any],
    missing: str = "",
) -> Conversation:
    said: list[ImportedMessage] = []
    places: dict[str, int] = {}
    for each in ordered(parents):
        parent = parents[each]
        made = _said(each, messages[each], places[parent] if parent is not None else None)
        said.append(replace(made, missing_parent=missing) if each == key and missing else made)
        places[each] = len(said) - 1
    left_out = (RefusedConversation(key, NO_PARENT, missing),) if missing else ()
    return checked(Conversation(key=key, said=said, named=True, task=f"oasst:{key}", rest=more, left_out=left_out))


def _said(key: str, message: dict[str, Any], parent: int | None) -> ImportedMessage:
    role = _ROLES.get(text(message.get("role")))
    if role is None:
        raise UnreadableConversationError(f"a message with the role {message.get('role')!r}"[:80])
    if not isinstance(message.get("text"), str):
        raise UnreadableConversationError("a message without a text")
    judgements = []
    rank = figure(message.get("rank"))
    if rank is not None:
        judgements.append(Judgement(name="rank", value=rank, source=_SOURCE))
    judgements += _votes("emoji", message.get("emojis"))
    judgements += _votes("label", message.get("labels"))
    return ImportedMessage(
        message={"role": role, "content": message["text"]},
        parent=parent,
        key=key,
        answered=role == "assistant",
        model=text(message.get("model_name")) or None,
        started_ns=nanoseconds(message.get("created_date")),
        judgements=tuple(judgements),
        rest=rest(message, _KNOWN),
    )


def _votes(kind: str, votes: Any) -> list[Judgement]:
    """``{name: count}``, ``{name: {"value": ...}}``, or lists of names beside counts or values."""
    given = mapping(votes)
    names = given.get("name")
    values = given.get("count", given.get("value"))
    if isinstance(names, list) and isinstance(values, list):
        given = dict(zip(map(str, names), values, strict=False))
    found = []
    for name, value in given.items():
        number = figure(value.get("value") if isinstance(value, dict) else value)
        if number is not None and not name.startswith("_"):  # those are the site's own bookkeeping
            found.append(Judgement(name=f"{kind}:{name}", value=number, source=_SOURCE))
    return found
