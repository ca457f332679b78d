"""Log probabilities that arrive in pieces, beside the text: lists that run on, without what a server says twice.

Some servers repeat the last token's in the chunk that ends the answer, and some send all so far in every chunk.
Sources: OpenAI API reference, logprobs of chat completions and of completions.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from regraft.domain.capture.streamed_parts import StreamedValue


class StreamedLogprobs:
    """The ``logprobs`` of one choice."""

    def __init__(self) -> None:
        self._lists: dict[str, list[tuple[list[Any], bool]]] = {}
        self._others: dict[str, StreamedValue] = {}

    def __bool__(self) -> bool:
        return bool(self._lists or self._others)

    def add(self, piece: Any, *, says: bool) -> None:
        """Add the next piece; ``says`` tells whether its chunk had words."""
        for key, value in piece.items() if isinstance(piece, dict) else (("value", piece),):
            if isinstance(value, list):
                self._lists.setdefault(key, []).append((value, says))
            else:
                self._others.setdefault(key, StreamedValue(key)).add(value)

    def value(self, content: Any) -> dict[str, Any]:
        """All of them, for an answer with this content."""
        kept = self._kept(content if isinstance(content, str) else None)
        found = {key: each.value() for key, each in self._others.items()}
        for key, pieces in self._lists.items():
            chosen = [items for at, (items, _) in enumerate(pieces) if kept is None or at in kept]
            found[key] = [item for items in chosen for item in items]
        return found

    def _kept(self, content: str | None) -> set[int] | None:
        """The numbers of the pieces that count, None for all: judged by the list that holds the tokens' texts."""
        for pieces in self._lists.values():
            lists = [items for items, _ in pieces]
            texts = [_text(items) for items in lists]
            if not any(texts):
                continue
            if len(lists) < 2 or None in texts or "".join(filter(None, texts)) == content:
                return None
            return _cumulative(lists, texts[-1] == content) or _said_once(pieces)
        return None


def _cumulative(lists: list[list[Any]], last_is_all: bool) -> set[int] | None:
    """The last list alone, where each begins with the one before."""
    pairs = list(pairwise([items for items in lists if items]))
    nested = bool(pairs) and all(after[: len(before)] == before for before, after in pairs)
    longer = sum(len(after) > len(before) for before, after in pairs)
    return {len(lists) - 1} if nested and lists[-1] and (longer > 1 or last_is_all) else None


def _said_once(pieces: list[tuple[list[Any], bool]]) -> set[int]:
    """All but those of chunks without words that repeat what came before."""
    kept: list[Any] = []
    before: list[Any] = []
    found = set()
    for at, (items, says) in enumerate(pieces):
        if not items or says or items not in (before, kept):
            found.add(at)
            kept += items
            before = items
    return found


def _text(items: list[Any]) -> str | None:
    tokens = [each.get("token") if isinstance(each, dict) else each for each in items]
    texts = [token for token in tokens if isinstance(token, str)]
    return "".join(texts) if len(texts) == len(tokens) else None
