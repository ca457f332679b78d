"""Parses a client's requests strictly: a request that two servers could read differently is refused (RFC 9112)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, cast

import httptools

from regraft.infra.http.body_memory import BodyMemory, GatheredBody
from regraft.infra.http.headers import NO_HEADERS, ClientHead, Headers, read_head
from regraft.infra.http.repeated_head import RepeatedHead

CHUNK_BYTES = 64  # of a chunk's size line and its extensions
_GATHER = 1 << 20  # bytes of a body from which on its pieces are gathered in place


@dataclass(slots=True)
class ClientLimits:
    """Limits for clients, in bytes and seconds."""

    header_bytes: int = 64 << 10  # also of what surrounds the chunks of a body, beyond CHUNK_BYTES a chunk
    header_count: int = 128
    body_bytes: int = 512 << 20
    header_seconds: float = 15.0
    body_seconds: float = 60.0  # without a byte
    write_seconds: float = 300.0  # without taking a byte
    idle_seconds: float = 75.0
    drain_seconds: float = 30.0  # that calls in flight have once the server stops
    kept_headers: frozenset[bytes] = frozenset()  # lower-case names of request headers that are kept with a call
    memory: BodyMemory = field(default_factory=BodyMemory)


class HttpRequest:
    """One whole request. ``path`` is without ``query``; ``head`` does not hold the content-length.

    ``plain``: to be answered in HTTP/1.1 with a body, on a connection that stays, and to no web page.
    """

    __slots__ = ("body", "head", "is_http10", "keep_alive", "method", "path", "plain", "query")

    def __init__(
        self,
        method: bytes,
        path: bytes,
        query: bytes,
        head: ClientHead,
        body: bytes,
        keep_alive: bool = True,
        is_http10: bool = False,
    ) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.head = head
        self.body = body
        self.keep_alive = keep_alive
        self.is_http10 = is_http10
        self.plain = keep_alive and not is_http10 and method != b"HEAD" and not head.origin


class BadRequestError(Exception):
    """A request that cannot be served: the status, the message, and the error code."""

    def __init__(self, status: int, message: str, code: str) -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code


class RequestHandler(Protocol):
    """The receiver of requests."""

    def requested(self, request: HttpRequest) -> None:
        """A request is there, whole."""

    def awaits_continue(self) -> None:
        """The client sends no body before a 100 Continue."""


class RequestReader:
    """Bytes in, requests out. ``since`` is when the client last did what it had to."""

    __slots__ = (
        "_body",
        "_chunked_bytes",
        "_chunks",
        "_gathered",
        "_head",
        "_head_bytes",
        "_headers",
        "_known_headers",
        "_length",
        "_limits",
        "_parser",
        "_refusal",
        "_repeated",
        "_same",
        "_size",
        "_taker",
        "_target",
        "_template",
        "_whole",
        "in_body",
        "in_head",
        "since",
    )

    def __init__(self, limits: ClientLimits, taker: RequestHandler, now: float) -> None:
        self._limits = limits
        self._taker: RequestHandler | None = taker
        self._parser: httptools.HttpRequestParser | None = httptools.HttpRequestParser(self)
        self._headers: Headers = []
        self._known_headers: Headers = []
        self._head: ClientHead = NO_HEADERS
        self._same = False
        self._target = b""
        self._length: bytes | None = None
        self._body = b""
        self._gathered: list[bytes] | GatheredBody = []
        self._size = self._head_bytes = self._chunks = self._chunked_bytes = 0
        self._refusal: BadRequestError | None = None
        self._repeated: RepeatedHead | None = None
        self._template: HttpRequest | None = None
        self._whole = 0
        self.in_head = self.in_body = False
        self.since = now

    @property
    def behind(self) -> int:
        """Bytes that came after the last whole request."""
        return self._head_bytes

    def again(self, data: bytes) -> HttpRequest | None:
        """The request in ``data``, if its head is the last one's again and there is no more and no less."""
        repeated, template = self._repeated, self._template
        if repeated is None or template is None:
            return None
        body = repeated.whole_body(data)
        if body is None or len(body) > self._limits.body_bytes:
            return None
        return HttpRequest(template.method, template.path, template.query, template.head, body)

    def feed(self, data: bytes, now: float) -> bool:
        """Read on. False: what follows is another protocol. Raises BadRequestError."""
        clean = not (self._head_bytes or self.in_head or self.in_body)
        self._repeated = None
        self._whole = 0
        if self.in_body:
            self.since = now
            if self._head.chunked:
                self._chunked_bytes += len(data)
        else:
            if not self.in_head:
                self.since = now
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)  # type: ignore[union-attr]
        except httptools.HttpParserUpgrade:
            return False
        except httptools.HttpParserError as error:
            raise self._refusal or BadRequestError(
                400, f"The request is not valid HTTP: {error}", "bad_request"
            ) from None
        if self.in_head and self._head_bytes > self._limits.header_bytes:
            raise BadRequestError(431, "The request's headers are too large", "headers_too_large")
        if self.in_body or self._whole:
            self.since = now
            if (
                self._chunked_bytes
                and self._chunked_bytes - self._size > self._limits.header_bytes + CHUNK_BYTES * self._chunks
            ):
                raise BadRequestError(431, "The body's chunk extensions or trailers are too large", "headers_too_large")
        if clean and self._whole == 1 and self._same and not (self._head_bytes or self.in_head or self.in_body):
            template = self._template
            if template is not None and template.plain and not self._head.expects_continue and not self._head.origin:
                self._repeated = RepeatedHead.of(data)
        return True

    def close(self) -> None:
        """Break the cycles: the parser holds bound methods of this object."""
        self._parser = self._taker = self._template = None

    # httptools

    def on_message_begin(self) -> None:
        self._headers = []
        self._target = b""
        self._length = None
        self._body = b""
        self._gathered = []
        self._size = self._chunks = self._chunked_bytes = 0
        self.in_head = True

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(name) == 14 and name.lower() == b"content-length":
            self._length = value
        elif self.in_head:  # otherwise a trailer
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        headers = self._headers
        limits = self._limits
        if self._head_bytes > limits.header_bytes or len(headers) > limits.header_count:
            size = len(self._target) + sum(len(name) + len(value) + 4 for name, value in headers)
            if size > limits.header_bytes or len(headers) > limits.header_count:
                self._stop(431, "The request's headers are too large", "headers_too_large")
        self._same = headers == self._known_headers
        if not self._same:
            self._known_headers, self._head = headers, read_head(headers, limits.kept_headers)
        head = self._head
        self.in_head, self.in_body = False, True
        if head.problem or head.hosts != 1:
            is_old = self._parser.get_http_version() == "1.0"  # type: ignore[union-attr]
            if head.problem or head.hosts > 1 or not is_old:
                self._stop(400, head.problem or "The request must name one host", "bad_request")
        if head.chunked and self._parser.get_http_version() == "1.0":  # type: ignore[union-attr]
            self._stop(400, "HTTP/1.0 has no transfer codings", "bad_request")
        if self._length is not None and int(self._length) > limits.body_bytes:
            self._stop_too_large()
        if head.expects_continue and (head.chunked or (self._length or b"0") != b"0"):
            self._taker.awaits_continue()  # type: ignore[union-attr]

    def on_chunk_header(self) -> None:
        self._chunks += 1

    def on_body(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self._limits.body_bytes:
            self._stop_too_large()
        if not self._body and not self._gathered:
            self._body = piece
            return
        gathered = self._gathered
        if isinstance(gathered, list):
            gathered.append(piece)
            if self._size <= _GATHER:
                return
            before, gathered = (self._body, *gathered), GatheredBody(self._limits.memory)
            self._body, self._gathered = b"", gathered
        else:
            before = (piece,)
        try:
            for each in before:
                gathered.append(each)
        except OSError:
            self._stop(503, "The gateway has no room on its disk for this body", "no_room")

    def on_message_complete(self) -> None:
        parser, taker = self._parser, self._taker
        assert parser is not None
        assert taker is not None
        body, gathered = self._body, self._gathered
        if isinstance(gathered, GatheredBody):
            body = cast(bytes, gathered.finish())
        elif gathered:
            body = b"".join((body, *gathered))
        path, _, query = self._target.partition(b"?")
        keep_alive = parser.should_keep_alive() and not parser.should_upgrade()
        is_http10 = parser.get_http_version() == "1.0"
        request = HttpRequest(parser.get_method(), path, query, self._head, body, keep_alive, is_http10)
        self._template = HttpRequest(request.method, path, query, self._head, b"", keep_alive, is_http10)
        self._body, self._gathered = b"", []
        self._head_bytes = 0
        self.in_body = False
        self._whole += 1
        taker.requested(request)

    def _stop(self, status: int, message: str, code: str) -> None:
        """The parser passes no exception on."""
        self._refusal = BadRequestError(status, message, code)
        raise self._refusal

    def _stop_too_large(self) -> None:
        self._stop(413, f"The request body is larger than {self._limits.body_bytes} bytes", "request_too_large")
