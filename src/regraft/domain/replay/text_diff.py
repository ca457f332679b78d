"""How two texts differ, word by word."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import SequenceMatcher

_PIECE = re.compile(r"\s+|\w+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class DiffRun:
    """A run of text: ``same`` in both, or only in the ``old`` or the ``new`` one."""

    where: str
    text: str


def word_diff(old: str, new: str) -> list[DiffRun]:
    """The pieces of both texts in order. Joining all but the new ones gives ``old``; all but the old ones, ``new``."""
    before, after = _PIECE.findall(old), _PIECE.findall(new)
    pieces: list[DiffRun] = []
    for kind, start, end, new_start, new_end in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if kind == "equal":
            pieces.append(DiffRun("same", "".join(before[start:end])))
            continue
        if end > start:
            pieces.append(DiffRun("old", "".join(before[start:end])))
        if new_end > new_start:
            pieces.append(DiffRun("new", "".join(after[new_start:new_end])))
    return pieces


def likeness(old: str, new: str) -> float:
    """The share of words that two texts have in common and in order, 0 to 1 (Ratcliff/Obershelp)."""
    return SequenceMatcher(None, old.split(), new.split(), autojunk=False).ratio()
