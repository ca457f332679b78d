"""``regraft web`` as a separate process, which a test can stop and start again at the same address."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from support.waiting import until


class WebProcess:
    """``folder`` holds the regraft.toml that names its port and its database; ``variables`` are settings over it."""

    def __init__(self, folder: Path, port: int, variables: Mapping[str, str] | None = None) -> None:
        self.folder, self.port, self._variables = folder, port, dict(variables or {})
        self.origin = f"http://127.0.0.1:{port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and return when it answers."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("REGRAFT_")}
        with (self.folder / "web.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "regraft", "web"],
                cwd=self.folder,
                env={**clean, **self._variables},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until(self._answers, 60)

    def stop(self) -> None:
        """Stop it, as Ctrl-C would; kill it when it does not end."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def kill(self) -> None:
        """End it as a crash would: it can do nothing about it."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError((self.folder / "web.log").read_text()[-4000:])
        with contextlib.suppress(OSError, http.client.HTTPException):
            self.ask("GET", "/api/openapi.json")
            return True
        return False

    def ask(
        self, method: str, path: str, body: object = None, token: str = "", headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """The status and the JSON of a request outside of any browser; the text where it is not JSON."""
        sent = {"Content-Type": "application/json", **(headers or {})}
        if token:
            sent["Authorization"] = f"Bearer {token}"
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.request(method, path, None if body is None else json.dumps(body), sent)
            answer = connection.getresponse()
            read = answer.read()
        try:
            return answer.status, json.loads(read)
        except ValueError:
            return answer.status, read.decode("utf-8", "replace")
