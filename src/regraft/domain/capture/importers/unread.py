"""Texts of a record that its reader did not use: every text is part of the result, or is named.

The record and what a reader made of it are compared by their texts, so that the check needs no list of keys and holds
for every format. A text that is nowhere in the result is kept with the conversation under ``unread``, by its path;
a message that is nowhere in it (words beside a role) is refused with its conversation, because a history without it
would be another one. Numbers, flags, ids and dates hold no words: they are kept where a reader keeps them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass, fields, is_dataclass, replace
from itertools import pairwise
from typing import Any

from regraft.domain.capture.importers.conversation import (
    Conversation,
    Found,
    RefusedConversation,
    UnreadableConversationError,
)

WORDS = "words that are not read"
MESSAGES = "messages that are not read"
# A letter beside a blank and another word, or letters of a script that puts no blanks between words.
_WORDS = re.compile(r"[^\W\d_]\s+\w|\w\s+[^\W\d_]|[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]{2}")
# A word, or what a text that was quoted has in place of a character.
_TOKEN = re.compile(r"\\(?:u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)|(\w+)", re.DOTALL)
_ROLE_KEYS = ("role", "from", "sender", "author", "speaker")
_ROLES = frozenset(
    {"system", "developer", "user", "assistant", "tool", "function", "human", "gpt", "ai", "model", "bot", "chatgpt"}
    | {"prompter", "observation", "function_call"}
)
_SPOKEN_KEYS = frozenset({"content", "value", "text", "parts", "message", "body", "thinking"})
_COVERED = 0.8  # of the pairs of words of a text that was changed on its way (unescaped, joined, cut out of marks)
_REARRANGED = 3  # levels of settings and the rest that readers assembled again
_KEPT_CHARACTERS = 100_000  # of all unread texts of a conversation


@dataclass(frozen=True, slots=True)
class UnreadText:
    """A text that no reader used: its path, and whether it is the content of a message."""

    path: str
    text: str
    said: bool


def with_unread(value: Any, found: list[Found], aside: frozenset[str]) -> list[Found]:
    """What a reader made of a record, with what it left out. Members named in ``aside``, at any depth, are passed over.

    Raises UnreadableConversationError when messages were left out.
    """
    read = [each for each in found if isinstance(each, Conversation)]
    unread = unread_texts(value, read, aside) if read else []
    if not unread:
        return found
    if messages := [each.path for each in unread if each.said]:
        raise UnreadableConversationError(MESSAGES, messages[0])
    named = tuple(RefusedConversation(path, WORDS, path) for path in dict.fromkeys(each.path for each in unread))
    first = read[0]
    marked = replace(first, rest={**first.rest, "unread": _kept(unread)}, left_out=(*first.left_out, *named))
    return [marked if each is first else each for each in found]


def unread_texts(value: Any, read: Iterable[Conversation], aside: frozenset[str]) -> list[UnreadText]:
    """The texts of a record that are in none of its conversations. Linear in the record."""
    read = list(read)
    left = list(_leaves(value, aside, *_taken(read)))
    if not left:
        return []
    without_rest = [replace(each, rest={}) for each in read]  # a message is not read where it is only kept
    unread = _not_in([each for each in left if each.said], without_rest)
    return unread + _not_in([each for each in left if not each.said], read)


def _not_in(left: list[UnreadText], read: list[Conversation]) -> list[UnreadText]:
    known = set(_texts_of(read)) if left else set()
    left = [each for each in left if each.text not in known]
    if not left:
        return []
    words = _TextIndex(known, _keys_of(read))
    return [each for each in left if not words.cover(each.text)]


def holds_words(value: Any) -> bool:
    """Whether a JSON value holds a text of several words."""
    return any(True for _ in _leaves(value, frozenset(), frozenset(), frozenset()))


def _kept(unread: list[UnreadText]) -> dict[str, list[str]]:
    """Unread texts by path, in bounds."""
    found: dict[str, list[str]] = {}
    left = _KEPT_CHARACTERS
    for each in unread:
        if left > 0:
            found.setdefault(each.path, []).append(each.text[:left])
            left -= len(each.text)
    return found


def _taken(read: Iterable[Conversation]) -> tuple[set[int], set[int]]:
    """Values that readers took as they are, by identity, and those that they only keep: most of a record, known without
    looking into them."""
    taken: set[int] = set()
    kept: set[int] = set()
    for conversation in read:
        for each in conversation.said:
            taken.add(id(each.message))
            taken.update(map(id, each.message.values()))
            taken.update(map(id, each.rest.values()))
        for found, whole in ((taken, conversation.tools), (kept, conversation.rest)):
            level: list[Any] = [whole]
            for _ in range(_REARRANGED):
                inner = [one for each in level for one in (each.values() if isinstance(each, dict) else each)]
                found.update(map(id, inner))
                level = [one for one in inner if isinstance(one, dict | list)]
    return taken, kept


def _values_of(read: Iterable[Conversation]) -> Iterator[Any]:
    waiting: list[Any] = list(read)
    while waiting:
        value = waiting.pop()
        yield value
        if isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, list | tuple):
            waiting.extend(value)
        elif is_dataclass(value):
            waiting.extend(getattr(value, each.name) for each in fields(value))


def _texts_of(read: Iterable[Conversation]) -> Iterator[str]:
    return (value for value in _values_of(read) if isinstance(value, str))


def _keys_of(read: Iterable[Conversation]) -> Iterator[str]:
    return (key for value in _values_of(read) if isinstance(value, dict) for key in value)


def _leaves(value: Any, aside: frozenset[str], taken: Set[int], kept: Set[int]) -> Iterator[UnreadText]:
    """Texts with words in them, or in messages. Nothing is taken from ``taken`` values, and only messages from ``kept``
    ones."""
    waiting: list[tuple[Any, str, bool, bool, bool]] = [(value, "", False, False, False)]
    while waiting:
        each, path, inside, spoken, held = waiting.pop()
        if id(each) in taken:
            continue
        held = held or id(each) in kept
        if isinstance(each, str):
            said = inside and spoken and bool(each.strip())
            if said or (not held and _WORDS.search(each)):
                yield UnreadText(path, each, said)
        elif isinstance(each, dict):
            message = _is_message(each)
            for key in reversed(each):
                if key not in aside and isinstance(each[key], str | dict | list):
                    under = key in _SPOKEN_KEYS
                    below = f"{path}.{key}" if path else key
                    waiting.append((each[key], below, (inside or message) and under, under, held))
        elif isinstance(each, list):
            waiting.extend((inner, f"{path}[]", inside, spoken, held) for inner in reversed(each))


def _is_message(value: dict[str, Any]) -> bool:
    for key in _ROLE_KEYS:
        role = value.get(key)
        role = role.get("role") if isinstance(role, dict) else role
        if isinstance(role, str) and role.lower() in _ROLES:
            return True
    return False


def _words(text: str) -> Iterator[str]:
    return (match[1] for match in _TOKEN.finditer(text) if match[1])


class _TextIndex:
    """The words of what was read, and which of them are neighbours."""

    def __init__(self, texts: Iterable[str], keys: Iterable[str]) -> None:
        self._single: set[str] = set()
        self._pairs: set[int] = set()
        for text in texts:
            words = list(_words(text))
            self._single.update(words)
            self._pairs.update(map(hash, pairwise(words)))
        for key in keys:
            self._single.update(_words(key))

    def cover(self, text: str) -> bool:
        """Whether the words of a text occur in the result, in their order. A written value (JSON, a literal of
        Python's) may have been written again, with its members in another order."""
        words = list(_words(text))
        if len(words) < 2 or text.strip()[:1] + text.strip()[-1:] in ("{}", "[]"):
            return sum(word in self._single for word in words) >= _COVERED * len(words)
        return sum(hash(pair) in self._pairs for pair in pairwise(words)) >= _COVERED * (len(words) - 1)
