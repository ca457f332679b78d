"""A server of hostile pages: on another port of this machine, and under another name."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from support.chromium import FOREIGN


class ForeignSite:
    """Serves ``page`` at every address. Use as ``with``."""

    def __init__(self, page: str) -> None:
        content = page.encode()

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self.port = self._server.server_address[1]
        self.by_port = f"http://127.0.0.1:{self.port}"
        self.by_name = f"http://{FOREIGN}:{self.port}"

    def __enter__(self) -> ForeignSite:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
