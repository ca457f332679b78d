"""The HTTP/1.1 side that faces clients: one protocol per connection, with no layer between it and a call.

Requests are answered in order. A call writes its answer through the connection: one write per iteration of the event
loop."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Protocol, cast

from regraft.infra.http.body_memory import BodyMemory
from regraft.infra.http.replies import error_body, json_block
from regraft.infra.http.requests import BadRequestError, ClientLimits, HttpRequest, RequestReader

log = logging.getLogger(__name__)

LINGER_SECONDS = 2.0  # after a refusal: time for the client to read it, before its unread bytes reset the connection
_PIPELINE_BYTES = 64 << 10
REASONS = {
    200: b"OK",
    202: b"Accepted",
    204: b"No Content",
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


Handler = Callable[[HttpRequest, "HttpConnection"], Handling | None]


class ConnectionOwner(Protocol):
    """The part of the server that a connection uses."""

    handler: Handler
    limits: ClientLimits
    refused: Callable[[int], None]
    connections: set[HttpConnection]
    closing: bool  # each answer ends its connection
    stopping: bool  # there are no more requests
    loop: asyncio.AbstractEventLoop

    def connection_closed(self) -> None:
        """A connection has left ``connections``."""


class HttpConnection(asyncio.Protocol):
    """One client's socket. Requests are handled one at a time; pipelined ones wait."""

    __slots__ = (
        "_busy",
        "_closing_since",
        "_handling",
        "_ignoring_input",
        "_owes_continue",
        "_paused",
        "_reader",
        "_refusal",
        "_request",
        "_server",
        "_sized",
        "_stalled_since",
        "_transport",
        "_waiting",
    )

    def __init__(self, server: ConnectionOwner) -> None:
        self._server = server
        self._reader = RequestReader(server.limits, self, server.loop.time())
        self._owes_continue = self._ignoring_input = self._paused = self._busy = self._sized = False
        self._transport: asyncio.Transport
        self._request: HttpRequest | None = None
        self._handling: Handling | None = None
        self._waiting: deque[HttpRequest] = deque()
        self._refusal: BadRequestError | None = None
        self._closing_since = self._stalled_since = 0.0

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=256 << 10)
        self._server.connections.add(self)
        if self._server.stopping:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        if self._ignoring_input:
            return
        reader = self._reader
        if not (self._busy or self._waiting or self._stalled_since):
            request = reader.again(data)
            if request is not None:
                self._serve(request)
                return
        try:
            if not reader.feed(data, self._server.loop.time()):
                self._ignoring_input = True  # the server switched protocols; what follows is not HTTP
        except BadRequestError as refusal:
            self._refuse(refusal)
        if self._busy and self._waiting and reader.behind > _PIPELINE_BYTES:
            self._pause()

    def eof_received(self) -> None:
        return None  # a client that will not listen is gone: the transport closes

    def pause_writing(self) -> None:
        self._stalled_since = self._server.loop.time()
        if self._handling is not None:
            self._handling.client_slow()

    def resume_writing(self) -> None:
        self._stalled_since = 0.0
        if self._handling is not None:
            self._handling.client_ready()
        elif not self._busy and self._waiting:
            self._server.loop.call_soon(self._serve_next)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.connections.discard(self)
        self._reader.close()
        self._ignoring_input = True
        self._request = None
        self._waiting.clear()
        handling, self._handling = self._handling, None
        if handling is not None:
            handling.client_gone()
        self._server.connection_closed()

    # Called by the request reader

    def requested(self, request: HttpRequest) -> None:
        self._owes_continue = False
        if self._busy or self._waiting or self._stalled_since:
            self._waiting.append(request)
            self._pause()
        else:
            self._serve(request)

    def awaits_continue(self) -> None:
        if self._busy:
            self._owes_continue = True
        else:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    # Called by the server

    @property
    def answering(self) -> bool:
        """Whether a handler works on an answer."""
        return self._handling is not None

    @property
    def idle(self) -> bool:
        return not self._busy and not self._waiting

    def close(self) -> None:
        self._ignoring_input = True
        self._transport.close()

    def stop(self) -> None:
        """The grace is over: the call in progress is recorded as far as it got."""
        handling, self._handling = self._handling, None
        if handling is not None:
            handling.stop()
        self._transport.abort()

    def sweep(self, now: float) -> None:
        """End what takes too long."""
        limits, reader = self._server.limits, self._reader
        if self._closing_since:
            if now - self._closing_since > limits.write_seconds:
                self._transport.abort()
        elif self._stalled_since:
            if now - self._stalled_since > limits.write_seconds:
                self._transport.abort()
        elif self._busy or self._waiting:
            return
        elif reader.in_head:
            if now - reader.since > limits.header_seconds:
                self._refuse(BadRequestError(408, "The request's headers did not come in time", "request_timeout"))
        elif reader.in_body:
            if now - reader.since > limits.body_seconds:
                self._refuse(BadRequestError(408, "The request's body did not come in time", "request_timeout"))
        elif now - reader.since > limits.idle_seconds:
            self.close()

    # Called by the request's handler

    def reply(self, status: int, block: bytes, body: bytes) -> None:
        """A whole answer of the gateway's own. ``block`` are header lines with the content-length among them."""
        self.start(status, REASONS.get(status, b""), block, True, body, True)

    @property
    def memory(self) -> BodyMemory:
        """Where large bodies are."""
        return self._server.limits.memory

    @property
    def plain(self) -> bool:
        """Whether ``answer`` may be used."""
        return self._request is not None and self._request.plain and not self._server.closing

    def answer(self, message: bytes) -> None:
        """A whole answer, head and body as they go out, with its length and nothing about the connection."""
        if self._request is not None:
            self._transport.write(message)
            self._finish()

    def start(self, status: int, reason: bytes, block: bytes, sized: bool, first: bytes, whole: bool) -> None:
        """Begin the answer, and end it when ``first`` is the ``whole`` body. ``sized``: ``block`` has its length."""
        request = self._request
        if request is None:
            return
        self._sized = sized
        if request.head.cors:
            block += request.head.cors
        framing = b""
        bodiless = request.method == b"HEAD" or status in (204, 304)
        if not sized and not bodiless:
            if request.is_http10:
                request.keep_alive = False
                self._sized = True  # the end of the connection is the end of the body
            else:
                framing = b"transfer-encoding: chunked\r\n"
        if self._server.closing:
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
            self._transport.write(head + (first if self._sized else _last_chunk(first)))
            self._finish()
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
        data = data if self._sized else _last_chunk(data)
        if data:
            self._transport.write(data)
        self._finish()

    def cut(self) -> None:
        """End the connection so that the client sees that its answer is not whole."""
        self._handling = None
        if not self._sized or self._request is None:
            self._transport.close()  # what was written still leaves; the missing last chunk says the rest
        elif self._request.is_http10:
            self._transport.abort()
        else:
            self._transport.close()
        self._ignoring_input = True
        self._closing_since = self._server.loop.time()

    def _serve(self, request: HttpRequest) -> None:
        self._busy = True
        self._request = request
        try:
            handling = self._server.handler(request, self)
        except Exception:
            log.exception("a request could not be handled")
            if self._request is request:
                request.keep_alive = False
                body = error_body("The gateway failed", "server_error", "internal_error")
                self.reply(500, json_block(body), body)
            return
        if self._request is request:
            self._handling = handling

    def _finish(self) -> None:
        request, self._request, self._handling = self._request, None, None
        self._busy = False
        assert request is not None
        self._reader.since = self._server.loop.time()
        if not request.keep_alive or self._server.stopping:
            self._ignoring_input = True
            self._closing_since = self._server.loop.time()
            self._transport.close()
        elif self._waiting or self._refusal is not None:
            self._server.loop.call_soon(self._serve_next)
        else:
            if self._paused:
                self._paused = False
                self._transport.resume_reading()
            if self._owes_continue:
                self._owes_continue = False
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _serve_next(self) -> None:
        if self._busy or self._stalled_since or self._transport.is_closing():
            return
        if self._waiting:
            self._serve(self._waiting.popleft())
        elif self._refusal is not None:
            self._refuse(self._refusal)

    def _pause(self) -> None:
        if not self._paused and not self._transport.is_closing():
            self._paused = True
            self._transport.pause_reading()

    def _refuse(self, refusal: BadRequestError) -> None:
        """Answer what cannot be served, after what was asked before it, and close."""
        self._ignoring_input = True
        self._refusal = refusal
        if self._busy or self._waiting:
            return
        status = refusal.status
        self._server.refused(status)
        body = error_body(refusal.message, "invalid_request_error", refusal.code)
        head = b"HTTP/1.1 %d %b\r\n%bconnection: close\r\n\r\n" % (status, REASONS[status], json_block(body))
        self._transport.write(head + body)
        self._closing_since = self._server.loop.time()
        if self._transport.can_write_eof():
            self._transport.write_eof()
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        self._server.loop.call_later(LINGER_SECONDS, self._transport.abort)


def _last_chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data) if data else b"0\r\n\r\n"
