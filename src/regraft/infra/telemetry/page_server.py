"""``/metrics`` of a process that has no server of its own: a few threads that no one else waits for."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from socketserver import ThreadingMixIn
from threading import Thread
from types import TracebackType
from typing import Self

from regraft.domain.errors import PortInUseError
from regraft.infra.telemetry.page import Page

_SILENCE = 10.0  # seconds of a client without a byte
_PLAIN = "text/plain; charset=utf-8"

log = logging.getLogger(__name__)


class MetricsServer:
    """Serves what ``render`` returns for an Accept header at ``/metrics``, and ``/healthz``, until it is closed.

    ``port`` 0 is any free one. Raises PortInUseError when the port cannot be had.
    """

    def __init__(self, host: str, port: int, render: Callable[[str], Page], setting: str = "") -> None:
        try:
            self._server = _Server(host, port, render)
        except OSError as error:
            hint = f"; set {setting} to another one" if setting else ""
            raise PortInUseError(f"Metrics cannot be served at {host}:{port}: {error.strerror}{hint}") from error
        self.port: int = self._server.server_address[1]
        self._thread = Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Server(ThreadingMixIn, HTTPServer):
    daemon_threads = True

    def __init__(self, host: str, port: int, render: Callable[[str], Page]) -> None:
        self.render = render
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        """Without asking for the name of the address, as HTTPServer does: that may take long."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _SILENCE
    server_version, sys_version = "regraft", ""

    def do_GET(self) -> None:
        status, page = 200, Page(b"ok\n", _PLAIN)
        path = self.path.partition("?")[0]
        if path == "/metrics":
            page = self.server.render(self.headers.get("accept", ""))
        elif path != "/healthz":
            status, page = 404, Page(b"There is /metrics here, and /healthz.\n", _PLAIN)
        self.send_response(status)
        self.send_header("content-type", page.content_type)
        self.send_header("content-length", str(len(page.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(page.body)

    do_HEAD = do_GET  # noqa: N815 the library's name

    def log_message(self, format: str, *args: object) -> None:
        log.debug("metrics: " + format, *args)
