"""Values of foreign JSON: what has the expected type, or nothing."""

from __future__ import annotations

import math
from typing import Any

from regraft.domain.ids import Number


def figure(value: Any) -> float | None:
    """A finite number or a truth value as a float."""
    if not isinstance(value, int | Number):
        return None
    try:
        found = float(value)
    except (OverflowError, ValueError):
        return None
    return found if math.isfinite(found) else None


def text(value: Any) -> str:
    """The text that a value is; empty for anything else."""
    return value if isinstance(value, str) else ""


def name(value: Any) -> str:
    """A text or a whole number as a name; empty for anything else."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else text(value)


def mapping(value: Any) -> dict[str, Any]:
    """The object that a value is; an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def mappings(value: Any) -> list[dict[str, Any]]:
    """The objects in a list; none for anything else."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def rest(value: dict[str, Any], known: frozenset[str]) -> dict[str, Any]:
    """The members that were not read."""
    return {key: value[key] for key in value if key not in known and value[key] not in (None, [], {}, "")}
