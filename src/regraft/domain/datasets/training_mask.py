"""Which messages of a row are trained on, and which are trained away from."""

from __future__ import annotations

from typing import Literal

from regraft.domain.datasets.messages import Message
from regraft.domain.datasets.rows import Row

Effect = Literal["", "learn", "avoid"]

_CONTEXT = ("prompt",)
_AVOIDED_LABELS = ("false", "forget")


def effect(row: Row, part: str, message: Message) -> Effect:
    """What training does with a message of a part (a list of messages) of a row: learn from it, avoid it, or only read
    it as context (``''``)."""
    if part in _CONTEXT or message["role"] != "assistant" or message["weight"] == 0.0:
        return ""
    if part == "rejected" or (part == "completion" and row.label in _AVOIDED_LABELS):
        return "avoid"
    return "learn"
