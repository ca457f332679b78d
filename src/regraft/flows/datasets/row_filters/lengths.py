"""Lengths of rows in tokens of a named tokenizer."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property

from regraft.domain.datasets.messages import Message, RowRefusal
from regraft.domain.datasets.recipe import Filters
from regraft.domain.datasets.rows import Row
from regraft.domain.datasets.words import texts
from regraft.infra.text.token_counter import token_counter

_TOGETHER = ("messages", "prompt")  # fields of a row that every sequence made from it holds
_SIDES = ("completion", "chosen", "rejected", "alternate")  # of which a sequence holds one


class Lengths:
    """A row is as long as the longest sequence that a trainer makes of it: the prompt, the longest side, the tools. The
    tokens that a chat template adds are not counted."""

    def __init__(self, wanted: Filters) -> None:
        self._wanted = wanted
        self._counts = array("Q")

    @cached_property
    def _count(self) -> Callable[[str], int]:
        return token_counter(self._wanted.tokenizer)

    def check(self, row: Row) -> Row | RowRefusal:
        """Refuse a row that is shorter or longer than the limits."""
        tokens = row_tokens(row, self._count)
        least, most = self._wanted.min_tokens, self._wanted.max_tokens
        if tokens < least:
            return RowRefusal("too_short", f"{tokens} tokens, at least {least} are wanted")
        if most and tokens > most:
            return RowRefusal("too_long", f"{tokens} tokens, at most {most} are wanted")
        self._counts.append(tokens)
        return row

    def replaced(self, row: Row) -> Row:
        """Nothing is replaced."""
        return row

    def report(self) -> Mapping[str, object]:
        """Figures of the rows within the limits."""
        return {"tokens": token_figures(self._wanted.tokenizer, self._counts)}

    def links(self) -> list[tuple[int, int]]:
        """No links."""
        return []


def row_tokens(row: Row, count: Callable[[str], int]) -> int:
    """The length of a row in tokens that ``count`` counts."""

    def length(messages: Iterable[Message]) -> int:
        said = sum(count(text) for message in messages for text in texts(message))
        return said + sum(count(call["function"]["name"]) for message in messages for call in message["tool_calls"])

    together = sum(length(getattr(row, name)) for name in _TOGETHER)
    return together + max(length(getattr(row, name)) for name in _SIDES) + (count(row.tools) if row.tools else 0)


def token_figures(tokenizer: str, counts: Iterable[int]) -> dict[str, object]:
    """Figures of the lengths of rows, in tokens of a named tokenizer; those of a row are absent where there is none."""
    ordered = sorted(counts)
    figures: dict[str, object] = {"tokenizer": tokenizer, "rows": len(ordered), "sum": sum(ordered)}
    if ordered:
        last = len(ordered) - 1
        figures |= {"min": ordered[0], "median": ordered[last // 2], "p95": ordered[last * 95 // 100]}
        figures["max"] = ordered[-1]
    return figures
