"""How a turn's history differs from that of its parent, where it is not an extension of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

CONFIG_KEY = "history"


@dataclass(frozen=True, slots=True)
class HistoryChange:
    """``shortened``: messages were cut or replaced, which makes a branch of kind ``compaction``. ``reason`` in words;
    ``config`` for programs, under ``compaction`` or ``history``."""

    shortened: bool
    reason: str
    config: Mapping[str, Any]


def stored_change(branch_kind: str, reason: str, config: Mapping[str, Any]) -> HistoryChange | None:
    """The change of history that a stored node's branch records; None if it records none."""
    if branch_kind == "compaction":
        return HistoryChange(True, reason, config)
    if CONFIG_KEY in config:
        return HistoryChange(False, config[CONFIG_KEY]["reason"], {CONFIG_KEY: config[CONFIG_KEY]})
    return None
