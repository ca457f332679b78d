"""Progress of work on a dataset, for those who wait for it, and the way to stop it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called from time to time with the step, how much of it is done, and of how much (0: not known). What it raises stops
the work: nothing of it stays."""


def unwatched(step: str, done: int, total: int) -> None:
    """Report to no one."""
