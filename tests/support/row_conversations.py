"""Dataset rows, made by hand."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from regraft.domain.datasets.messages import Message, canonical_message
from regraft.domain.datasets.rows import Row


def message(role: str, content: str | None, **more: Any) -> Message:
    made = canonical_message({"role": role, "content": content, **more})
    assert isinstance(made, dict), made
    return made


def conversation(row_id: str, *said: str | Message, **more: Any) -> Row:
    """A row of kind sft: texts are what user and assistant say in turn."""
    turns = [
        one if isinstance(one, dict) else message("assistant" if number % 2 else "user", one)
        for number, one in enumerate(said)
    ]
    return Row(row_id=row_id, kind="sft", session_id=f"s-{row_id}", sources=(), messages=tuple(turns), **more)


def grows_linearly(work: Callable[[int], object], size: int) -> bool:
    """Whether work of a size takes, for eight times the size, much less than the 64 times of a square. CPU seconds."""

    def least(count: int) -> float:
        seconds = []
        for _ in range(3):
            start = time.process_time()
            work(count)
            seconds.append(time.process_time() - start)
        return min(seconds)

    return least(8 * size) < 28 * max(least(size), 0.002)
