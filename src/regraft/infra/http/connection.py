"""The HTTP/1.1 side that faces clients: one protocol per connection, with nothing between it and a call.

Requests are answered in order. A call writes its answer through the connection: one write for what one turn of the loop
has to say.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from regraft.infra.http.answer_writer import REASONS, AnswerWriter, Handling
from regraft.infra.http.replies import error_body, json_block
from regraft.infra.http.requests import BadRequestError, Request, RequestReader

if TYPE_CHECKING:
    from regraft.infra.http.server import HttpServer

__all__ = ["Handler", "Handling", "HttpConnection", "Request"]

log = logging.getLogger(__name__)

LINGER_SECONDS = 2.0  # after a refusal: time for the client to read it, before its unread bytes reset the connection
_PIPELINE_BYTES = 64 << 10
Handler = Callable[[Request, "HttpConnection"], Handling | None]


class HttpConnection(AnswerWriter, asyncio.Protocol):
    """One client's socket. One request is handled at a time; what comes behind it waits."""

    __slots__ = (
        "_busy",
        "_owes_continue",
        "_paused",
        "_reader",
        "_refusal",
        "_stalled_since",
        "_waiting",
    )

    def __init__(self, server: HttpServer) -> None:
        self._server = server
        self._reader = RequestReader(server.limits, self, server.loop.time())
        self._owes_continue = self._deaf = self._paused = self._busy = self._sized = False
        self._request = None
        self._handling = None
        self._waiting: deque[Request] = deque()
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
        if self._deaf:
            return
        reader = self._reader
        if not (self._busy or self._waiting or self._stalled_since):
            request = reader.again(data)
            if request is not None:
                self._serve(request)
                return
        try:
            if not reader.feed(data, self._server.loop.time()):
                self._deaf = True  # the request was answered as if nobody had asked; what follows is another protocol
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
            self._server.loop.call_soon(self._next)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.connections.discard(self)
        self._reader.close()
        self._deaf = True
        self._request = None
        self._waiting.clear()
        handling, self._handling = self._handling, None
        if handling is not None:
            handling.client_gone()
        self._server.went()

    # The reader's side

    def requested(self, request: Request) -> None:
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

    # The server's hand

    @property
    def idle(self) -> bool:
        return not self._busy and not self._waiting

    def close(self) -> None:
        self._deaf = True
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

    def _serve(self, request: Request) -> None:
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

    def _done(self) -> None:
        request, self._request, self._handling = self._request, None, None
        self._busy = False
        assert request is not None
        self._reader.since = self._server.loop.time()
        if not request.keep_alive or self._server.stopping:
            self._deaf = True
            self._closing_since = self._server.loop.time()
            self._transport.close()
        elif self._waiting or self._refusal is not None:
            self._server.loop.call_soon(self._next)
        else:
            if self._paused:
                self._paused = False
                self._transport.resume_reading()
            if self._owes_continue:
                self._owes_continue = False
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _next(self) -> None:
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
        self._deaf = True
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
