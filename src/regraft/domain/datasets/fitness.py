"""Whether an answer may be trained on: by how it ended, and whether it says anything."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from regraft.domain.capture.endings import Ending
from regraft.domain.datasets.rows import Message, RowRefusal

_REASONS: dict[Ending, str] = {
    "finished": "finished_answer",
    "tool_use": "tool_use_answer",
    "cut": "cut_answer",
    "filtered": "filtered_answer",
    "paused": "paused_answer",
    "failed": "not_finished",
    "ambiguous": "ambiguous_answer",
    "unknown": "unknown_ending",
}


def unfit_ending(ending: Ending, allowed: Collection[str]) -> RowRefusal | None:
    """Why an answer that ended so is not learned from; None when the recipe takes it."""
    if ending in allowed:
        return None
    return RowRefusal(_REASONS[ending], f"the answer's ending is {ending}; the recipe takes {', '.join(allowed)}")


def says_nothing(messages: Iterable[Message]) -> bool:
    """Whether canonical messages hold neither words nor a call."""
    return not any((message["content"] or "").strip() or message["tool_calls"] for message in messages)
