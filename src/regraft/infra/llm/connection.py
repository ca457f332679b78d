"""One HTTP/1.1 connection to a model server, and the answer that arrives on it.

Callbacks instead of awaiting: a listener is called once for each read of the socket, so that data that arrived together
is forwarded together. A body that was cut is an error, never a whole answer.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

import httptools

from regraft.domain.errors import UpstreamError
from regraft.infra.http.body_memory import MappedBody
from regraft.infra.http.repeated_head import RepeatedHead

Headers = list[tuple[bytes, bytes]]

_SLICE = 256 << 10  # bytes of a body that are handed to the socket at once
BODY_HIGH_WATER = 256 * 1024  # bytes waiting for the consumer at which the socket is no longer read


class ResponseListener(Protocol):
    """Receives an answer while it comes."""

    def arrived(self) -> None:
        """The head, more of the body or the end is there; or room to send was made."""

    def failed(self, error: UpstreamError) -> None:
        """There will be no more. Called at most once, and never after the end."""


class RepeatedAnswer:
    """The common part of answers with the same head. ``headers`` are all but the content-length, ``length`` its name.

    The same head is the same object, by which a listener may know it again.
    """

    __slots__ = ("head", "headers", "length", "reason", "status")

    def __init__(self, head: RepeatedHead, status: int, reason: bytes, headers: Headers, length: bytes) -> None:
        self.head = head
        self.status = status
        self.reason = reason
        self.headers = headers
        self.length = length


class UpstreamResponse:
    """One answer. ``headers`` keep their order and spelling; ``complete`` is true once the whole body has arrived.

    Bytes that have arrived and were not taken yet may still be waiting when ``complete`` is true. ``repeated`` is set
    when all of it came at once, behind a head that had come before.
    """

    __slots__ = (
        "_chunks",
        "_headers",
        "_size",
        "complete",
        "connection",
        "error",
        "is_head",
        "listener",
        "message",
        "reason",
        "repeated",
        "started",
        "status",
    )

    def __init__(self, message: tuple[bytes, ...], is_head: bool, listener: ResponseListener) -> None:
        self.message = message
        self.is_head = is_head
        self.listener = listener
        self.connection: Connection | None = None
        self.status = 0
        self.reason = b""
        self._headers: Headers = []
        self.repeated: RepeatedAnswer | None = None
        self.started = False
        self.complete = False
        self.error: UpstreamError | None = None
        self._chunks: list[bytes] = []
        self._size = 0

    @property
    def headers(self) -> Headers:
        if self.repeated is not None and not self._headers:
            self._headers = [*self.repeated.headers, (self.repeated.length, b"%d" % self._size)]
        return self._headers

    def begins(self, status: int, reason: bytes, headers: Headers) -> None:
        """The head has arrived."""
        self.status, self.reason, self._headers = status, reason, headers
        self.started = True

    def repeats(self, repeated: RepeatedAnswer, body: bytes) -> None:
        """All of it has arrived."""
        self.repeated = repeated
        self.status, self.reason = repeated.status, repeated.reason
        self.started = self.complete = True
        self._chunks = [body]
        self._size = len(body)

    def take(self) -> bytes:
        """The body bytes that have arrived and were not taken yet; ``b""`` when there are none."""
        chunks = self._chunks
        if not chunks:
            return b""
        taken = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        self._chunks = []
        if self.repeated is None:
            self._size = 0
        connection = self.connection
        if connection is not None and connection.paused and not connection.held:
            connection.resume()
        return taken

    def pause(self) -> None:
        """Read no more for now: the consumer is slow."""
        if self.connection is not None:
            self.connection.held = True
            self.connection.pause()

    def resume(self) -> None:
        """Read on."""
        if self.connection is not None:
            self.connection.held = False
            self.connection.resume()

    def close(self) -> None:
        """Give up what has not arrived: the connection is dropped unless the answer is whole."""
        if not self.complete and self.error is None:
            self.error = UpstreamError("the caller cancelled the answer")
            if self.connection is not None:
                self.connection.abandon(self)

    def push(self, chunk: bytes) -> None:
        self._chunks.append(chunk)
        self._size += len(chunk)
        if self._size > BODY_HIGH_WATER and self.connection is not None:
            self.connection.pause()

    def fail(self, error: UpstreamError) -> None:
        if not self.complete and self.error is None:
            self.error = error
            self.listener.failed(error)


class ConnectionPool(Protocol):
    """The part of the pool that a connection uses."""

    authority: str
    repeated: RepeatedAnswer | None

    def release(self, connection: Connection) -> None:
        """The answer is whole and the connection can carry another call."""

    def forget(self, connection: Connection) -> None:
        """The connection cannot be used again."""

    def start_fresh(self, response: UpstreamResponse) -> None:
        """Send the call again on a new connection."""

    def remember(self, data: bytes, response: UpstreamResponse) -> None:
        """``data`` is a whole answer, from its first byte on."""


class Connection(asyncio.Protocol):
    """One socket to the server. Carries one call at a time; goes back to the pool after a whole answer."""

    __slots__ = (
        "full",
        "headers",
        "heard",
        "held",
        "idle_since",
        "in_body",
        "interim",
        "kept",
        "last_heard",
        "loop",
        "lost",
        "parser",
        "paused",
        "pool",
        "reason",
        "response",
        "reused",
        "sending",
        "sent",
        "transport",
        "until_close",
    )

    def __init__(self, pool: ConnectionPool, loop: asyncio.AbstractEventLoop) -> None:
        self.pool = pool
        self.loop = loop
        self.parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        # Some servers send both lengths; for an answer (unlike a request) the chunked one simply wins (RFC 9112, 6.3).
        self.parser.set_dangerous_leniencies(lenient_chunked_length=True)
        self.transport: asyncio.Transport | None = None
        self.lost: asyncio.Future[None] = loop.create_future()
        self.response: UpstreamResponse | None = None
        self.headers: Headers = []
        self.reason = b""
        self.last_heard = self.idle_since = loop.time()
        self.heard = self.reused = self.paused = self.held = self.interim = self.in_body = self.until_close = False
        self.kept = False  # the last answer left the connection usable
        self.sending: bytes | None = None  # a large body, of which ``sent`` bytes were handed over
        self.sent = 0
        self.full = False

    def start(self, response: UpstreamResponse) -> None:
        """Send one request; its listener hears of the answer."""
        assert self.transport is not None
        self.response = response
        response.connection = self
        self.heard = self.in_body = self.interim = False
        self.last_heard = self.loop.time()
        message = response.message
        self.transport.write(message[0])
        if len(message) > 1:
            self.sending, self.sent = message[1], 0
            self._send_on()

    def _send_on(self) -> None:
        """More of a large body, as fast as the server takes it."""
        while self.sending is not None and not self.full and self.transport is not None:
            body, start = self.sending, self.sent
            end = self.sent = min(start + _SLICE, len(body))
            self.transport.write(body[start:end])
            if isinstance(body, MappedBody):
                body.release(start, end)
            if end == len(body):
                self.sending = None

    def pause_writing(self) -> None:
        self.full = True

    def resume_writing(self) -> None:
        self.full = False
        self.last_heard = self.loop.time()
        self._send_on()

    def pause(self) -> None:
        if not self.paused and self.transport is not None and not self.transport.is_closing():
            self.paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        if self.paused:
            self.paused = False
            self.last_heard = self.loop.time()
            if self.transport is not None and not self.transport.is_closing():
                self.transport.resume_reading()

    def abandon(self, response: UpstreamResponse) -> None:
        """The caller is gone: drop the call and the socket."""
        if response is self.response:
            self.fail("was given up by the caller")

    def fail(self, what: str) -> None:
        """End the call in flight, if any, with an error, and drop the socket."""
        response, self.response = self.response, None
        self.sending = None
        self.pool.forget(self)
        if self.transport is not None:
            self.transport.abort()
        if response is not None:
            response.fail(UpstreamError(f"{self.pool.authority} {what}"))

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        response = self.response
        if response is None:  # bytes without a request: this socket cannot be trusted any more
            self.fail("spoke out of turn")
            return
        self.last_heard = self.loop.time()
        begins = not self.heard
        if begins and not self.paused and not response.is_head:
            repeated = self.pool.repeated
            body = repeated.head.whole_body(data) if repeated is not None else None
            if repeated is not None and body is not None:
                self.response = response.connection = None
                self.pool.release(self)
                response.repeats(repeated, body)
                response.listener.arrived()
                return
        self.heard = True
        self.kept = False
        try:
            self.parser.feed_data(data)  # type: ignore[union-attr]
        except httptools.HttpParserUpgrade:
            self.fail("switched protocols, which was not asked for")
        except httptools.HttpParserError as error:
            self.fail(f"did not answer in HTTP/1.1 ({error})")
        if response.started and response.error is None:
            if begins and self.kept:
                self.pool.remember(data, response)
            response.listener.arrived()

    def connection_lost(self, exc: Exception | None) -> None:
        response, self.response = self.response, None
        self.sending = None
        self.parser = None  # it holds bound methods of this object: a cycle
        self.pool.forget(self)
        if not self.lost.done():
            self.lost.set_result(None)
        if response is None:
            return
        if self.in_body and self.until_close and exc is None:
            response.complete = True
            response.listener.arrived()
        elif response.started:
            what = "cut its answer: the connection closed inside the body"
            response.fail(UpstreamError(f"{self.pool.authority} {what}"))
        elif self.reused and not self.heard:
            # A kept-alive connection closed before any byte of the answer: the call never began and is sent again.
            response.connection = None
            self.pool.start_fresh(response)
        else:
            why = "in the head of its answer" if self.heard else "before answering"
            response.fail(UpstreamError(f"{self.pool.authority} closed the connection {why}"))

    # httptools

    def on_message_begin(self) -> None:
        self.headers = []
        self.reason = b""
        self.in_body = False
        if self.response is None:
            self.fail("sent more than one answer")

    def on_status(self, status: bytes) -> None:
        self.reason += status

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.in_body:  # otherwise a trailer
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        response = self.response
        if response is None:
            return
        status: int = self.parser.get_status_code()  # type: ignore[union-attr]
        if 100 <= status < 200:
            self.interim = True
            return
        self.in_body = self.until_close = True
        for name, value in self.headers:
            lower = name.lower()
            if lower == b"content-length" or (lower == b"transfer-encoding" and value.lower().endswith(b"chunked")):
                self.until_close = False
        response.begins(status, self.reason, self.headers)
        if response.is_head:  # the parser would wait for the body that the headers describe
            self.response = None
            response.complete = True
            self.fail("")

    def on_body(self, body: bytes) -> None:
        if self.response is not None:
            self.response.push(body)

    def on_message_complete(self) -> None:
        if self.interim:
            self.interim = False
            return
        response = self.response
        if response is None:
            return
        reusable: bool = self.parser.should_keep_alive()  # type: ignore[union-attr]
        self.response = response.connection = None
        self.held = False
        if self.paused:
            self.resume()
        self.kept = reusable
        if reusable:
            self.pool.release(self)
        else:
            self.pool.forget(self)
            if self.transport is not None:
                self.transport.close()
        response.complete = True
