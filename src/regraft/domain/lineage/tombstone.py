"""What takes the place of content that was erased: a typed value that says so, and nothing of what was there.

A tombstone's mark is random. It is not a digest: who guesses what was said cannot confirm the guess with it. It only
keeps two erased messages apart, so that a history of them has a shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

ERASED = "erased"
SHOWN = "[erased]"
_ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})


def message_tombstone(role: str, mark: UUID) -> dict[str, Any]:
    """What an erased message reads as. A role that no API defines may itself be content, and is not kept."""
    return {"role": role if role in _ROLES else "user", "content": SHOWN, ERASED: str(mark)}


def is_erased(value: Any) -> bool:
    """Whether a message, a tool list or settings were erased."""
    if not isinstance(value, Mapping) or not isinstance(value.get(ERASED), str):
        return False
    return bool(value.get("content", SHOWN) == SHOWN)


def settings_tombstone(settings: Mapping[str, Any], mark: UUID) -> dict[str, Any]:
    """What erased settings of a request read as: numbers and switches stay, words and structures go."""
    kept = {name: value for name, value in settings.items() if not isinstance(value, str | list | Mapping)}
    return {**kept, ERASED: str(mark)}


def holds_words(settings: Mapping[str, Any]) -> bool:
    """Whether settings hold anything but numbers and switches."""
    return any(isinstance(value, str | list | Mapping) for value in settings.values())
