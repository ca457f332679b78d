"""Values of parsed JSON that must be of one type."""

from __future__ import annotations

from typing import Any

from regraft.domain.ids import canonical_json


def text(value: Any) -> str:
    """A text. Raises TypeError."""
    if not isinstance(value, str):
        raise TypeError(f"{canonical_json(value)[:40]} is not text")
    return value


def texts(value: Any) -> tuple[str, ...]:
    """A list of texts, stripped, each once. Raises TypeError."""
    if not isinstance(value, list):
        raise TypeError(f"{canonical_json(value)[:40]} is not a list")
    return tuple(dict.fromkeys(text(each).strip() for each in value))


def whole_number(value: Any) -> int:
    """A whole number. Raises TypeError."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError("no whole number")
    return value
