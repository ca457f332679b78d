"""A server of a data folder that listens on a port: adopted where it runs, else started on a port that is free."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from regraft.domain.errors import ServerStartError
from regraft.infra.embedded.leases import ServerUse
from regraft.infra.embedded.process import (
    ChildProcess,
    LogLimits,
    SystemAccount,
    free_port,
    port_free,
    require_port,
)
from regraft.infra.embedded.state import RunFolder, ServerState, wait_until

_ATTEMPTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """How a server is started. ``title`` names it in messages; ``details`` are remembered with its state."""

    title: str
    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: Path
    account: SystemAccount | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    details: dict[str, str] = field(default_factory=dict)


class KeptServer:
    """A server of a data folder as this process uses it: started or adopted, with a lease.

    port: None takes the remembered port when it is free, else a free one. port_setting: named where it is not free.
    """

    def __init__(
        self,
        data_dir: Path,
        name: str,
        port: int | None,
        port_setting: str,
        *,
        start_timeout: float,
        stop_timeout: float,
        log_limits: LogLimits,
    ) -> None:
        self._data_dir = data_dir
        self._name = name
        self._port = port
        self._port_setting = port_setting
        self._start_timeout = start_timeout
        self._stop_timeout = stop_timeout
        self._log_limits = log_limits
        self._child: ChildProcess | None = None
        self._use = ServerUse(data_dir, name)

    @property
    def started_here(self) -> bool:
        """Whether this process started it, and did not adopt it."""
        return self._child is not None

    @contextmanager
    def starting(self) -> Iterator[RunFolder]:
        """Hold the server's lock while it is adopted or started, and a lease on it, which is kept unless that fails."""
        if self._child is not None and not self._child.alive():
            self._child = None
        with self._use.starting() as run:
            yield run

    def adopt(self, run: RunFolder, answers: Callable[[int], bool]) -> ServerState | None:
        """The state of the server if it runs; ``answers`` says whether it does on a port. Raises ServerStartError."""
        return run.adoptable(self._name, lambda state: answers(state.port), self._start_timeout)

    def start(self, run: RunFolder, launch: Callable[[int], Launch], answers: Callable[[int], bool]) -> ServerState:
        """Start it as ``launch`` says for a port, and wait until it answers there.

        Raises ServerStartError or PortInUseError.
        """
        last = run.read(self._name)
        for attempt in range(1, _ATTEMPTS + 1):
            if self._port is not None:
                port = require_port(self._port, self._port_setting)
            else:
                port = free_port(last.port if last else None)
            how = launch(port)
            child = self._process(run, how)
            state = ServerState.of(child.start(), port, how.details, owner=child.keeper_pid)
            run.write(self._name, state)
            try:
                wait_until(lambda: not child.alive() or answers(port), self._start_timeout)  # noqa: B023  # called at once
                if child.alive() and answers(port):
                    self._child = child
                    return state
            except ServerStartError:
                child.stop()
                raise
            ended = not child.alive()
            child.stop()
            # Another program may take the free port before the server does.
            if self._port is None and ended and not port_free(port) and attempt < _ATTEMPTS:
                continue
            raise ServerStartError(f"{how.title} did not start; the end of {child.log}:\n{child.tail()}")
        raise AssertionError("unreachable")

    def stop(self) -> None:
        """Stop using the server. It ends when no one else uses it."""
        self._child = None
        self._use.end(self._stop_timeout)

    def _process(self, run: RunFolder, how: Launch) -> ChildProcess:
        return ChildProcess(
            name=self._name,
            argv=how.argv,
            log=self._data_dir / "logs" / f"{self._name}.log",
            env=how.env,
            account=how.account,
            cwd=how.cwd,
            stop_signal=how.stop_signal,
            stop_timeout=self._stop_timeout,
            users=run.users(self._name),
            lock=run.lock(self._name),
            log_limits=self._log_limits,
        )
