"""Progress of long commands: a bar on a terminal; in a pipe a line on standard error now and then."""

from __future__ import annotations

import sys
import time
from typing import Any

from rich.console import Console
from rich.progress import Progress, ProgressColumn, TaskID

_LINE_SECONDS = 10.0  # between two lines


class Bar(Progress):
    """Vanishes at the end. Where the output is not a terminal, what is read by another program stays as it is."""

    def __init__(self, console: Console, *columns: ProgressColumn, hidden: bool = False) -> None:
        super().__init__(*columns, console=console, transient=True, disable=hidden or not console.is_terminal)
        self._lines = not hidden and not console.is_terminal
        self._said = time.monotonic()

    def update(self, task_id: TaskID, **changes: Any) -> None:
        """See Progress."""
        super().update(task_id, **changes)
        self._say(task_id)

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        """See Progress."""
        super().advance(task_id, advance)
        self._say(task_id)

    def _say(self, task_id: TaskID) -> None:
        now = time.monotonic()
        if not self._lines or now - self._said < _LINE_SECONDS:
            return
        self._said = now
        task = next(each for each in self.tasks if each.id == task_id)
        of = "" if task.total is None else f" of {task.total:,.0f}"
        print(f"{task.description}: {task.completed:,.0f}{of}", file=sys.stderr, flush=True)
