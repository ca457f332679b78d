"""How an answer is written to a client: its framing, and what its connection does after it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from regraft.infra.http.requests import Request

if TYPE_CHECKING:
    from regraft.infra.http.server import HttpServer

REASONS = {
    200: b"OK",
    202: b"Accepted",
    400: b"Bad Request",
    401: b"Unauthorized",
    403: b"Forbidden",
    404: b"Not Found",
    405: b"Method Not Allowed",
    408: b"Request Timeout",
    413: b"Content Too Large",
    429: b"Too Many Requests",
    431: b"Request Header Fields Too Large",
    500: b"Internal Server Error",
    502: b"Bad Gateway",
    503: b"Service Unavailable",
    504: b"Gateway Timeout",
}


class Handling(Protocol):
    """A call in progress, as its connection sees it."""

    def client_gone(self) -> None:
        """The client hung up; nothing can be written any more."""

    def client_slow(self) -> None:
        """Write no more for now."""

    def client_ready(self) -> None:
        """Write on."""

    def stop(self) -> None:
        """The gateway ends before the answer does."""


class AnswerWriter:
    """Answers the request that a connection is busy with; ``_done`` goes on with the next."""

    __slots__ = ("_closing_since", "_deaf", "_handling", "_request", "_server", "_sized", "_transport")

    _server: HttpServer
    _transport: asyncio.Transport
    _request: Request | None
    _handling: Handling | None
    _sized: bool
    _deaf: bool
    _closing_since: float

    def reply(self, status: int, block: bytes, body: bytes) -> None:
        """A whole answer of the gateway's own. ``block`` are header lines with the content-length among them."""
        self.start(status, REASONS.get(status, b""), block, True, body, True)

    @property
    def plain(self) -> bool:
        """Whether ``answer`` may be used."""
        return self._request is not None and self._request.plain and not self._server.stopping

    def answer(self, message: bytes) -> None:
        """A whole answer, head and body as they go out, with its length and nothing about the connection."""
        if self._request is not None:
            self._transport.write(message)
            self._done()

    def start(self, status: int, reason: bytes, block: bytes, sized: bool, first: bytes, whole: bool) -> None:
        """Begin the answer, and end it when ``first`` is the ``whole`` body. ``sized``: ``block`` has its length."""
        request = self._request
        if request is None:
            return
        self._sized = sized
        framing = b""
        bodiless = request.method == b"HEAD" or status in (204, 304)
        if not sized and not bodiless:
            if request.is_http10:
                request.keep_alive = False
                self._sized = True  # the end of the connection is the end of the body
            else:
                framing = b"transfer-encoding: chunked\r\n"
        if self._server.stopping:
            request.keep_alive = False
        if not request.keep_alive:
            framing += b"connection: close\r\n"
        elif request.is_http10:
            framing += b"connection: keep-alive\r\n"
        head = b"HTTP/1.1 %d %b\r\n%b%b\r\n" % (status, reason, block, framing)
        if bodiless:
            self._sized = True
            first = b""
        if whole:
            self._transport.write(head + (first if self._sized else _last(first)))
            self._done()
        elif self._sized or not first:
            self._transport.write(head + first)
        else:
            self._transport.write(b"%b%x\r\n%b\r\n" % (head, len(first), first))

    def write(self, data: bytes) -> None:
        """More of the body."""
        if data and self._request is not None and self._request.method != b"HEAD":
            self._transport.write(data if self._sized else b"%x\r\n%b\r\n" % (len(data), data))

    def end(self, data: bytes) -> None:
        """The rest of the body, and its end."""
        if self._request is None:
            return
        if self._request.method == b"HEAD":
            data = b""
        data = data if self._sized else _last(data)
        if data:
            self._transport.write(data)
        self._done()

    def cut(self) -> None:
        """End the connection so that the client sees that its answer is not whole."""
        self._handling = None
        if not self._sized or self._request is None:
            self._transport.close()  # what was written still leaves; the missing last chunk says the rest
        elif self._request.is_http10:
            self._transport.abort()
        else:
            self._transport.close()
        self._deaf = True
        self._closing_since = self._server.loop.time()

    def _done(self) -> None:
        raise NotImplementedError


def _last(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data) if data else b"0\r\n\r\n"
