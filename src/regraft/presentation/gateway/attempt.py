"""The way of a call to a model server, once or again, and the record of each attempt."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import zstandard

from regraft.domain.errors import UpstreamError
from regraft.infra.http.connection import HttpConnection
from regraft.infra.http.event_stream import EndWatch
from regraft.infra.http.replies import error_body, json_block
from regraft.infra.http.requests import Request
from regraft.infra.llm.upstream import UpstreamResponse
from regraft.presentation.gateway.capture import Recorder
from regraft.presentation.gateway.limits import TooBusyError, Turnstile
from regraft.presentation.gateway.metrics import Metrics
from regraft.presentation.gateway.retries import plan_after
from regraft.presentation.gateway.routing import Upstream

COMPRESS_ASIDE = 1 << 20  # bytes of a request from which on it is compressed on another thread

now = time.perf_counter_ns


@dataclass(frozen=True, slots=True)
class Client:
    """Who asks: the tenant, whether its own credentials may be passed on, and its own turnstile."""

    scope: str = ""
    trusted: bool = True
    turnstile: Turnstile | None = None


ANYBODY = Client()


class Attempt:
    """Gets a request to a model server. Who listens to the answer is below (``call.Call``)."""

    # What most calls never touch stands here, not in each of them.
    _attempt = 0
    _status = 0
    _own_ns = 0
    _operation_id = b""
    _inside: tuple[Turnstile, ...] = ()
    _queued_at: Turnstile | None = None
    _ahead: tuple[Turnstile | None, ...] = ()
    _timer: asyncio.TimerHandle | None = None
    _compressing: asyncio.Future[bytes] | None = None
    _response: UpstreamResponse | None = None
    _event_id = b""
    _turn = ""  # the event id as it is usually written
    _first_byte_ns: int | None = None
    _sending = True  # no byte of the answer has gone to the client
    _written = _ended = False
    _held: list[bytes] | None = None
    _watch: EndWatch | None = None
    _type = _encoding = ""

    def __init__(
        self,
        endpoint: str,
        request: Request,
        connection: HttpConnection,
        attempts: tuple[Upstream, ...],
        model: str | None,
        metrics: Metrics,
        recorder: Recorder | None,
        client: Client = ANYBODY,
    ) -> None:
        self._endpoint = endpoint
        self._request = request
        self._connection = connection
        self._attempts = attempts
        self._upstream = attempts[0]
        self._model = model
        self._metrics = metrics
        self._recorder = recorder
        self._client = client

    def begin(self) -> None:
        """Send it on. Never raises for what the model server or the client does."""
        if self._recorder is not None and len(self._request.body) >= COMPRESS_ASIDE:
            loop = asyncio.get_running_loop()
            self._compressing = loop.run_in_executor(None, _compressed, self._request.body)
        before, behind = self._client.turnstile, self._upstream.turnstile
        if (before is None and behind is None) or self._through((before, behind)):
            self._send()

    def arrived(self) -> None:
        """The model server has said something: see ``Listener``."""
        raise NotImplementedError

    def failed(self, error: UpstreamError) -> None:
        """The model server will say no more."""
        raise NotImplementedError

    # Turns

    def admitted(self) -> None:
        turnstile, self._queued_at = self._queued_at, None
        assert turnstile is not None
        self._inside += (turnstile,)
        if self._through(self._ahead):
            self._send()

    def turned_away(self) -> None:
        self._queued_at = None
        self._turn_away()

    def _through(self, turnstiles: tuple[Turnstile | None, ...]) -> bool:
        """False: the call waits for its turn, or was refused."""
        for number, turnstile in enumerate(turnstiles):
            if turnstile is None:
                continue
            try:
                if not turnstile.enter(self):
                    self._queued_at, self._ahead = turnstile, turnstiles[number + 1 :]
                    return False
            except TooBusyError:
                self._turn_away()
                return False
            self._inside += (turnstile,)
        return True

    def _turn_away(self) -> None:
        message = "Too many calls are under way; try again in a moment"
        self._metrics.refusals["concurrency"] += 1
        self._status = 429
        body = error_body(message, "rate_limit_error", "too_many_concurrent_calls")
        self._over()
        self._connection.reply(429, json_block(body) + b"retry-after: 1\r\n", body)

    # Attempts

    def _send(self) -> None:
        upstream, request, recorder = self._upstream, self._request, self._recorder
        self._started_ns = now_ns = time.time_ns()
        self._started = self._began = now()
        if self._attempt:
            self._forget_attempt()
        self._attempt += 1
        self._copy: list[bytes] = []
        if recorder is not None:
            self._event_id, self._turn = recorder.ids.new_pair(now_ns)
        self._body, self._asked_model = (
            upstream.body(request.body, self._model) if upstream.alias else (request.body, "")
        )
        try:
            if request.plain and request.method == b"POST":
                opening = upstream.opening(request, self._client.trusted)
                self._response = upstream.pool.begin_opened(opening, self._body, self)
            else:
                self._response = upstream.pool.begin(
                    request.method,
                    upstream.path(request.path, request.query),
                    upstream.headers(request.head, self._client.trusted),
                    self._body,
                    self,
                )
        except UpstreamError as error:
            self._refuse(str(error))
            return
        self._own_ns += now() - self._began

    def _forget_attempt(self) -> None:
        self._status = 0
        self._first_byte_ns = None
        self._sending, self._written = True, False
        self._held = self._watch = None
        self._type = self._encoding = ""

    def _again(self, wanted: float | None) -> bool:
        """Whether another attempt follows, ``wanted`` seconds from now if the server says so; it is under way then."""
        plan = plan_after(self._attempts, self._attempt, wanted)
        if plan is None:
            return False
        self._attempts, wait = plan
        self._metrics.retries[self._upstream.name] += 1
        if not self._operation_id and self._recorder is not None:
            self._operation_id = self._event_id
        self._upstream, before = self._attempts[self._attempt], self._upstream
        self._timer = asyncio.get_running_loop().call_later(wait, self._retry, before)
        return True

    def _retry(self, before: Upstream) -> None:
        self._timer = None
        if before is not self._upstream:
            if before.turnstile is not None:
                self._inside = tuple(each for each in self._inside if each is not before.turnstile)
                before.turnstile.leave()
            if not self._through((self._upstream.turnstile,)):
                return
        self._send()

    def _refuse(self, message: str) -> None:
        """No model server gave an answer: say so as the API would."""
        self._status = 502
        self._type = "application/json"
        body = error_body(message, "upstream_error", "upstream_unavailable")
        block = json_block(body)
        if self._recorder is not None:
            self._copy.append(body)
            block += b"x-regraft-turn: %b\r\n" % self._turn.encode()
        self._record(self._upstream, error=message)
        self._over()
        self._connection.reply(502, block, body)

    # The record

    def _record(self, upstream: Upstream, cut: str = "", error: str = "", final: bool = True) -> None:
        """Write the record of this attempt now, if that was not done."""
        self._keep(upstream, cut, error, final)
        if self._recorder is not None:
            self._recorder.flush()

    def _keep(self, upstream: Upstream, cut: str = "", error: str = "", final: bool = True) -> None:
        """The same in this turn of the loop: what comes behind it must go through the recorder's ``then``."""
        if self._written:
            return
        self._written = True
        if cut:
            self._metrics.cuts[cut] += 1
        recorder = self._recorder
        if recorder is None:
            return
        body, compressed = self._body, None
        if self._compressing is not None and body is self._request.body:
            compressed = self._compressing.result() if self._compressing.done() else body
        copy = self._copy
        recorder.keep(
            self._event_id,
            self._client.scope,
            self._endpoint,
            upstream.name,
            upstream.pin,
            self._started_ns,
            self._first_byte_ns,
            now() - self._started,
            body,
            self._status if final or not error else 0,
            self._type,
            self._encoding,
            copy[0] if len(copy) == 1 else b"".join(copy),
            cut,
            error,
            self._request.head.identity,
            self._operation_id,
            self._attempt,
            final,
            self._request.head.traceparent,
            self._asked_model,
            compressed,
        )

    def _over(self) -> None:
        if self._ended:
            return  # the client went between the record and the end of its answer
        self._ended = True
        self._response = None  # it knows this call: a cycle
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._inside:
            for turnstile in self._inside:
                turnstile.leave()
            self._inside = ()
        own = self._own_ns + now() - self._began if self._attempt else 0
        self._metrics.count_call(self._endpoint, self._upstream.name, self._status, own / 1e9)


def _compressed(body: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=1).compress(body)
