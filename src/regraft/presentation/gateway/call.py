"""One call: bytes go to the client as they come, and a copy of them into the record.

The record is written before the last byte of the answer leaves, so that a client which has a whole answer can count on
its call being captured. What "last" means: the final body bytes when the length is known, the end of the body when it
is not, and for event streams the event that clients stop reading at.

Before the first byte of an answer a failed attempt may be followed by another, there or elsewhere. Each attempt is a
record of its own under one operation; the client sees only the last.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, cast

from regraft.domain.capture.trace_context import context_of_call
from regraft.domain.errors import UpstreamError
from regraft.infra.http.body_memory import GatheredBody, PackedBody
from regraft.infra.http.connection import HttpConnection
from regraft.infra.http.event_stream import HOLD_END, EndWatch
from regraft.infra.http.headers import returned
from regraft.infra.http.replies import error_body, json_block
from regraft.infra.http.requests import HttpRequest
from regraft.infra.llm.upstream import UpstreamResponse
from regraft.infra.nats.codec import CallEvent
from regraft.presentation.gateway.capture import LARGE, LargeRecord, Recorder
from regraft.presentation.gateway.client import ANY_CLIENT, Client
from regraft.presentation.gateway.compression import COMPRESS_ASIDE, BodyCompression
from regraft.presentation.gateway.limits import ConcurrencyLimit
from regraft.presentation.gateway.metrics import Metrics
from regraft.presentation.gateway.retries import plan_after, retry_after
from regraft.presentation.gateway.routing import Upstream
from regraft.presentation.gateway.turns import Turns

GATHER = 1 << 20  # bytes of an answer from which on it shares the memory of large bodies
FAILURE_SECONDS, FAILURE_BYTES = 1.0, 64 << 10  # what is read of an answer that the client will not get
STOPPED = "The gateway was stopped before the answer's end"

now = time.perf_counter_ns


class ForwardedCall:
    """Forwards one request, once or again. With a recorder it is captured, without one it only passes through."""

    # Defaults that most calls never change live on the class, not on each instance.
    _attempt = 0
    _status = 0
    _own_ns = 0
    _operation_id = b""
    _turns: Turns | None = None
    _timer: asyncio.TimerHandle | None = None
    _compressing: BodyCompression | None = None
    _response: UpstreamResponse | None = None
    _event_id = b""
    _turn = ""  # the event id as it is usually written
    _first_byte_ns: int | None = None
    _sending = True  # no byte of the answer has gone to the client
    _written = _ended = False
    _held: list[bytes] | None = None
    _copied = 0  # bytes of the answer
    _gathered: GatheredBody | PackedBody | None = None  # a large answer
    _copy_failed: OSError | None = None
    _watch: EndWatch | None = None
    _type = _encoding = ""
    _request_encoding = ""
    _large: LargeRecord | None = None  # the record, where another thread writes it
    path_model = ""  # where only the path names a model

    def __init__(
        self,
        endpoint: str,
        request: HttpRequest,
        connection: HttpConnection,
        attempts: tuple[Upstream, ...],
        model: str | None,
        metrics: Metrics,
        recorder: Recorder | None,
        client: Client = ANY_CLIENT,
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
        request = self._request
        if self._recorder is not None and len(request.body) >= COMPRESS_ASIDE and not request.head.encoding:
            self._compressing = BodyCompression(request.body, self._connection.memory)
        before, behind = self._client.turnstile, self._upstream.turnstile
        if (before is None and behind is None) or self._take_turns(before, behind):
            self._send()

    # Turns

    def _take_turns(self, *limits: ConcurrencyLimit | None) -> bool:
        """False: the call waits for its turn, or was refused."""
        if self._turns is None:
            self._turns = Turns(self._send, self._turn_away)
        return self._turns.take(limits)

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
        head = request.head
        self._body, self._asked_model = (
            upstream.body(request.body, self._model, head.encoding, self._connection.memory)
            if upstream.alias
            else (request.body, self.path_model)
        )
        if head.encoding:
            self._request_encoding = head.encoding if self._body is request.body else ""
        try:
            decoded = bool(head.encoding) and not self._request_encoding  # for an alias
            self._response = upstream.begin(
                request,
                self._body,
                self._client.trusted,
                self,
                decoded=decoded,
                lines=self._trace_line(upstream.trace_ratio) if upstream.trace_ratio is not None else b"",
            )
        except UpstreamError as error:
            self._refuse(str(error))
            return
        self._own_ns += now() - self._began

    def _trace_line(self, ratio: float) -> bytes:
        """What tells the model server its place in the trace: under this call's span, which is exported later."""
        asked = self._request.head.traceparent
        if self._recorder is not None:
            asked = context_of_call(self._event_id, self._operation_id, asked, ratio).header()
        return b"traceparent: %b\r\n" % asked.encode("latin-1") if asked else b""

    def _forget_attempt(self) -> None:
        self._status = 0
        self._first_byte_ns = None
        self._sending, self._written = True, False
        self._held = self._watch = None
        self._copied, self._gathered, self._copy_failed = 0, None, None
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
            if before.turnstile is not None and self._turns is not None:
                self._turns.leave(before.turnstile)
            if self._upstream.turnstile is not None and not self._take_turns(self._upstream.turnstile):
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
        self._when_recorded(self._connection.reply, 502, block, body)

    # The record

    def _record(self, upstream: Upstream, cut: str = "", error: str = "", final: bool = True) -> None:
        """Write the record of this attempt now, if that was not done. What follows it goes by ``_when_recorded``."""
        self._keep(upstream, cut, error, final)
        if self._recorder is not None:
            self._recorder.flush()

    def _keep(self, upstream: Upstream, cut: str = "", error: str = "", final: bool = True) -> None:
        """The same in this turn of the loop: what comes behind it must go through ``_then``."""
        if self._written:
            return
        self._written = True
        if cut:
            self._metrics.cuts[cut] += 1
        recorder = self._recorder
        if recorder is None:
            return
        body, packed = self._body, None
        if self._compressing is not None and body is self._request.body:
            packed = self._compressing.result()
        copy, answer = self._copy, None
        if self._gathered is not None or self._copy_failed is not None:
            try:
                copy, answer = self._gathered_answer()
            except OSError as failure:
                recorder.lose(failure)
                return
        event = CallEvent(
            event_id=self._event_id,
            scope=self._client.scope,
            endpoint=self._endpoint,
            upstream=upstream.name,
            upstream_pin=upstream.pin,
            started_ns=self._started_ns,
            first_byte_ns=self._first_byte_ns,
            duration_ns=now() - self._started,
            request_body=body,
            status=self._status if final or not error else 0,
            response_type=self._type,
            response_encoding=self._encoding,
            response_body=copy[0] if len(copy) == 1 else b"".join(copy),
            cut=cut,
            error=error,
            identity=self._request.head.identity,
            operation_id=self._operation_id,
            attempt=self._attempt,
            final=final,
            traceparent=self._request.head.traceparent,
            asked_model=self._asked_model,
        )
        if self._request_encoding:
            event.request_encoding = self._request_encoding
        kept = body if packed is None or recorder.redacts else packed
        if len(kept) + len(event.response_body if answer is None else answer) < LARGE:
            recorder.keep(event, packed, answer)
        else:
            self._large = recorder.keep_large(event, packed, answer, self._large)

    def _then(self, recorder: Recorder, act: Callable[..., None], *arguments: Any) -> None:
        """Do this after what ``_keep`` has kept."""
        if self._large is None:
            recorder.then(act, *arguments)
        else:
            self._large.then(recorder.then, act, *arguments)

    def _when_recorded(self, act: Callable[..., None], *arguments: Any) -> None:
        """Do this after what ``_record`` has written: at once unless another thread writes it."""
        if self._large is None:
            act(*arguments)
        else:
            self._large.then(act, *arguments)

    def _keep_copy(self, chunk: bytes) -> None:
        """Of a large answer in the memory that all large bodies share: packed at once unless it is read."""
        if self._copy_failed is not None:
            return
        self._copied += len(chunk)
        gathered = self._gathered
        if gathered is None:
            self._copy.append(chunk)
            if self._copied <= GATHER:
                return
            whole = self._encoding or (self._recorder is not None and self._recorder.redacts)
            gathered = GatheredBody(self._connection.memory) if whole else PackedBody(self._connection.memory)
            pieces, self._copy, self._gathered = self._copy, [], gathered
        else:
            pieces = [chunk]
        try:
            for piece in pieces:
                gathered.append(piece)
        except OSError as error:  # no room for it: the client gets its answer all the same
            self._gathered, self._copy_failed = None, error

    def _gathered_answer(self) -> tuple[list[bytes], bytes | None]:
        """A large answer, as it came or else packed. Raises OSError."""
        if self._copy_failed is not None:
            raise self._copy_failed
        assert self._gathered is not None
        body = cast(bytes, self._gathered.finish())
        return ([], body) if isinstance(self._gathered, PackedBody) else ([body], None)

    def _over(self) -> None:
        if self._ended:
            return  # the client went between the record and the end of its answer
        self._ended = True
        self._response = None  # it knows this call: a cycle
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._turns is not None:
            self._turns.end()
            self._turns = None  # it knows this call too
        metrics, name = self._metrics, self._upstream.name
        if self._attempt:
            ended = now()
            own, whole = self._own_ns + ended - self._began, ended - self._started
            metrics.count_forwarded(self._endpoint, name, self._status, own / 1e9, whole / 1e9)
        else:
            metrics.count_call(self._endpoint, name, self._status)

    # The model server's side

    def arrived(self) -> None:
        response = self._response
        if response is None:
            return
        self._began = now()
        if self._sending:
            if response.repeated is not None and self._pass_on_whole(response):
                return
            self._answer(response, self._began)
        else:
            self._stream(response)
        self._own_ns += now() - self._began

    def failed(self, error: UpstreamError) -> None:
        self._response = None
        self._began = now()
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
        self._over()
        self._when_recorded(self._cut)

    def _cut(self) -> None:
        self._write_held()
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

    def _pass_on_whole(self, response: UpstreamResponse) -> bool:
        """A whole answer behind a known head, in the plainest of cases: most calls end here."""
        recorder, upstream, connection = self._recorder, self._upstream, self._connection
        repeated = response.repeated
        if recorder is None or repeated is None or not 200 <= repeated.status < 300 or not connection.plain:
            return False
        known, start, self._type, self._encoding = upstream.known
        if known is not repeated:
            block, _, self._type, self._encoding = returned(repeated.headers, repeated.status)
            start = b"HTTP/1.1 %d %b\r\n%b%b" % (repeated.status, repeated.reason, block, repeated.length)
            upstream.known = (repeated, start, self._type, self._encoding)
        self._status = repeated.status
        self._sending = False
        body = response.take()
        if body:
            self._first_byte_ns = self._began - self._started
            self._copy.append(body)
        self._keep(upstream)
        self._over()
        turn = self._turn.encode()
        message = b"%b: %d\r\nx-regraft-turn: %b\r\n\r\n%b" % (start, len(body), turn, body)
        self._then(recorder, connection.answer, message)
        return True

    def _pass_on(self, response: UpstreamResponse, chunk: bytes, now: int) -> None:
        self._sending = False
        block, sized, self._type, self._encoding = returned(response.headers, response.status)
        recorder, connection = self._recorder, self._connection
        if recorder is not None:
            block = b"%bx-regraft-turn: %b\r\n" % (block, self._turn.encode())
            if chunk:
                self._first_byte_ns = now - self._started
                self._keep_copy(chunk)
            if self._type.startswith("text/event-stream"):
                self._watch = EndWatch()
        if response.complete:
            self._keep(self._upstream)
            self._over()
            end = (response.status, response.reason, block, sized, chunk, True)
            if recorder is not None:
                self._then(recorder, connection.start, *end)
            else:
                connection.start(*end)
        elif self._watch is not None and self._watch.announced(chunk):
            connection.start(response.status, response.reason, block, sized, b"", False)
            self._hold(chunk)
        else:
            connection.start(response.status, response.reason, block, sized, chunk, False)

    def _stream(self, response: UpstreamResponse) -> None:
        chunk = response.take()
        recorder = self._recorder
        if chunk and recorder is not None:
            if self._first_byte_ns is None:
                self._first_byte_ns = now() - self._started
            if not self._written:
                self._keep_copy(chunk)
        if response.complete:
            if self._held is not None:
                chunk, self._held = b"".join((*self._held, chunk)), None
            self._keep(self._upstream)
            self._over()
            if recorder is not None:
                self._then(recorder, self._connection.end, chunk)
            else:
                self._connection.end(chunk)
        elif self._held is not None:
            self._held.append(chunk)
        elif self._watch is not None and self._watch.announced(chunk):
            self._hold(chunk)
        else:
            self._connection.write(chunk)

    def _hold(self, chunk: bytes) -> None:
        """Keep back the announced end until the body ends, but not longer than HOLD_END.

        When the end does not come the call is recorded as it is: a client must not wait for a server that never ends
        its stream.
        """
        self._watch = None
        self._held = [chunk]
        self._timer = asyncio.get_running_loop().call_later(HOLD_END, self._let_go)

    def _let_go(self) -> None:
        self._timer = None
        self._record(self._upstream)
        self._when_recorded(self._write_held)

    def _write_held(self) -> None:
        held, self._held = self._held, None
        if held:
            self._connection.write(b"".join(held))

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
        self._began = now()
        _, _, self._type, self._encoding = returned(response.headers, response.status)
        upstream = self._upstream
        if self._again(retry_after(response.headers)):
            self._response = None
            response.close()
            self._record(upstream, final=False)
        else:
            chunk = b"".join(self._copy)
            self._copy = []
            self._attempts = self._attempts[: self._attempt]
            self._pass_on(response, chunk, now())

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
        response, self._response = self._response, None
        self._began = now()
        if response is not None:
            response.close()
            self._record(self._upstream, cut="client", error=error)
        self._over()
