"""Daily work of ``regraft up``: it runs ``regraft retention``."""

from __future__ import annotations

import subprocess
import sys
import time

from regraft.infra.embedded.log_rotation import rotate
from regraft.presentation.cli.context import CommandContext

_FIRST_SECONDS = 15 * 60.0  # after the start: services come first
_DAY_SECONDS = 24 * 3600.0


class Housekeeping:
    """``look`` is called often, and starts the command when it is due. Its output goes to ``logs/retention.log``."""

    def __init__(self, run: CommandContext) -> None:
        self._run = run
        self._next = time.monotonic() + _FIRST_SECONDS
        self._running: subprocess.Popen[bytes] | None = None

    def look(self) -> None:
        """Start the command if it is due, and note when it has ended. Raises OSError if the log cannot be written."""
        if self._running is not None and self._running.poll() is not None:
            self._running = None
        section = self._run.settings.retention
        if (
            time.monotonic() < self._next
            or self._running is not None
            or not (section.raw_bodies or section.run_details)
        ):
            return
        self._next = time.monotonic() + _DAY_SECONDS
        limits = self._run.stack.log_limits
        log = self._run.data_dir / "logs" / "retention.log"
        rotate(log, limits.size, limits.keep)
        config = ["--config", str(self._run.config.resolve())] if self._run.config else []
        with log.open("ab") as printed:
            self._running = subprocess.Popen(
                [sys.executable, "-P", "-m", "regraft", *config, "retention"],
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
