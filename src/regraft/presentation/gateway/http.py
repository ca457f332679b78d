"""The HTTP/1.1 side that faces clients: one protocol per connection on httptools, with nothing between it and a call.

Requests are read strictly (what two servers could read differently is refused, RFC 9112) and answered in order. A call
writes its answer through the connection: one write for what one turn of the loop has to say.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, cast

import httptools

from regraft.presentation.gateway.headers import NO_HEADERS, ClientHead, Headers, read_head
from regraft.presentation.gateway.replies import error_body, json_block

log = logging.getLogger(__name__)

SWEEP_SECONDS = 1.0
LINGER_SECONDS = 2.0  # after a refusal: time for the client to read it, before its unread bytes reset the connection
_GATHER = 1 << 20  # bytes of a body from which on its pieces are gathered in place
_PIPELINE_BYTES = 64 << 10
_REASONS = {
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


@dataclass(slots=True)
class Limits:
    """What a client may do. Bytes and seconds."""

    header_bytes: int = 64 << 10
    header_count: int = 128
    body_bytes: int = 512 << 20
    header_seconds: float = 15.0
    body_seconds: float = 60.0  # without a byte
    write_seconds: float = 300.0  # without taking a byte
    idle_seconds: float = 75.0
    timeout_graceful_shutdown: float = 30.0


class Request:
    """One whole request. ``target`` is the path with its query, ``headers`` do not hold the content-length."""

    __slots__ = ("body", "head", "is_http10", "keep_alive", "method", "path", "query")

    def __init__(
        self, method: bytes, target: bytes, head: ClientHead, body: bytes, keep_alive: bool, is_http10: bool
    ) -> None:
        self.method = method
        self.path, _, self.query = target.partition(b"?")
        self.head = head
        self.body = body
        self.keep_alive = keep_alive
        self.is_http10 = is_http10


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


Handler = Callable[[Request, "HttpConnection"], Handling | None]


class _RefusedError(Exception):
    """Stops the parser."""


class HttpConnection(asyncio.Protocol):
    """One client's socket. One request is handled at a time; what comes behind it waits."""

    __slots__ = (
        "_body",
        "_busy",
        "_chunked",
        "_closing_since",
        "_deaf",
        "_gathered",
        "_handling",
        "_head_bytes",
        "_head_of_request",
        "_headers",
        "_in_body",
        "_in_head",
        "_known_headers",
        "_length",
        "_owes_continue",
        "_parser",
        "_paused",
        "_refusal",
        "_request",
        "_server",
        "_since",
        "_size",
        "_sized",
        "_stalled_since",
        "_target",
        "_transport",
        "_waiting",
    )

    def __init__(self, server: HttpServer) -> None:
        self._server = server
        self._parser: httptools.HttpRequestParser | None = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport
        self._headers: Headers = []
        self._known_headers: Headers = []
        self._head_of_request: ClientHead = NO_HEADERS
        self._target = b""
        self._length: bytes | None = None
        self._body = b""
        self._gathered: list[bytes] | bytearray = []
        self._size = self._head_bytes = 0
        self._in_head = self._in_body = self._owes_continue = self._deaf = self._paused = False
        self._busy = self._chunked = self._sized = False
        self._request: Request | None = None
        self._handling: Handling | None = None
        self._waiting: deque[Request] = deque()
        self._refusal: tuple[int, str, str] | None = None
        self._since = server.loop.time()
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
        if self._in_body:
            self._since = self._server.loop.time()
        else:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)  # type: ignore[union-attr]
        except httptools.HttpParserUpgrade:
            self._deaf = True  # the request was answered as if nobody had asked; what follows is another protocol
        except httptools.HttpParserError as error:
            self._refuse(self._refusal or (400, f"The request is not valid HTTP: {error}", "bad_request"))
        else:
            if self._in_head and self._head_bytes > self._server.limits.header_bytes:
                self._refuse((431, "The request's headers are too large", "headers_too_large"))
        if self._busy and self._head_bytes > _PIPELINE_BYTES and self._waiting:
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
        self._parser = None  # it holds bound methods of this object: a cycle
        self._deaf = True
        self._waiting.clear()
        handling, self._handling = self._handling, None
        if handling is not None:
            handling.client_gone()
        self._server.went()

    # httptools

    def on_message_begin(self) -> None:
        self._headers = []
        self._target = b""
        self._length = None
        self._body = b""
        self._gathered = []
        self._size = 0
        self._in_head = True
        self._since = self._server.loop.time()

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(name) == 14 and name.lower() == b"content-length":
            self._length = value
        elif self._in_head:  # otherwise a trailer
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        headers = self._headers
        limits = self._server.limits
        if self._head_bytes > limits.header_bytes or len(headers) > limits.header_count:
            size = len(self._target) + sum(len(name) + len(value) + 4 for name, value in headers)
            if size > limits.header_bytes or len(headers) > limits.header_count:
                self._stop_parsing(431, "The request's headers are too large", "headers_too_large")
        if headers != self._known_headers:
            self._known_headers, self._head_of_request = headers, read_head(headers)
        head = self._head_of_request
        self._in_head, self._in_body = False, True
        if head.problem or head.hosts != 1:
            is_old = self._parser.get_http_version() == "1.0"  # type: ignore[union-attr]
            if head.problem or head.hosts > 1 or not is_old:
                self._stop_parsing(400, head.problem or "The request must name one host", "bad_request")
        if self._length is not None and int(self._length) > limits.body_bytes:
            self._stop_parsing(*_too_large(limits))
        if head.expects_continue and (head.chunked or (self._length or b"0") != b"0"):
            if self._busy:
                self._owes_continue = True
            else:
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self._server.limits.body_bytes:
            self._stop_parsing(*_too_large(self._server.limits))
        if not self._body and not self._gathered:
            self._body = piece
            return
        gathered = self._gathered
        if isinstance(gathered, bytearray):
            gathered += piece
        elif self._size > _GATHER:
            self._gathered = bytearray(b"".join((self._body, *gathered, piece)))
        else:
            gathered.append(piece)

    def on_message_complete(self) -> None:
        parser = self._parser
        assert parser is not None
        body, gathered = self._body, self._gathered
        if gathered:
            body = b"".join((body, *gathered)) if isinstance(gathered, list) else cast(bytes, gathered)
        request = Request(
            parser.get_method(),
            self._target,
            self._head_of_request,
            body,
            parser.should_keep_alive() and not parser.should_upgrade(),
            parser.get_http_version() == "1.0",
        )
        self._body, self._gathered = b"", []
        self._head_bytes = 0
        self._in_body = self._owes_continue = False
        self._since = self._server.loop.time()
        if self._busy or self._waiting or self._stalled_since:
            self._waiting.append(request)
            self._pause()
        else:
            self._serve(request)

    # What a call writes

    def reply(self, status: int, block: bytes, body: bytes) -> None:
        """A whole answer of the gateway's own. ``block`` are header lines with the content-length among them."""
        self.start(status, _REASONS.get(status, b""), block, True, body, True)

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
        limits = self._server.limits
        if self._closing_since:
            if now - self._closing_since > limits.write_seconds:
                self._transport.abort()
        elif self._stalled_since:
            if now - self._stalled_since > limits.write_seconds:
                self._transport.abort()
        elif self._busy or self._waiting:
            return
        elif self._in_head:
            if now - self._since > limits.header_seconds:
                self._refuse((408, "The request's headers did not come in time", "request_timeout"))
        elif self._in_body:
            if now - self._since > limits.body_seconds:
                self._refuse((408, "The request's body did not come in time", "request_timeout"))
        elif now - self._since > limits.idle_seconds:
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

    def _stop_parsing(self, status: int, message: str, code: str) -> None:
        self._refusal = (status, message, code)
        raise _RefusedError

    def _refuse(self, refusal: tuple[int, str, str]) -> None:
        """Answer what cannot be served, after what was asked before it, and close."""
        self._deaf = True
        self._refusal = refusal
        if self._busy or self._waiting:
            return
        self._server.refused(refusal[0])
        status, message, code = refusal
        body = error_body(message, "invalid_request_error", code)
        head = b"HTTP/1.1 %d %b\r\n%bconnection: close\r\n\r\n" % (status, _REASONS[status], json_block(body))
        self._transport.write(head + body)
        self._closing_since = self._server.loop.time()
        if self._transport.can_write_eof():
            self._transport.write_eof()
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        self._server.loop.call_later(LINGER_SECONDS, self._transport.abort)


def _last(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data) if data else b"0\r\n\r\n"


def _too_large(limits: Limits) -> tuple[int, str, str]:
    return 413, f"The request body is larger than {limits.body_bytes} bytes", "request_too_large"


class HttpServer:
    """All connections of one process. ``refused`` is told the status of every request that no handler saw."""

    def __init__(self, handler: Handler, limits: Limits, refused: Callable[[int], None]) -> None:
        self.handler = handler
        self.limits = limits
        self.refused = refused
        self.connections: set[HttpConnection] = set()
        self.stopping = False
        self.loop: asyncio.AbstractEventLoop
        self._sweeper: asyncio.TimerHandle | None = None
        self._empty: asyncio.Event | None = None

    def begin(self) -> None:
        """Call once, on the loop."""
        self.loop = asyncio.get_running_loop()
        self._empty = asyncio.Event()
        self._sweeper = self.loop.call_later(SWEEP_SECONDS, self._sweep)

    def connection(self) -> HttpConnection:
        return HttpConnection(self)

    def went(self) -> None:
        if self.stopping and not self.connections and self._empty is not None:
            self._empty.set()

    async def stop(self) -> None:
        """Let calls in flight finish for a while; then end them."""
        self.stopping = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in list(self.connections):
            if connection.idle:
                connection.close()
        await self._until_empty(self.limits.timeout_graceful_shutdown)
        for connection in list(self.connections):
            connection.stop()
        await self._until_empty(1.0)

    async def _until_empty(self, seconds: float) -> None:
        assert self._empty is not None
        if self.connections:
            try:
                async with asyncio.timeout(seconds):
                    await self._empty.wait()
            except TimeoutError:
                log.warning("%d connection(s) were still open at the end", len(self.connections))

    def _sweep(self) -> None:
        now = self.loop.time()
        for connection in list(self.connections):
            connection.sweep(now)
        self._sweeper = self.loop.call_later(SWEEP_SECONDS, self._sweep)
