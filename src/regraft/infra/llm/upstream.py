"""A lean HTTP/1.1 client pool for one model server: bytes out, bytes in, nothing buffered that need not be.

Built on asyncio protocols and httptools because general clients cost ten times as much per call. The answer's body is
given out as it comes (de-chunked, still content-coded); a body that was cut raises, so that nobody takes it for whole.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import httptools

from regraft.domain.errors import ConfigError, UpstreamError

Headers = list[tuple[bytes, bytes]]

BODY_HIGH_WATER = 256 * 1024  # bytes waiting for the consumer at which the socket is no longer read
IDLE_SECONDS = 60.0


class _StaleConnectionError(Exception):
    """A kept-alive connection was closed before any byte of the answer: the call never began and may be sent again."""


class UpstreamResponse:
    """One answer. ``headers`` keep their order and spelling; ``complete`` is true once the whole body has arrived.

    Bytes that have arrived and were not taken yet may still be waiting when ``complete`` is true.
    """

    __slots__ = ("_chunks", "_connection", "_error", "_size", "_waiter", "complete", "headers", "reason", "status")

    def __init__(self, connection: _Connection) -> None:
        self.status = 0
        self.reason = b""
        self.headers: Headers = []
        self.complete = False
        self._connection = connection
        self._chunks: list[bytes] = []
        self._size = 0
        self._error: UpstreamError | None = None
        self._waiter: asyncio.Future[None] | None = None

    def take(self) -> bytes:
        """The body bytes that have arrived and were not taken yet; ``b""`` when there are none."""
        chunks = self._chunks
        if not chunks:
            return b""
        taken = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        chunks.clear()
        self._size = 0
        if self._connection.paused:
            self._connection.resume()
        return taken

    async def next_chunk(self) -> bytes:
        """The next body bytes as soon as there are any; ``b""`` at the end. Raises UpstreamError when it was cut."""
        while not self._chunks:
            if self._error is not None:
                raise self._error
            if self.complete:
                return b""
            self._waiter = self._connection.loop.create_future()
            await self._waiter
        return self.take()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while chunk := await self.next_chunk():
            yield chunk

    async def read(self) -> bytes:
        """The rest of the body. Raises UpstreamError when it was cut."""
        return b"".join([chunk async for chunk in self])

    def close(self) -> None:
        """Give up what has not arrived: the connection is dropped unless the answer is whole."""
        if not self.complete and self._error is None:
            self._connection.abandon(self)

    async def aclose(self) -> None:
        """Like ``close``, and lets the transport go."""
        self.close()
        await asyncio.sleep(0)

    def push(self, chunk: bytes) -> None:
        self._chunks.append(chunk)
        self._size += len(chunk)
        if self._size > BODY_HIGH_WATER:
            self._connection.pause()
        self._wake()

    def finish(self, error: UpstreamError | None = None) -> None:
        if error is None:
            self.complete = True
        else:
            self._error = error
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class _Connection(asyncio.Protocol):
    """One socket to the server. Carries one call at a time; goes back to the pool after a whole answer."""

    __slots__ = (
        "head",
        "headers",
        "heard",
        "idle_since",
        "in_body",
        "interim",
        "is_head",
        "last_heard",
        "loop",
        "lost",
        "parser",
        "paused",
        "pool",
        "reason",
        "response",
        "reused",
        "transport",
        "until_close",
    )

    def __init__(self, pool: UpstreamPool, loop: asyncio.AbstractEventLoop) -> None:
        self.pool = pool
        self.loop = loop
        self.parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        # Some servers send both lengths; for an answer (unlike a request) the chunked one simply wins (RFC 9112, 6.3).
        self.parser.set_dangerous_leniencies(lenient_chunked_length=True)
        self.transport: asyncio.Transport | None = None
        self.lost: asyncio.Future[None] = loop.create_future()
        self.head: asyncio.Future[UpstreamResponse] | None = None
        self.response: UpstreamResponse | None = None
        self.headers: Headers = []
        self.reason = b""
        self.last_heard = self.idle_since = loop.time()
        self.heard = self.reused = self.paused = self.interim = self.in_body = self.until_close = self.is_head = False

    def start(self, message: bytes, is_head: bool) -> asyncio.Future[UpstreamResponse]:
        """Send one request; the future is the answer once its head is there."""
        assert self.transport is not None
        self.response = UpstreamResponse(self)
        self.head = self.loop.create_future()
        self.is_head = is_head
        self.heard = self.in_body = self.interim = False
        self.last_heard = self.loop.time()
        self.transport.write(message)
        return self.head

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

    def abandon(self, response: UpstreamResponse | None) -> None:
        """The caller is gone: drop the call and the socket."""
        if response is self.response:
            self.fail("was given up by the caller")

    def fail(self, what: str) -> None:
        """End the call in flight, if any, with an error, and drop the socket."""
        response, head = self.response, self.head
        self.response = self.head = None
        self.pool.forget(self)
        if self.transport is not None:
            self.transport.abort()
        if response is None:
            return
        error = UpstreamError(f"{self.pool.authority} {what}")
        if head is not None and not head.done():
            head.set_exception(error)
        response.finish(error)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        if self.response is None:  # bytes that nobody asked for: never trust what comes next on this socket
            self.fail("spoke out of turn")
            return
        self.heard = True
        self.last_heard = self.loop.time()
        try:
            self.parser.feed_data(data)  # type: ignore[union-attr]
        except httptools.HttpParserUpgrade:
            self.fail("switched protocols, which was not asked for")
        except httptools.HttpParserError as error:
            self.fail(f"did not answer in HTTP/1.1 ({error})")

    def connection_lost(self, exc: Exception | None) -> None:
        response, head = self.response, self.head
        self.response = self.head = self.parser = None  # the parser holds bound methods of this object: a cycle
        self.pool.forget(self)
        if not self.lost.done():
            self.lost.set_result(None)
        if response is None:
            return
        if self.in_body and self.until_close and exc is None:
            response.finish()
            return
        if head is not None and not head.done():
            if self.reused and not self.heard:
                head.set_exception(_StaleConnectionError())
            else:
                why = "in the head of its answer" if self.heard else "before answering"
                head.set_exception(UpstreamError(f"{self.pool.authority} closed the connection {why}"))
            return
        response.finish(UpstreamError(f"{self.pool.authority} cut its answer: the connection closed inside the body"))

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
        response.status = status
        response.reason = self.reason
        response.headers = self.headers
        if self.head is not None and not self.head.done():
            self.head.set_result(response)
        if self.is_head:  # the parser would wait for the body that the headers describe
            self.response = self.head = None
            response.finish()
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
        self.response = self.head = None
        self.resume()
        if reusable:
            self.pool.release(self)
        else:
            self.pool.forget(self)
            if self.transport is not None:
                self.transport.close()
        response.finish()


class UpstreamPool:
    """Connections to one server. Not bound to a number: as many are open as calls are in flight.

    ``base_url`` may have a path, which is put before every path sent. Timeouts are seconds; ``read_timeout`` is the
    longest silence, not the whole call.
    """

    def __init__(
        self,
        base_url: str,
        *,
        connect_timeout: float = 10.0,
        read_timeout: float = 600.0,
        max_idle: int = 64,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        url = urlsplit(base_url)
        try:
            port = url.port
        except ValueError as error:
            raise ConfigError(f"base_url {base_url!r} has no valid port") from error
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ConfigError(f"base_url {base_url!r} must look like http://host:port/v1 or https://host/v1")
        self.host = url.hostname
        self.port = port or (443 if url.scheme == "https" else 80)
        self.prefix = url.path.rstrip("/")
        bracketed = f"[{self.host}]" if ":" in self.host else self.host
        self.authority = f"{bracketed}:{self.port}"
        self._tls: ssl.SSLContext | None = None
        if url.scheme == "https":
            self._tls = tls or ssl.create_default_context()
        self._host_header = f"host: {bracketed if port is None else self.authority}\r\n".encode("latin-1")
        self._connect_timeout = connect_timeout
        self._read_timeout = read_timeout
        self._max_idle = max_idle
        self._idle: list[_Connection] = []
        self._busy: set[_Connection] = set()
        self._watchdog: asyncio.TimerHandle | None = None
        self._closed = False

    async def send(self, method: str, path: str, headers: Headers, body: bytes) -> UpstreamResponse:
        """Send one request; returns when the head of the answer is there.

        ``headers`` must not hold host, content-length, transfer-encoding or connection: the pool writes those. Raises
        UpstreamError with one line that names the server. Safe to cancel: the connection is then dropped.
        """
        lines = [f"{method} {self.prefix}{path} HTTP/1.1\r\n".encode("latin-1"), self._host_header]
        lines += [b"%b: %b\r\n" % header for header in headers]
        if body or method in ("POST", "PUT", "PATCH"):
            lines.append(b"content-length: %d\r\n" % len(body))
        head = b"".join(lines)
        if head.count(b"\n") != len(lines) or head.count(b"\r") != len(lines):
            raise UpstreamError("A header or path with a line break in it was not sent")
        message = b"%b\r\n%b" % (head, body)
        is_head = method == "HEAD"
        connection = self._take_idle()
        if connection is not None:
            try:
                return await self._exchange(connection, message, is_head)
            except _StaleConnectionError:
                pass
        connection = await self._connect()
        return await self._exchange(connection, message, is_head)

    async def aclose(self) -> None:
        """Drop every connection and wait until the sockets are closed."""
        self._closed = True
        if self._watchdog is not None:
            self._watchdog.cancel()
            self._watchdog = None
        open_ones = [*self._idle, *self._busy]
        for connection in open_ones:
            connection.fail("was given up: the pool is closing")
        if open_ones:
            await asyncio.wait([connection.lost for connection in open_ones], timeout=2.0)

    def release(self, connection: _Connection) -> None:
        self._busy.discard(connection)
        if self._closed or len(self._idle) >= self._max_idle:
            if connection.transport is not None:
                connection.transport.close()
            return
        connection.reused = True
        connection.idle_since = connection.last_heard
        self._idle.append(connection)

    def forget(self, connection: _Connection) -> None:
        self._busy.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)

    def _take_idle(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.transport is not None and not connection.transport.is_closing():
                return connection
        return None

    async def _connect(self) -> _Connection:
        if self._closed:
            raise UpstreamError(f"{self.authority} is not reachable: the pool is closed")
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect_timeout):
                _, connection = await loop.create_connection(
                    lambda: _Connection(self, loop),
                    self.host,
                    self.port,
                    ssl=self._tls,
                    server_hostname=self.host if self._tls else None,
                )
        except TimeoutError as error:
            raise UpstreamError(
                f"{self.authority} did not accept a connection in {self._connect_timeout:g} s"
            ) from error
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError; a bad host name is a ValueError
            what = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise UpstreamError(f"{self.authority} cannot be reached: {what}") from error
        return connection

    async def _exchange(self, connection: _Connection, message: bytes, is_head: bool) -> UpstreamResponse:
        self._busy.add(connection)
        if self._watchdog is None:
            self._arm(connection.loop)
        head = connection.start(message, is_head)
        try:
            return await head
        except asyncio.CancelledError:
            connection.fail("was given up by the caller")
            if head.done() and not head.cancelled():
                head.exception()  # seen: nobody is left to raise it to
            raise

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._closed:
            self._watchdog = loop.call_later(min(1.0, self._read_timeout / 4), self._watch, loop)

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """One timer for all calls: a timer for each read would cost more than the read."""
        now = loop.time()
        for connection in list(self._busy):
            if not connection.paused and now - connection.last_heard > self._read_timeout:
                connection.fail(f"sent nothing for {self._read_timeout:g} s")
        for connection in [each for each in self._idle if now - each.idle_since > IDLE_SECONDS]:
            self._idle.remove(connection)
            if connection.transport is not None:
                connection.transport.close()
        self._watchdog = None
        if self._busy or self._idle:
            self._arm(loop)
