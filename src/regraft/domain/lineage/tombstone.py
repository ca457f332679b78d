"""The value that replaces erased content: it states the erasure and contains nothing of the former content.

A tombstone's mark is random. It is not a digest: a guess at the content cannot be confirmed with it. It only
distinguishes erased messages, so that histories keep their shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

ERASED = "erased"
SHOWN = "[erased]"
_ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})


def message_tombstone(role: str, mark: UUID) -> dict[str, Any]:
    """The replacement of an erased message. A role that no API defines may itself be content, and is not kept."""
    return {"role": role if role in _ROLES else "user", "content": SHOWN, ERASED: str(mark)}


def is_erased(value: Any) -> bool:
    """Whether a message, a tool list or settings were erased."""
    if not isinstance(value, Mapping) or not isinstance(value.get(ERASED), str):
        return False
    return bool(value.get("content", SHOWN) == SHOWN)


def settings_tombstone(settings: Mapping[str, Any], mark: UUID) -> dict[str, Any]:
    """The replacement of erased settings: numbers and booleans stay, texts and structures are removed."""
    kept = {name: value for name, value in settings.items() if not isinstance(value, str | list | Mapping)}
    return {**kept, ERASED: str(mark)}


def holds_words(settings: Mapping[str, Any]) -> bool:
    """Whether settings hold anything but numbers and switches."""
    return any(isinstance(value, str | list | Mapping) for value in settings.values())
