"""The process of ``regraft up``, recorded in the run folder of its data folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from regraft.domain.errors import UsageError
from regraft.infra.embedded.state import VERSION, RunFolder, ServerState
from regraft.version import __version__

_NAME = "up"
_READY = "ready"


@dataclass(frozen=True, slots=True)
class Supervisor:
    """A running ``regraft up``; ``ready`` once all services answer."""

    pid: int
    ready: bool

    @classmethod
    def of(cls, data_dir: Path) -> Supervisor | None:
        """The one of a data folder, None when there is none. Nothing is made."""
        state = RunFolder(data_dir / "run").read(_NAME)
        return cls(state.pid, _READY in state.details) if state and state.alive() else None


def become_supervisor(data_dir: Path) -> None:
    """Make this process the supervisor. Raises UsageError when another one is."""
    folder = RunFolder.of(data_dir)
    with folder.locked(_NAME):
        if running := Supervisor.of(data_dir):
            where = data_dir.resolve()
            raise UsageError(f"`regraft up` runs already for {where} (process {running.pid}): see `regraft status`.")
        folder.write(_NAME, ServerState.of(os.getpid(), 0, {VERSION: __version__}))


def report_ready(data_dir: Path) -> None:
    """Record that all services answer."""
    RunFolder.of(data_dir).write(_NAME, ServerState.of(os.getpid(), 0, {VERSION: __version__, _READY: "yes"}))
