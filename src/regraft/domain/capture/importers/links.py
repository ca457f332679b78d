"""The tree of messages, from either side of its links: the parent that a message names, and its children.

Files name one side, the other or both. Where only one side is there, it is taken; where both are there they must agree.
A parent that is named and not in the file leaves a message whose history is unknown: the result names it, and the
message does not begin a conversation."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from regraft.domain.capture.importers.conversation import RefusedConversation, UnreadableConversationError, ordered

NO_PARENT = "a message whose parent is not in the file"
NO_CHILD = "a message that is named as an answer and is not in the file"
# What applications write in place of a parent that a first message does not have.
_NOBODY = re.compile(r"(0|00000000-0000-[04]000-[08]000-000000000000|root|client-created-root)?\Z")


@dataclass(frozen=True, slots=True)
class MessageLinks:
    """The links of one message to its neighbours."""

    parent: str | None = None
    children: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MessageTree:
    """``parents`` lists parents before their children. ``missing`` names the parent of each message that hangs on one
    which is not in the file; ``absent`` are the ids that were named and are not there."""

    parents: dict[str, str | None]
    missing: dict[str, str]
    absent: tuple[str, ...]

    def left_out(self) -> tuple[RefusedConversation, ...]:
        """The notes about the tree for the result."""
        named = set(self.missing.values())
        return (
            *(RefusedConversation(key, NO_PARENT, place=parent) for key, parent in self.missing.items()),
            *(RefusedConversation(key, NO_CHILD, place=key) for key in self.absent if key not in named),
        )

    def has_children(self) -> set[str]:
        """The messages that others follow."""
        return {parent for parent in self.parents.values() if parent is not None}


def link(parent: Any, children: Any = None) -> MessageLinks:
    """A link from JSON: a value that is not a text names no message."""
    named = parent if isinstance(parent, str) and parent else None
    listed = children if isinstance(children, list) else []
    return MessageLinks(named, tuple(dict.fromkeys(child for child in listed if isinstance(child, str) and child)))


def tree_of(links: Mapping[str, MessageLinks]) -> MessageTree:
    """The tree of messages by id.

    Raises UnreadableConversationError when a message has two parents, or when messages answer one another in a circle.
    """
    listing: dict[str, list[str]] = {}
    absent: dict[str, None] = {}
    for key, each in links.items():
        for child in each.children:
            if child in links:
                listing.setdefault(child, []).append(key)
            else:
                absent[child] = None
    parents: dict[str, str | None] = {}
    missing: dict[str, str] = {}
    for key, each in links.items():
        found: dict[str | None, None] = dict.fromkeys(listing.get(key, ()))
        if each.parent in links:
            found[each.parent] = None
        if len(found) > 1:
            raise UnreadableConversationError("links that contradict each other: a message with two parents", key)
        parents[key] = next(iter(found), None)
        if not found and each.parent is not None and not _NOBODY.match(each.parent):
            missing[key] = each.parent
    return MessageTree({key: parents[key] for key in ordered(parents)}, missing, tuple(absent))


def by_id(messages: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Messages by id. One that is there twice, word for word, is one.

    Raises UnreadableConversationError when two different messages have one id.
    """
    found: dict[str, Any] = {}
    for key, message in messages:
        if key in found and found[key] != message:
            raise UnreadableConversationError("two messages with the same id", key)
        found.setdefault(key, message)
    return found
