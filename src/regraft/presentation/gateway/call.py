"""One call: bytes go to the client as they come, and a copy of them into the record.

The record is written before the last byte of the answer leaves, so that a client which has a whole answer can count on
its call being captured. What "last" means: the final body bytes when the length is known, the end of the body when it
is not, and for event streams the event that clients stop reading at.

Before the first byte of an answer a failed attempt may be followed by another, there or elsewhere. Each attempt is a
record of its own under one operation; the client sees only the last.
"""

from __future__ import annotations

import asyncio

from regraft.domain.errors import UpstreamError
from regraft.infra.http.event_stream import HOLD_END, EndWatch
from regraft.infra.http.headers import returned
from regraft.infra.llm.upstream import UpstreamResponse
from regraft.presentation.gateway.attempt import ANYBODY, Attempt, Client, now
from regraft.presentation.gateway.retries import retry_after

__all__ = ["ANYBODY", "STOPPED", "Call", "Client"]

FAILURE_SECONDS, FAILURE_BYTES = 1.0, 64 << 10  # what is read of an answer that the client will not get
STOPPED = "The gateway was stopped before the answer's end"


class Call(Attempt):
    """Forwards one request. With a recorder it is captured, without one it only passes through."""

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
        recorder.then(connection.answer, message)
        return True

    def _pass_on(self, response: UpstreamResponse, chunk: bytes, now: int) -> None:
        self._sending = False
        block, sized, self._type, self._encoding = returned(response.headers, response.status)
        recorder, connection = self._recorder, self._connection
        if recorder is not None:
            block = b"%bx-regraft-turn: %b\r\n" % (block, self._turn.encode())
            if chunk:
                self._first_byte_ns = now - self._started
                self._copy.append(chunk)
            if self._type.startswith("text/event-stream"):
                self._watch = EndWatch()
        if response.complete:
            self._keep(self._upstream)
            self._over()
            end = (response.status, response.reason, block, sized, chunk, True)
            if recorder is not None:
                recorder.then(connection.start, *end)
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
                self._copy.append(chunk)
        if response.complete:
            if self._held is not None:
                chunk = b"".join((*self._held, chunk))
            self._keep(self._upstream)
            self._over()
            if recorder is not None:
                recorder.then(self._connection.end, chunk)
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

        When the end does not come the call is recorded as it stands: a client must not wait for a sloppy server.
        """
        self._watch = None
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
        if self._queued_at is not None:
            self._queued_at.forget(self)
            self._queued_at = None
        response, self._response = self._response, None
        self._began = now()
        if response is not None:
            response.close()
            self._record(self._upstream, cut="client", error=error)
        self._over()
