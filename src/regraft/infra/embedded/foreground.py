"""A service in the foreground of a terminal, which commands in other terminals find and use."""

from __future__ import annotations

import os

from regraft.domain.errors import ConflictError
from regraft.infra.embedded.program import KEPT_VARIABLE
from regraft.infra.embedded.state import VERSION, RunFolder, ServerState
from regraft.infra.settings import Settings
from regraft.version import __version__


def announce(settings: Settings, name: str, port: int = 0, *, shared: bool = False) -> None:
    """Record in the run folder that this process is the service ``name``; it ends when its terminal ends it, anyone who
    uses it then. For a background process its starter has said so already. Where services are started by something
    else, nothing is said: other containers that share the data folder number their processes in their own way.

    ``shared`` services may run several times, and the first is the one that is found. Raises ConflictError when
    another process is the service of this data folder.
    """
    if os.environ.pop(KEPT_VARIABLE, None) or not settings.start_services:
        return
    run = RunFolder.of(settings.data_dir)
    with run.locked(name):
        running = run.read(name)
        if running is None or not running.alive():
            run.write(name, ServerState.of(os.getpid(), port, {VERSION: __version__}))
        elif not shared:
            raise ConflictError(
                f"`regraft {name}` runs already for {settings.data_dir.resolve()} (process {running.pid}): "
                "see `regraft status`."
            )
