"""Filters and sort orders of the list of sessions."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Literal, get_args

from regraft.domain.errors import UsageError

Sort = Literal["recent", "started", "turns", "errors", "reward"]
Direction = Literal["asc", "desc"]
SORTS: tuple[Sort, ...] = get_args(Sort)

FACETS: dict[str, int] = {  # by the bit that session_misses gives the condition
    "theme": 1,
    "model": 2,
    "purpose": 4,
    "kind": 8,
    "side": 16,
    "errors": 32,
    "replays": 64,
    "outcome": 128,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionFilter:
    """Conditions that all hold; of those with several values one is enough. None or empty: asks for nothing.

    ``themes``: names, '' for sessions without one. ``kinds``: of branches. ``side``: every call is a side call of a
    client, or one of a judge. ``least`` and ``most``: of the session's outcome, both included. ``since`` and ``until``:
    of its last turn, ``until`` not included. ``text``: words of an answer or a question, read like a web search.
    """

    themes: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    purposes: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    side: bool | None = None
    errors: bool | None = None
    replays: bool | None = None
    judged: bool | None = None
    least: float | None = None
    most: float | None = None
    since: datetime | None = None
    until: datetime | None = None
    text: str = ""

    def __post_init__(self) -> None:
        if self.least is not None and self.most is not None and self.least > self.most:
            raise UsageError("The least outcome is above the most: turn them round.")
        if self.since is not None and self.until is not None and self.since > self.until:
            raise UsageError("The beginning of the time is after its end: turn them round.")

    def conditions(self) -> dict[str, Any]:
        """What is asked for, as JSON values: times in seconds since 1970. Without ``text``."""
        found: dict[str, Any] = {}
        for each in fields(self):
            value = getattr(self, each.name)
            if each.name == "text" or value is None or value == ():
                continue
            found[each.name] = value.timestamp() if isinstance(value, datetime) else value
        return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}
