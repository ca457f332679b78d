"""A lean HTTP/1.1 client pool for one model server: bytes out, bytes in, nothing buffered that need not be.

Built on asyncio protocols and httptools because general clients cost ten times as much per call. ``begin`` is for
callers that listen, ``send`` for those that await. The answer's body is given out unchanged (de-chunked, still
content-coded).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

from regraft.domain.errors import ConfigError, UpstreamError
from regraft.infra.http.repeated_head import RepeatedHead
from regraft.infra.llm.connection import (
    BODY_HIGH_WATER,
    Connection,
    Headers,
    RepeatedAnswer,
    ResponseListener,
    UpstreamResponse,
)

__all__ = [
    "BODY_HIGH_WATER",
    "AwaitedResponse",
    "Headers",
    "RepeatedAnswer",
    "ResponseListener",
    "UpstreamPool",
    "UpstreamResponse",
]

IDLE_SECONDS = 60.0
_WITH_BODY = frozenset({b"POST", b"PUT", b"PATCH"})
_APART = 64 << 10  # bytes of a body from which on it is not joined to its head


class AwaitedResponse(UpstreamResponse):
    """An answer for a caller that awaits."""

    __slots__ = ("_loop", "_waiter")

    def __init__(self, message: tuple[bytes, ...], is_head: bool, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(message, is_head, self)
        self._loop = loop
        self._waiter: asyncio.Future[None] | None = None

    def arrived(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def failed(self, error: UpstreamError) -> None:
        self.arrived()

    async def head(self) -> None:
        """Wait for status and headers. Raises UpstreamError."""
        try:
            while not self.started:
                await self._more()
        except asyncio.CancelledError:
            self.close()
            raise

    async def next_chunk(self) -> bytes:
        """The next body bytes as soon as there are any; ``b""`` at the end. Raises UpstreamError when it was cut."""
        while not (chunk := self.take()):
            if self.complete:
                return b""
            await self._more()
        return chunk

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while chunk := await self.next_chunk():
            yield chunk

    async def read(self) -> bytes:
        """The rest of the body. Raises UpstreamError when it was cut."""
        return b"".join([chunk async for chunk in self])

    async def aclose(self) -> None:
        """Like ``close``, and lets the transport go."""
        self.close()
        await asyncio.sleep(0)

    async def _more(self) -> None:
        if self.error is not None:
            raise self.error
        self._waiter = self._loop.create_future()
        await self._waiter


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
        self._prefix = self.prefix.encode("latin-1")
        bracketed = f"[{self.host}]" if ":" in self.host else self.host
        self.authority = f"{bracketed}:{self.port}"
        self._tls: ssl.SSLContext | None = None
        if url.scheme == "https":
            self._tls = tls or ssl.create_default_context()
        self._host_header = f"host: {bracketed if port is None else self.authority}\r\n".encode("latin-1")
        self._connect_timeout = connect_timeout
        self._read_timeout = read_timeout
        self._max_idle = max_idle
        self._idle: list[Connection] = []
        self._busy: set[Connection] = set()
        self._connecting: set[asyncio.Task[None]] = set()
        self._watchdog: asyncio.TimerHandle | None = None
        self._closed = False
        self.repeated: RepeatedAnswer | None = None
        self._last_head: tuple[int, Headers] = (0, [])

    async def send(self, method: str, path: str, headers: Headers, body: bytes) -> AwaitedResponse:
        """Send one request; returns when the head of the answer is there.

        ``headers`` must not hold host, content-length, transfer-encoding or connection: the pool writes those. Raises
        UpstreamError with one line that names the server. Safe to cancel: the connection is then dropped.
        """
        block = b"".join([b"%b: %b\r\n" % header for header in headers])
        if block.count(b"\n") != len(headers) or block.count(b"\r") != len(headers):
            raise UpstreamError("A header with a line break in it was not sent")
        message = self._message(method.encode("latin-1"), path.encode("latin-1"), block, body)
        response = AwaitedResponse(message, method == "HEAD", asyncio.get_running_loop())
        self._start(response)
        await response.head()
        return response

    def begin(
        self,
        method: bytes,
        path: bytes,
        block: bytes,
        body: bytes,
        listener: ResponseListener,
        root: bytes | None = None,
    ) -> UpstreamResponse:
        """Send one request; ``listener`` is called with the answer, never before this returns.

        ``block`` are header lines, each with its line end; nothing in it may come unchecked from anywhere but a parser.
        ``root`` comes before the path instead of the base_url's own path.
        """
        response = UpstreamResponse(self._message(method, path, block, body, root), method == b"HEAD", listener)
        self._start(response)
        return response

    def opening(self, method: bytes, path: bytes, block: bytes, root: bytes | None = None) -> bytes:
        """The start of a message with a body, for ``begin_opened``. Raises UpstreamError."""
        if b"\n" in path or b"\r" in path:
            raise UpstreamError("A path with a line break in it was not sent")
        prefix = self._prefix if root is None else root
        return b"%b %b%b HTTP/1.1\r\n%b%bcontent-length: " % (method, prefix, path, self._host_header, block)

    def begin_opened(
        self, opening: bytes, body: bytes, listener: ResponseListener, lines: bytes = b""
    ) -> UpstreamResponse:
        """``begin`` for a message whose start was made before; ``lines`` are headers of this message alone."""
        size = len(body)
        if size < _APART:
            message: tuple[bytes, ...] = (b"%b%d\r\n%b\r\n%b" % (opening, size, lines, body),)
        else:
            message = (b"%b%d\r\n%b\r\n" % (opening, size, lines), body)
        response = UpstreamResponse(message, False, listener)
        self._start(response)
        return response

    def remember(self, data: bytes, response: UpstreamResponse) -> None:
        """``data`` is an answer from its first byte on. A head that comes twice in a row may come again."""
        status, headers = response.status, response.headers
        shared = [header for header in headers if header[0].lower() != b"content-length"]
        if (status, shared) != self._last_head:
            self._last_head = (status, shared)
        elif len(headers) == len(shared) + 1 and data.startswith(b"HTTP/1.1 %d" % status) and status not in (204, 304):
            head = RepeatedHead.of(data)
            if head is not None:
                name = next(name for name, _ in headers if name.lower() == b"content-length")
                self.repeated = RepeatedAnswer(head, status, response.reason, shared, name)

    def start_fresh(self, response: UpstreamResponse) -> None:
        """Carry the call on a separate connection."""
        task = asyncio.get_running_loop().create_task(self._connect_for(response))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    def _message(
        self, method: bytes, path: bytes, block: bytes, body: bytes, root: bytes | None = None
    ) -> tuple[bytes, ...]:
        if b"\n" in path or b"\r" in path:
            raise UpstreamError("A path with a line break in it was not sent")
        length = b"content-length: %d\r\n" % len(body) if body or method in _WITH_BODY else b""
        prefix = self._prefix if root is None else root
        head = b"%b %b%b HTTP/1.1\r\n%b%b%b\r\n" % (method, prefix, path, self._host_header, block, length)
        return (head + body,) if len(body) < _APART else (head, body)

    def _start(self, response: UpstreamResponse) -> None:
        connection = self._take_idle()
        if connection is None:
            self.start_fresh(response)
        else:
            self._carry(connection, response)

    def _carry(self, connection: Connection, response: UpstreamResponse) -> None:
        self._busy.add(connection)
        if self._watchdog is None:
            self._arm(connection.loop)
        connection.start(response)

    async def _connect_for(self, response: UpstreamResponse) -> None:
        try:
            connection = await self._connect()
        except UpstreamError as error:
            response.fail(error)
            return
        if response.error is None:
            self._carry(connection, response)
        else:
            self.release(connection)

    async def aclose(self) -> None:
        """Drop every connection and wait until the sockets are closed."""
        self._closed = True
        if self._watchdog is not None:
            self._watchdog.cancel()
            self._watchdog = None
        for task in self._connecting:
            task.cancel()
        open_ones = [*self._idle, *self._busy]
        for connection in open_ones:
            connection.fail("was given up: the pool is closing")
        if open_ones:
            await asyncio.wait([connection.lost for connection in open_ones], timeout=2.0)

    def release(self, connection: Connection) -> None:
        self._busy.discard(connection)
        if self._closed or connection.sending is not None or len(self._idle) >= self._max_idle:
            if connection.transport is not None:
                connection.transport.close()
            return
        connection.reused = True
        connection.idle_since = connection.last_heard
        self._idle.append(connection)

    def forget(self, connection: Connection) -> None:
        self._busy.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)

    def _take_idle(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.transport is not None and not connection.transport.is_closing():
                return connection
        return None

    async def _connect(self) -> Connection:
        if self._closed:
            raise UpstreamError(f"{self.authority} is not reachable: the pool is closed")
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect_timeout):
                _, connection = await loop.create_connection(
                    lambda: Connection(self, loop),
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
