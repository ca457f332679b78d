"""Our own processes (gateway, ingest, web, Dagster) as children: found running and adopted, or started."""

from __future__ import annotations

import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence, Set
from pathlib import Path

from regraft.domain.errors import ServerStartError
from regraft.infra.embedded.leases import ServerUse
from regraft.infra.embedded.process import ChildProcess, LogLimits, require_port
from regraft.infra.embedded.state import VERSION, RunFolder, ServerState, wait_until
from regraft.infra.environment import environment_without
from regraft.version import __version__

STOP_TIMEOUT = 15.0
KEPT_VARIABLE = "REGRAFT_KEPT"  # set for a background process, whose state its starter writes
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback is never behind a proxy


class EmbeddedProgram:
    """``python -m MODULE ARGUMENTS`` in the background of a data folder; the log is ``<data>/logs/NAME.log``.

    port: checked to be free before the start, under the setting's name. health: a URL that answers 200 when ready;
    without one the program is ready when it runs. It gets our environment without ``withheld``, and with ``env``.
    stop_timeout: seconds after which it is killed where it has not ended by itself.
    """

    def __init__(
        self,
        data_dir: Path,
        name: str,
        argv: Sequence[str],
        *,
        port: int | None = None,
        port_setting: str = "",
        health: str | None = None,
        env: Mapping[str, str] | None = None,
        withheld: Set[str] = frozenset(),
        start_timeout: float = 60.0,
        stop_timeout: float = STOP_TIMEOUT,
        log_limits: LogLimits = LogLimits(),
    ) -> None:
        self.name = name
        self.adopted = False
        self._data_dir = data_dir.resolve()
        self._argv = [sys.executable, "-m", *argv]
        self._port = port
        self._port_setting = port_setting
        self._health = health
        self._env = {**environment_without(withheld), **(env or {}), KEPT_VARIABLE: "1"}
        self._timeout = start_timeout
        self._stop_timeout = stop_timeout
        self._log_limits = log_limits
        self._child: ChildProcess | None = None
        self._use = ServerUse(self._data_dir, name)

    def start(self) -> bool:
        """Start the program unless it runs already; returns whether it was started here."""
        with self._use.starting() as run:
            if run.adoptable(self.name, lambda _: self._answers(), self._timeout):
                self.adopted = self._child is None
                return False
            if self._port is not None:
                require_port(self._port, self._port_setting)
            child = ChildProcess(
                self.name,
                self._argv,
                self._data_dir / "logs" / f"{self.name}.log",
                self._env,
                cwd=Path.cwd(),
                stop_timeout=self._stop_timeout,
                users=run.users(self.name),
                lock=run.lock(self.name),
                log_limits=self._log_limits,
            )
            pid = child.start()
            run.write(self.name, ServerState.of(pid, self._port or 0, {VERSION: __version__}, owner=child.keeper_pid))
            if not wait_until(lambda: not child.alive() or self._answers(), self._timeout) or not child.alive():
                child.stop()
                raise ServerStartError(f"{self.name} did not start. The end of {child.log}:\n{child.tail()}")
            self._child = child
            self.adopted = False
            return True

    def alive(self) -> bool:
        """Whether the program runs, anyone who started it."""
        state = RunFolder.of(self._data_dir).read(self.name)
        return state is not None and state.alive()

    def stop(self) -> None:
        """Stop using the program. It ends when no one else uses it."""
        self._child = None
        self._use.end(self._stop_timeout)

    def _answers(self) -> bool:
        if self._health is None:
            return True
        try:
            with _OPENER.open(self._health, timeout=2) as reply:
                return bool(reply.status == 200)
        except (urllib.error.URLError, OSError):
            return False
