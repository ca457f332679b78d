"""Which model servers a call goes to, in which order."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

import msgspec

from regraft.domain.capture.paths import route_of
from regraft.domain.errors import ConfigError, CorruptEventError
from regraft.infra.http.body_memory import BodyMemory, MappedBody
from regraft.infra.http.coding import decode
from regraft.infra.http.headers import ClientHead, Headers, without_encoding, without_traceparent
from regraft.infra.http.json_spans import with_model
from regraft.infra.http.requests import HttpRequest
from regraft.infra.llm.upstream import RepeatedAnswer, ResponseListener, UpstreamPool, UpstreamResponse
from regraft.presentation.gateway.limits import ConcurrencyLimit
from regraft.presentation.gateway.settings import UpstreamSettings

_AUTH = {
    "bearer": "authorization: Bearer {}\r\n",
    "x-api-key": "x-api-key: {}\r\n",
    "api-key": "api-key: {}\r\n",
}


@dataclass(frozen=True, slots=True)
class KnownHead:
    """The head that answers of a server came with last, again and again; ``start`` is what goes to a client for it, up
    to the body's length."""

    answer: RepeatedAnswer | None = None
    start: bytes = b""
    media_type: str = ""
    encoding: str = ""


class Upstream:
    """One model server: its name, its connections, what is sent along, and its fallbacks."""

    __slots__ = (
        "alias",
        "attempts",
        "credentials",
        "known",
        "models",
        "name",
        "pin",
        "pool",
        "trace_ratio",
        "turnstile",
    )

    def __init__(self, name: str, settings: UpstreamSettings, trace_ratio: float | None = None) -> None:
        """With a ``trace_ratio`` the client's place in a trace is not forwarded: ``begin`` is given the call's own."""
        self.name = name
        self.trace_ratio = trace_ratio
        self.pin = settings.pin
        self.models = settings.models
        self.alias = dict(settings.alias)
        self.credentials: bytes | None = None
        if settings.auth not in _AUTH:
            raise ConfigError(f"The upstream {name} has auth {settings.auth!r}; it can be {' or '.join(_AUTH)}")
        if settings.api_key:
            if not settings.api_key.isascii() or not settings.api_key.isprintable():
                raise ConfigError(f"The key of the upstream {name} has characters that a header cannot contain")
            self.credentials = _AUTH[settings.auth].format(settings.api_key).encode()
        self.pool = UpstreamPool(
            settings.base_url, connect_timeout=settings.connect_timeout, read_timeout=settings.read_timeout
        )
        self.turnstile: ConcurrencyLimit | None = None
        if settings.max_concurrency:
            self.turnstile = ConcurrencyLimit(settings.max_concurrency, settings.queue, settings.queue_seconds)
        self.attempts: tuple[Upstream, ...] = (self,)
        self.known = KnownHead()

    def begin(
        self,
        request: HttpRequest,
        body: bytes,
        trusted: bool,
        listener: ResponseListener,
        *,
        decoded: bool,
        lines: bytes = b"",
    ) -> UpstreamResponse:
        """Send a request on, with header ``lines`` of this call. ``decoded``: its content coding was undone.

        Raises UpstreamError.
        """
        if request.plain and request.method == b"POST" and not decoded:
            return self.pool.begin_opened(self.opening(request, trusted), body, listener, lines)
        headers = self.headers(request.head, trusted) + lines
        return self.pool.begin(
            request.method,
            self.path(request.path, request.query),
            without_encoding(headers) if decoded else headers,
            body,
            listener,
            self.root(request.path),
        )

    def opening(self, request: HttpRequest, trusted: bool) -> bytes:
        """The start of a message for this server (see ``UpstreamPool.opening``); made once for a head that repeats."""
        head = request.head
        if head.opening[:3] == (self, request.path, trusted) and not request.query:
            return head.opening[3]
        path = self.path(request.path, request.query)
        made = self.pool.opening(request.method, path, self.headers(head, trusted), self.root(request.path))
        if not request.query:
            head.opening = (self, request.path, trusted, made)
        return made

    def path(self, raw_path: bytes, query: bytes) -> bytes:
        """The path to ask for: a base_url with its own path replaces ``/v1``."""
        if raw_path.startswith(b"/v1/"):
            path = raw_path[3:] if self.pool.prefix else raw_path
        else:
            path = self._foreign_path(raw_path)
        return path + b"?" + query if query else path

    def _foreign_path(self, path: bytes) -> bytes:
        """A path that does not start with ``/v1``, for a server with the same layout or one that has only ``/v1``."""
        prefix, route = self.pool.prefix, route_of(path)
        if not prefix or route is None or not route.standard:
            return path
        if route.deployment and prefix.endswith("/openai"):
            return path.removeprefix(b"/openai")
        return route.standard[3:]

    def root(self, raw_path: bytes) -> bytes | None:
        """What to put before a path instead of the base_url's: Ollama's own API is beside its ``/v1``."""
        if raw_path.startswith(b"/v1/") or not self.pool.prefix:
            return None
        route = route_of(raw_path)
        return None if route is None or route.standard else self.pool.prefix.removesuffix("/v1").encode("latin-1")

    def headers(self, head: ClientHead, trusted: bool) -> bytes:
        """The client's header lines for this server. ``trusted``: its own credentials may be shown to the server."""
        block = without_traceparent(head.block) if self.trace_ratio is not None and head.traceparent else head.block
        if self.credentials is not None:
            return block + self.credentials
        return block + head.credentials if trusted else block

    def plain_headers(self, head: ClientHead, trusted: bool) -> Headers:
        """The same for a question of our own: pairs, and no content coding."""
        block = head.plain_block + (self.credentials or (head.credentials if trusted else b""))
        pairs = [line.partition(b": ")[::2] for line in block.split(b"\r\n") if line]
        return [*pairs, (b"accept-encoding", b"identity")]

    def body(
        self, body: bytes, model: str | None, encoding: str = "", memory: BodyMemory | None = None
    ) -> tuple[bytes, str]:
        """The body for this server, and the client's name of the model if an alias replaced it: then it is unpacked."""
        real = self.alias.get(model) if model else None
        if real is None or model is None:
            return body, ""
        try:
            changed = with_model(decode(body, encoding, "request") if encoding else bytes(body), real)
            return (changed if memory is None else memory.take(changed)), model
        except (ValueError, CorruptEventError, OSError):
            return body, ""


class RequestedModel(msgspec.Struct):
    """The fields that are read from a request while it is forwarded."""

    model: str | None = None
    store: bool | None = None


_NOTHING = RequestedModel()
_LENIENT_BYTES = 32 << 20


class Router:
    """Finds the upstream by the request's ``model``; the first upstream takes what no alias and no glob matches."""

    def __init__(self, upstreams: Mapping[str, UpstreamSettings], trace_ratio: float | None = None) -> None:
        if not upstreams:
            raise ConfigError("The gateway has no upstream: configure at least one model server")
        self.upstreams = [Upstream(name, settings, trace_ratio) for name, settings in upstreams.items()]
        self.first = self.upstreams[0]
        self.looks_at_models = len(self.upstreams) > 1 or bool(self.first.alias)
        self._by_model: dict[str, Upstream] = {}
        self._decoder = msgspec.json.Decoder(RequestedModel)
        named = {upstream.name: upstream for upstream in self.upstreams}
        for upstream in self.upstreams:
            settings = upstreams[upstream.name]
            for other in settings.fallback:
                if other not in named or other == upstream.name:
                    raise ConfigError(
                        f"The upstream {upstream.name} falls back on {other!r}, which is not another upstream"
                    )
            order = [upstream, *(named[other] for other in settings.fallback)]
            upstream.attempts = tuple(each for each in order for _ in range(1 + upstreams[each.name].retries))

    def read(self, body: bytes) -> RequestedModel:
        """The model and options in a request body, which may be any bytes."""
        try:
            asked = self._decoder.decode(body)
            if isinstance(body, MappedBody):
                body.release()
            return asked
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return _read_leniently(body)

    def of_model(self, model: str | None) -> Upstream:
        if not model:
            return self.first
        known = self._by_model.get(model)
        if known is None:
            known = self._match(model)
            if len(self._by_model) < 4096:  # clients choose the names
                self._by_model[model] = known
        return known

    def _match(self, model: str) -> Upstream:
        for upstream in self.upstreams:
            if model in upstream.alias:
                return upstream
        for upstream in self.upstreams:
            if any(fnmatchcase(model, glob) for glob in upstream.models):
                return upstream
        return self.first

    async def aclose(self) -> None:
        for upstream in self.upstreams:
            await upstream.pool.aclose()


def _read_leniently(body: bytes) -> RequestedModel:
    """For what servers accept and a strict parser does not (lone surrogates, NaN, a store that is not a boolean).

    It makes many times as much of a body, so that a large one is not read.
    """
    if len(body) > _LENIENT_BYTES:
        return _NOTHING
    try:
        parsed = json.loads(bytes(body))
    except (ValueError, RecursionError):
        return _NOTHING
    if not isinstance(parsed, dict):
        return _NOTHING
    model, store = parsed.get("model"), parsed.get("store")
    return RequestedModel(model if isinstance(model, str) else None, store if isinstance(store, bool) else None)
