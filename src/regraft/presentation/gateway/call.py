"""One call: bytes go to the client as they come, and a copy of them into the record.

The record is written before the last byte of the answer leaves, so that a client which has a whole answer can count on
its call being captured. What "last" means: the final body bytes when the length is known, the end of the body when it
is not, and for event streams the event that clients stop reading at.

Before the first byte of an answer a failed attempt may be followed by another, there or elsewhere. Each attempt is a
record of its own under one operation; the client sees only the last.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from dataclasses import dataclass

import zstandard

from regraft.domain.errors import UpstreamError
from regraft.infra.llm.upstream import UpstreamResponse
from regraft.presentation.gateway.capture import Recorder, uuid_text
from regraft.presentation.gateway.headers import returned
from regraft.presentation.gateway.http import HttpConnection, Request
from regraft.presentation.gateway.limits import TooBusyError, Turnstile
from regraft.presentation.gateway.metrics import Metrics
from regraft.presentation.gateway.replies import error_body, json_block
from regraft.presentation.gateway.routing import Upstream

HOLD_END = 2.0  # seconds that an announced end waits for the end of the body
FIRST_BACKOFF, LONGEST_BACKOFF = 0.25, 8.0
LONGEST_RETRY_AFTER = 20.0  # a server that asks for more is passed over
FAILURE_SECONDS, FAILURE_BYTES = 1.0, 64 << 10  # what is read of an answer that the client will not get
COMPRESS_ASIDE = 1 << 20  # bytes of a request from which on it is compressed on another thread
STOPPED = "The gateway was stopped before the answer's end"

# The last events of a stream, at the start of a line: such bytes cannot stand inside a JSON string.
_END = re.compile(
    rb"(?:^|[\r\n])(?:data: ?\[DONE\]|event: ?(?:message_stop|response\.(?:completed|incomplete|failed))[\r\n])"
)
_TAIL = 40  # bytes of a chunk that are looked at again with the next

_now = time.perf_counter_ns


def _may_end(data: bytes) -> bool:
    return b"[DONE]" in data or b"message_stop" in data or b"response." in data


@dataclass(frozen=True, slots=True)
class Client:
    """Who asks: the tenant, whether its own credentials may be passed on, and its own turnstile."""

    scope: str = ""
    trusted: bool = True
    turnstile: Turnstile | None = None


ANYBODY = Client()


class Call:
    """Forwards one request. With a recorder it is captured, without one it only passes through."""

    __slots__ = (
        "_asked_model",
        "_attempt",
        "_attempts",
        "_body",
        "_client",
        "_compressing",
        "_connection",
        "_copy",
        "_encoding",
        "_endpoint",
        "_event_id",
        "_first_byte_ns",
        "_held",
        "_inside",
        "_metrics",
        "_model",
        "_operation_id",
        "_own_ns",
        "_queued_at",
        "_recorder",
        "_request",
        "_response",
        "_sending",
        "_started",
        "_started_ns",
        "_status",
        "_tail",
        "_timer",
        "_type",
        "_upstream",
        "_watch_end",
        "_written",
    )

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
        self._attempt = 0
        self._operation_id = b""
        self._inside: list[Turnstile] = []
        self._queued_at: Turnstile | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._compressing: asyncio.Future[bytes] | None = None
        self._response: UpstreamResponse | None = None
        self._own_ns = 0
        self._status = 0

    def begin(self) -> None:
        """Send it on. Never raises for what the model server or the client does."""
        if self._recorder is not None and len(self._request.body) >= COMPRESS_ASIDE:
            loop = asyncio.get_running_loop()
            self._compressing = loop.run_in_executor(None, _compressed, self._request.body)
        if self._through(self._client.turnstile) and self._through(self._upstream.turnstile):
            self._send()

    # Turns

    def admitted(self) -> None:
        turnstile, self._queued_at = self._queued_at, None
        assert turnstile is not None
        self._inside.append(turnstile)
        if turnstile is not self._client.turnstile or self._through(self._upstream.turnstile):
            self._send()

    def turned_away(self) -> None:
        self._queued_at = None
        self._turn_away()

    def _through(self, turnstile: Turnstile | None) -> bool:
        """False: the call waits for its turn, or was refused."""
        if turnstile is None:
            return True
        try:
            if not turnstile.enter(self):
                self._queued_at = turnstile
                return False
        except TooBusyError:
            self._turn_away()
            return False
        self._inside.append(turnstile)
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
        upstream, request = self._upstream, self._request
        self._started_ns = time.time_ns()
        self._started = began = _now()
        self._attempt += 1
        self._status = 0
        self._copy: list[bytes] = []
        self._first_byte_ns: int | None = None
        self._sending = True  # no byte of the answer has gone to the client
        self._written = False
        self._held: list[bytes] | None = None
        self._tail = b""
        self._watch_end = False
        self._type = self._encoding = ""
        if self._recorder is not None:
            self._event_id = self._recorder.ids.new(self._started_ns)
        self._body, self._asked_model = upstream.body(request.body, self._model)
        try:
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
        self._own_ns += _now() - began

    def _again(self, retry_after: float | None) -> bool:
        """Whether another attempt follows; it is under way then."""
        done = self._attempt
        if done >= len(self._attempts):
            return False
        following = self._attempts[done]
        wait = 0.0
        if following is self._upstream:
            if retry_after is not None and retry_after > LONGEST_RETRY_AFTER:
                others = [
                    number for number in range(done, len(self._attempts)) if self._attempts[number] is not following
                ]
                if not others:
                    return False
                self._attempts = self._attempts[:done] + self._attempts[others[0] :]
                following = self._attempts[done]
            else:
                tries = self._attempts[:done].count(following)
                wait = min(FIRST_BACKOFF * 2 ** (tries - 1), LONGEST_BACKOFF) * random.uniform(0.5, 1.0)  # noqa: S311
                wait = max(wait, retry_after or 0.0)
        self._metrics.retries[self._upstream.name] += 1
        if not self._operation_id and self._recorder is not None:
            self._operation_id = self._event_id
        self._upstream, before = following, self._upstream
        self._timer = asyncio.get_running_loop().call_later(wait, self._retry, before)
        return True

    def _retry(self, before: Upstream) -> None:
        self._timer = None
        if before is not self._upstream:
            if before.turnstile is not None:
                self._inside.remove(before.turnstile)
                before.turnstile.leave()
            if not self._through(self._upstream.turnstile):
                return
        self._send()

    # The model server's side

    def arrived(self) -> None:
        response = self._response
        if response is None:
            return
        began = _now()
        if self._sending:
            self._answer(response, began)
        else:
            self._stream(response)
        self._own_ns += _now() - began

    def failed(self, error: UpstreamError) -> None:
        self._response = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        message = str(error)
        if self._sending:
            if self._may_try_again():
                upstream = self._upstream
                if self._again(None):
                    self._record(upstream, error=message, final=False)
                    return
            self._refuse(message)
            return
        self._record(self._upstream, cut="upstream", error=message)
        if self._held:
            self._connection.write(b"".join(self._held))
        self._over()
        self._connection.cut()

    def _answer(self, response: UpstreamResponse, now: int) -> None:
        status = response.status
        if not 200 <= status <= 599:
            response.close()
            self.failed(UpstreamError(f"{self._upstream.pool.authority} answered with status {status}"))
            return
        self._status = status
        if (status == 429 or status >= 500) and self._may_try_again():
            self._read_failure(response)
            return
        self._pass_on(response, response.take(), now)

    def _pass_on(self, response: UpstreamResponse, chunk: bytes, now: int) -> None:
        self._sending = False
        block, sized, self._type, self._encoding = returned(response.headers, response.status)
        recorder = self._recorder
        if recorder is not None:
            block = b"%bx-regraft-turn: %b\r\n" % (block, uuid_text(self._event_id).encode())
            if chunk:
                self._first_byte_ns = now - self._started
                self._copy.append(chunk)
            self._watch_end = self._type.startswith("text/event-stream")
        connection = self._connection
        if response.complete:
            self._record(self._upstream)
            self._over()
            connection.start(response.status, response.reason, block, sized, chunk, True)
        elif self._watch_end and self._announces_end(chunk):
            connection.start(response.status, response.reason, block, sized, b"", False)
            self._hold(chunk)
        else:
            connection.start(response.status, response.reason, block, sized, chunk, False)

    def _stream(self, response: UpstreamResponse) -> None:
        chunk = response.take()
        if chunk and self._recorder is not None:
            if self._first_byte_ns is None:
                self._first_byte_ns = _now() - self._started
            if not self._written:
                self._copy.append(chunk)
        if response.complete:
            if self._held is not None:
                chunk = b"".join((*self._held, chunk))
            self._record(self._upstream)
            self._over()
            self._connection.end(chunk)
        elif self._held is not None:
            self._held.append(chunk)
        elif self._watch_end and self._announces_end(chunk):
            self._hold(chunk)
        else:
            self._connection.write(chunk)

    def _announces_end(self, chunk: bytes) -> bool:
        data = self._tail + chunk
        self._tail = data[-_TAIL:]
        return _may_end(data) and _END.search(data) is not None

    def _hold(self, chunk: bytes) -> None:
        """Keep back the announced end until the body ends, but not longer than HOLD_END.

        When the end does not come the call is recorded as it stands: a client must not wait for a sloppy server.
        """
        self._watch_end = False
        self._held = [chunk]
        self._timer = asyncio.get_running_loop().call_later(HOLD_END, self._let_go)

    def _let_go(self) -> None:
        self._timer = None
        held, self._held = self._held, None
        self._record(self._upstream)
        self._connection.write(b"".join(held or ()))

    def _may_try_again(self) -> bool:
        return self._attempt < len(self._attempts)

    def _read_failure(self, response: UpstreamResponse) -> None:
        """An answer that calls for another attempt: read it for the record, but not for long."""
        self._copy.append(response.take())
        if response.complete or sum(map(len, self._copy)) > FAILURE_BYTES:
            self._end_failure()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FAILURE_SECONDS, self._end_failure)

    def _end_failure(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        response = self._response
        assert response is not None
        _, _, self._type, self._encoding = returned(response.headers, response.status)
        upstream = self._upstream
        if self._again(_retry_after(response)):
            self._response = None
            response.close()
            self._record(upstream, final=False)
        else:
            chunk = b"".join(self._copy)
            self._copy = []
            self._attempts = self._attempts[: self._attempt]
            self._pass_on(response, chunk, _now())

    def _refuse(self, message: str) -> None:
        """No model server gave an answer: say so as the API would."""
        self._status = 502
        self._type = "application/json"
        body = error_body(message, "upstream_error", "upstream_unavailable")
        block = json_block(body)
        if self._recorder is not None:
            self._copy.append(body)
            block += b"x-regraft-turn: %b\r\n" % uuid_text(self._event_id).encode()
        self._record(self._upstream, error=message)
        self._over()
        self._connection.reply(502, block, body)

    # The client's side

    def client_gone(self) -> None:
        self._give_up("")

    def stop(self) -> None:
        self._give_up(STOPPED)

    def client_slow(self) -> None:
        if self._response is not None:
            self._response.pause()

    def client_ready(self) -> None:
        if self._response is not None:
            self._response.resume()

    def _give_up(self, error: str) -> None:
        if self._queued_at is not None:
            self._queued_at.forget(self)
            self._queued_at = None
        response, self._response = self._response, None
        if response is not None:
            response.close()
            self._record(self._upstream, cut="client", error=error)
        self._over()

    # The record

    def _record(self, upstream: Upstream, cut: str = "", error: str = "", final: bool = True) -> None:
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
        recorder.record(
            self._event_id,
            self._client.scope,
            self._endpoint,
            upstream.name,
            upstream.pin,
            self._started_ns,
            self._first_byte_ns,
            _now() - self._started,
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
        self._response = None  # it knows this call: a cycle
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._inside:
            for turnstile in self._inside:
                turnstile.leave()
            self._inside = []
        self._metrics.count_call(self._endpoint, self._upstream.name, self._status, self._own_ns / 1e9)


def _compressed(body: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=1).compress(body)


def _retry_after(response: UpstreamResponse) -> float | None:
    """Seconds that the server asks to wait; dates are not read, they depend on two clocks."""
    for name, value in response.headers:
        lower = name.lower()
        if lower in (b"retry-after", b"retry-after-ms"):
            try:
                seconds = float(value)
            except ValueError:
                continue
            return max(0.0, seconds / 1000 if lower.endswith(b"-ms") else seconds)
    return None
