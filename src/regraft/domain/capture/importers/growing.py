"""A conversation whose file is still being written: the part that cannot change any more.

The last answer may continue with the next line, and what the user said last will be answered. Both wait until more is
written: otherwise they would be stored a second time when they are complete."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Literal

from regraft.domain.capture.importers.conversation import Conversation, ImportedMessage

Age = Literal["fresh", "written", "settled"]  # of a file, since it last changed: seconds, a minute, longer


def settled(conversation: Conversation, age: Age) -> Conversation | None:
    """The conversation without the ends that no answer closes. In a fresh file no last answer is whole, in one that is
    still written only one that says why it ended. None when nothing is left."""
    said = conversation.said
    kept = [True] * len(said)
    children = [0] * len(said)
    for each in said:
        if each.parent is not None:
            children[each.parent] += 1
    followed = [count > 0 for count in children]
    for at in range(len(said) - 1, -1, -1):
        each = said[at]
        ended = age == "settled" or (age == "written" and each.finish_reason is not None)
        closed = each.answered and (followed[at] or ended)
        if children[at] == 0 and not closed:
            kept[at] = False
            if each.parent is not None:
                children[each.parent] -= 1
    if not any(kept):
        return None
    if all(kept):
        return conversation
    places: dict[int, int] = {}
    left: list[ImportedMessage] = []
    for at, each in enumerate(said):
        if kept[at]:
            places[at] = len(left)
            left.append(replace(each, parent=None if each.parent is None else places[each.parent]))
    return replace(conversation, said=left)


def whole_lines(pieces: Iterable[str]) -> Iterator[str]:
    """Text up to its last line end: what comes after it is half a line."""
    rest = ""
    for piece in pieces:
        cut = piece.rfind("\n") + 1
        if cut:
            yield rest + piece[:cut]
            rest = piece[cut:]
        else:
            rest += piece
