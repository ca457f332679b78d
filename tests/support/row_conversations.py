"""Dataset rows, made by hand."""

from __future__ import annotations

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


def seconds_for(work: Any, *given: Any) -> float:
    """The least time of three that the work takes."""
    import time

    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        work(*given)
        best = min(best, time.perf_counter() - start)
    return best
