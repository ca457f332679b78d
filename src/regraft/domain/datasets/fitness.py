"""Whether an answer may be trained on, by how it ended."""

from __future__ import annotations

from collections.abc import Collection

from regraft.domain.capture.endings import Ending
from regraft.domain.datasets.messages import RowRefusal

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
    """Why an answer that ended so is not a training target; None when the recipe takes it."""
    if ending in allowed:
        return None
    return RowRefusal(_REASONS[ending], f"the answer's ending is {ending}; the recipe takes {', '.join(allowed)}")
