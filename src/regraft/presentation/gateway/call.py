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
from typing import Any

from regraft.domain.capture.trace_context import context_of_call
from regraft.domain.errors import UpstreamError
from regraft.infra.http.connection import HttpConnection
from regraft.infra.http.headers import returned
from regraft.infra.http.replies import error_body, json_block
from regraft.infra.http.requests import HttpRequest
from regraft.infra.llm.retry_after import retry_after
from regraft.infra.llm.upstream import UpstreamResponse
from regraft.infra.nats.codec import CallEvent
from regraft.presentation.gateway.attempts import Attempts
from regraft.presentation.gateway.call_record import CallRecord
from regraft.presentation.gateway.client import ANY_CLIENT, Client
from regraft.presentation.gateway.compression import COMPRESS_ASIDE, BodyCompression
from regraft.presentation.gateway.failed_answer import FailedAnswer
from regraft.presentation.gateway.held_end import HeldEnd
from regraft.presentation.gateway.limits import ConcurrencyLimit
from regraft.presentation.gateway.metrics import Metrics
from regraft.presentation.gateway.recorder import Recorder
from regraft.presentation.gateway.routing import KnownHead, Upstream
from regraft.presentation.gateway.turns import Turns

STOPPED = "The gateway was stopped before the answer's end"

now = time.perf_counter_ns


class ForwardedCall:
    """Forwards one request, once or again. With a recorder it is captured, without one it only passes through."""

    # Defaults that most calls never change live on the class, not on each instance.
    _status = 0
    _own_ns = 0
    _operation_id = b""
    _turns: Turns | None = None
    _timer: asyncio.TimerHandle | None = None
    _compressing: BodyCompression | None = None
    _response: UpstreamResponse | None = None
    _record: CallRecord | None = None
    _sending = True  # no byte of the answer has gone to the client
    _ended = False
    _failure: FailedAnswer | None = None
    _end: HeldEnd | None = None
    path_model = ""  # where only the path names a model

    def __init__(
        self,
        endpoint: str,
        request: HttpRequest,
        connection: HttpConnection,
        upstreams: tuple[Upstream, ...],
        model: str | None,
        metrics: Metrics,
        recorder: Recorder | None,
        client: Client = ANY_CLIENT,
    ) -> None:
        self._endpoint = endpoint
        self._request = request
        self._connection = connection
        self._attempts = Attempts(upstreams)
        self._model = model
        self._metrics = metrics
        self._recorder = recorder
        self._client = client

    def begin(self) -> None:
        """Forward the request. Never raises for errors of the model server or the client."""
        request = self._request
        if self._recorder is not None and len(request.body) >= COMPRESS_ASIDE and not request.head.encoding:
            self._compressing = BodyCompression(request.body, self._connection.memory)
        before, behind = self._client.turnstile, self._attempts.upstream.turnstile
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
        attempts, request, recorder = self._attempts, self._request, self._recorder
        upstream, head = attempts.upstream, request.head
        started_ns = time.time_ns()
        self._started = self._began = now()
        if attempts.number:
            self._status, self._sending = 0, True
            self._failure = self._end = None
        attempts.number += 1
        body, asked_model = (
            upstream.body(request.body, self._model, head.encoding, self._connection.memory)
            if upstream.alias
            else (request.body, self.path_model)
        )
        if recorder is not None:
            self._record = self._new_record(recorder, started_ns, body, asked_model)
        try:
            self._response = upstream.begin(
                request,
                body,
                self._client.trusted,
                self,
                decoded=bool(head.encoding) and body is not request.body,  # for an alias
                lines=self._trace_line(upstream.trace_ratio) if upstream.trace_ratio is not None else b"",
            )
        except UpstreamError as error:
            self._refuse(str(error))
            return
        self._own_ns += now() - self._began

    def _new_record(self, recorder: Recorder, started_ns: int, body: bytes, asked_model: str) -> CallRecord:
        head, upstream, as_sent = self._request.head, self._attempts.upstream, body is self._request.body
        event_id, turn = recorder.ids.new_pair(started_ns)
        event = CallEvent(
            event_id=event_id,
            scope=self._client.scope,
            endpoint=self._endpoint,
            upstream=upstream.name,
            upstream_pin=upstream.pin,
            started_ns=started_ns,
            first_byte_ns=None,
            duration_ns=0,
            request_body=body,
            status=0,
            response_type="",
            response_encoding="",
            response_body=b"",
            identity=head.identity,
            operation_id=self._operation_id,
            attempt=self._attempts.number,
            traceparent=head.traceparent,
            asked_model=asked_model,
        )
        if head.encoding and as_sent:
            event.request_encoding = head.encoding
        record = CallRecord(recorder, self._connection.memory, event, turn, self._started)
        if as_sent:
            record.compressing = self._compressing
        if self._record is not None:
            record.follow(self._record)
        return record

    def _trace_line(self, ratio: float) -> bytes:
        """The trace context for the model server: this call's span, which is exported later."""
        asked = self._request.head.traceparent
        if self._record is not None:
            asked = context_of_call(self._record.event.event_id, self._operation_id, asked, ratio).header()
        return b"traceparent: %b\r\n" % asked.encode("latin-1") if asked else b""

    def _again(self, wanted: float | None) -> bool:
        """Whether another attempt follows, ``wanted`` seconds from now if the server says so; it is under way then."""
        before = self._attempts.upstream
        wait = self._attempts.follow(wanted)
        if wait is None:
            return False
        self._metrics.retries[before.name] += 1
        if self._record is not None:
            self._operation_id = self._record.event.operation_id = self._operation_id or self._record.event.event_id
        self._timer = asyncio.get_running_loop().call_later(wait, self._retry, before)
        return True

    def _retry(self, before: Upstream) -> None:
        self._timer = None
        upstream = self._attempts.upstream
        if before is not upstream:
            if before.turnstile is not None and self._turns is not None:
                self._turns.leave(before.turnstile)
            if upstream.turnstile is not None and not self._take_turns(upstream.turnstile):
                return
        self._send()

    def _refuse(self, message: str) -> None:
        """No model server answered: send an error in the form of the API."""
        self._status = 502
        body = error_body(message, "upstream_error", "upstream_unavailable")
        block, record = json_block(body), self._record
        if record is not None:
            record.describe("application/json", "")
            record.copy(body)
            block += b"x-regraft-turn: %b\r\n" % record.turn.encode()
        self._write_record(error=message)
        self._over()
        self._when_written(self._connection.reply, 502, block, body)

    # The record

    def _write_record(self, cut: str = "", error: str = "", final: bool = True) -> None:
        """Write the record of this attempt now, if that was not done. What follows it goes by ``_when_written``."""
        record = self._record
        if cut and (record is None or not record.written):
            self._metrics.cuts[cut] += 1
        if record is not None:
            record.write(self._status, cut=cut, error=error, final=final)

    def _when_written(self, act: Callable[..., None], *arguments: Any) -> None:
        if self._record is None:
            act(*arguments)
        else:
            self._record.when_written(act, *arguments)

    def _over(self) -> None:
        if self._ended:
            return  # the client went between the record and the end of its answer
        self._ended = True
        self._response = None  # it knows this call: a cycle
        self._stop_timers()
        if self._turns is not None:
            self._turns.end()
            self._turns = None  # it knows this call too
        metrics, name = self._metrics, self._attempts.upstream.name
        if self._attempts.number:
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
            self._answer(response)
        else:
            self._stream(response)
        self._own_ns += now() - self._began

    def failed(self, error: UpstreamError) -> None:
        self._response = None
        self._began = now()
        self._stop_timers()
        message = str(error)
        if self._sending:
            if self._again(None):
                self._write_record(error=message, final=False)
                return
            self._refuse(message)
            return
        self._write_record(cut="upstream", error=message)
        self._over()
        self._when_written(self._cut)

    def _cut(self) -> None:
        self._send_held()
        self._connection.cut()

    def _answer(self, response: UpstreamResponse) -> None:
        status = response.status
        if not 200 <= status <= 599:
            response.close()
            self.failed(UpstreamError(f"{self._attempts.upstream.pool.authority} answered with status {status}"))
            return
        self._status = status
        if (status == 429 or status >= 500) and not self._attempts.last:
            self._read_failure(response)
            return
        self._pass_on(response, response.take())

    def _pass_on_whole(self, response: UpstreamResponse) -> bool:
        """A whole answer behind a known head, in the plainest of cases: most calls end here."""
        record, upstream, connection = self._record, self._attempts.upstream, self._connection
        repeated = response.repeated
        if record is None or repeated is None or not 200 <= repeated.status < 300 or not connection.plain:
            return False
        known = upstream.known
        if known.answer is not repeated:
            head = returned(repeated.headers, repeated.status)
            start = b"HTTP/1.1 %d %b\r\n%b%b" % (repeated.status, repeated.reason, head.block, repeated.length)
            known = upstream.known = KnownHead(repeated, start, head.media_type, head.encoding)
        self._status = repeated.status
        self._sending = False
        body = response.take()
        record.answer_whole(known.media_type, known.encoding, body, self._began)
        turn = record.turn.encode()
        message = b"%b: %d\r\nx-regraft-turn: %b\r\n\r\n%b" % (known.start, len(body), turn, body)
        self._finish(connection.answer, message)
        return True

    def _pass_on(self, response: UpstreamResponse, chunk: bytes) -> None:
        self._sending = False
        head = returned(response.headers, response.status)
        block, record, connection = head.block, self._record, self._connection
        if record is not None:
            block = b"%bx-regraft-turn: %b\r\n" % (block, record.turn.encode())
            record.describe(head.media_type, head.encoding)
            record.add(chunk, self._began)
        start = (response.status, response.reason, block, head.sized)
        if response.complete:
            self._finish(connection.start, *start, chunk, True)
            return
        if record is not None and head.media_type.startswith("text/event-stream"):
            self._end = HeldEnd(self._release_end)
            chunk = self._end.pass_on(chunk)
        connection.start(*start, chunk, False)

    def _stream(self, response: UpstreamResponse) -> None:
        chunk, record, end = response.take(), self._record, self._end
        if record is not None:
            record.add(chunk, self._began)
        if response.complete:
            self._finish(self._connection.end, chunk if end is None else end.release() + chunk)
        else:
            self._connection.write(chunk if end is None else end.pass_on(chunk))

    def _finish(self, act: Callable[..., None], *arguments: Any) -> None:
        """The answer is whole: record it, then send what is left of it."""
        record = self._record
        if record is None:
            self._over()
            act(*arguments)
        else:
            record.keep(self._status)
            self._over()
            record.then(act, *arguments)

    def _release_end(self) -> None:
        """The announced end of the body did not come: the call is recorded as it is."""
        self._write_record()
        self._when_written(self._send_held)

    def _send_held(self) -> None:
        if self._end is not None:
            self._connection.write(self._end.release())

    def _read_failure(self, response: UpstreamResponse) -> None:
        """An answer that calls for another attempt."""
        chunk, record = response.take(), self._record
        if self._failure is None:
            self._failure = FailedAnswer(self._end_failure)
            if record is not None:
                head = returned(response.headers, response.status)
                record.describe(head.media_type, head.encoding)
        if record is not None:
            record.copy(chunk)
        if self._failure.append(chunk) or response.complete:
            self._end_failure()

    def _end_failure(self) -> None:
        self._stop_timers()
        response, failure = self._response, self._failure
        assert response is not None
        assert failure is not None
        self._began = now()
        if self._again(retry_after(response.headers)):
            self._response = None
            response.close()
            self._write_record(final=False)
        else:
            if self._record is not None:
                self._record.forget_answer()
            self._attempts.end()
            self._pass_on(response, failure.body())

    def _stop_timers(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._failure is not None:
            self._failure.stop()
        if self._end is not None:
            self._end.stop()

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
            self._write_record(cut="client", error=error)
        self._over()
