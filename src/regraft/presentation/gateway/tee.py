"""One call: bytes go to the client as they come, and a copy of them into the record.

The record is written before the last byte of the answer leaves, so that a client which has a whole answer can count on
its call being captured. What "last" means: the final body bytes when the length is known, the end of the body when it
is not, and for event streams the ``[DONE]`` that clients stop reading at.
"""

from __future__ import annotations

import asyncio
import os
import time

from regraft.domain.errors import UpstreamError
from regraft.domain.exchange import Exchange, Identity
from regraft.domain.ids import time_ordered_uuid
from regraft.infra.llm.upstream import UpstreamResponse
from regraft.presentation.gateway.capture import VERSION, Recorder
from regraft.presentation.gateway.headers import Headers, forwarded, returned
from regraft.presentation.gateway.metrics import Metrics
from regraft.presentation.gateway.replies import JSON, Receive, Scope, Send, error_body
from regraft.presentation.gateway.routing import Upstream

WATCH_AFTER = 0.02  # seconds, at least; twice that at most
HOLD_DONE = 2.0  # seconds that ``[DONE]`` waits for the end of the body it announces
_DONE = b"[DONE]"

_now = time.perf_counter_ns


class Watch:
    """Looks after the clients of calls that take longer than a moment; a watcher for each short call would be waste."""

    def __init__(self) -> None:
        self._young: list[Tee] = []
        self._older: list[Tee] = []
        self._ticking = False

    def add(self, tee: Tee) -> None:
        self._young.append(tee)
        if not self._ticking:
            self._ticking = True
            asyncio.get_running_loop().call_later(WATCH_AFTER, self._tick)

    def _tick(self) -> None:
        for tee in self._older:
            tee.look_after_client()
        self._older, self._young = self._young, []
        self._ticking = bool(self._older)
        if self._ticking:
            asyncio.get_running_loop().call_later(WATCH_AFTER, self._tick)


class Tee:
    """Forwards one call. With a recorder the call is captured, without one it only passes through."""

    __slots__ = (
        "_copy",
        "_endpoint",
        "_event_id",
        "_first_byte_ns",
        "_gone",
        "_identity",
        "_metrics",
        "_over",
        "_receive",
        "_recorder",
        "_request_body",
        "_response",
        "_response_encoding",
        "_response_type",
        "_scope",
        "_send",
        "_started",
        "_started_ns",
        "_status",
        "_task",
        "_upstream",
        "_waited_ns",
        "_watch",
        "_watcher",
        "_written",
    )

    def __init__(
        self, endpoint: str, upstream: Upstream, metrics: Metrics, recorder: Recorder | None, watch: Watch
    ) -> None:
        self._endpoint = endpoint
        self._upstream = upstream
        self._metrics = metrics
        self._recorder = recorder
        self._watch = watch
        self._started_ns = time.time_ns()
        self._started = _now()
        self._event_id = time_ordered_uuid(self._started_ns // 1_000_000, os.urandom(10))
        self._identity = Identity()
        self._request_body = b""
        self._copy: list[bytes] = []
        self._first_byte_ns: int | None = None
        self._waited_ns = 0
        self._status = 0
        self._response: UpstreamResponse | None = None
        self._response_type = self._response_encoding = ""
        self._written = self._gone = self._over = False
        self._watcher: asyncio.Task[None] | None = None

    async def run(self, scope: Scope, receive: Receive, send: Send, body: bytes) -> None:
        """Forward the call and its answer. Never raises for what the model server or the client does."""
        self._scope = scope
        self._send = send
        self._request_body = body
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._receive = receive
        self._watch.add(self)
        try:
            await self._forward()
        except asyncio.CancelledError:
            self._write(cut="client", error="" if self._gone else "The gateway was stopped before the answer's end")
            if not self._gone:
                raise
            self._task.uncancel()
        finally:
            self._over = True
            if self._watcher is not None:
                self._watcher.cancel()
            if self._response is not None:
                self._response.close()
            self._count()

    async def _forward(self) -> None:
        scope, upstream = self._scope, self._upstream
        headers, self._identity = forwarded(scope["headers"], upstream.authorization)
        path = upstream.path(scope["raw_path"], scope["query_string"])
        asked = _now()
        try:
            response = await upstream.pool.send(scope["method"], path, headers, self._request_body)
            if not 200 <= response.status <= 599:
                response.close()
                raise UpstreamError(f"{upstream.pool.authority} answered with status {response.status}")
        except UpstreamError as error:
            self._waited_ns += _now() - asked
            await self._refuse(str(error))
            return
        self._waited_ns += _now() - asked
        self._response = response
        self._status = response.status
        back, self._response_type, self._response_encoding = returned(response.headers, response.status)
        self._mark(back)
        start = {"type": "http.response.start", "status": response.status, "headers": back}
        if response.complete:  # one segment brought all of it: the usual short answer
            whole = response.take()
            self._keep(whole)
            self._write()
            await self._send(start)
            await self._send({"type": "http.response.body", "body": whole})
            return
        await self._send(start)
        await self._stream(response)

    async def _stream(self, response: UpstreamResponse) -> None:
        send = self._send
        watch_done = self._recorder is not None and self._response_type.startswith("text/event-stream")
        tail = b""
        held: list[bytes] = []
        try:
            while not response.complete:
                asked = _now()
                chunk = await response.next_chunk()
                self._waited_ns += _now() - asked
                self._keep(chunk)
                if response.complete:
                    chunk = self._with_rest(response, chunk)
                    break
                if watch_done:
                    tail = (tail + chunk)[-16:] if len(chunk) < 16 else chunk[-16:]
                    if _DONE in tail:
                        watch_done = False
                        held = [chunk]
                        await self._hold(response, held)
                        chunk, held = b"".join(held), []
                        if response.complete:
                            chunk = self._with_rest(response, chunk)
                            break
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            else:
                chunk = self._with_rest(response, b"")
        except UpstreamError as error:
            # Returning without an end makes the server cut the client off as we were cut off.
            self._write(cut="upstream", error=str(error))
            if held:
                await send({"type": "http.response.body", "body": b"".join(held), "more_body": True})
            return
        self._write()
        await send({"type": "http.response.body", "body": chunk})

    def _with_rest(self, response: UpstreamResponse, chunk: bytes) -> bytes:
        rest = response.take()
        self._keep(rest)
        return chunk + rest if rest else chunk

    async def _hold(self, response: UpstreamResponse, held: list[bytes]) -> None:
        """Collect what is behind ``[DONE]`` until the body ends, but not longer than HOLD_DONE.

        When the end does not come the call is recorded as it stands: a client must not wait for a sloppy server.
        """
        asked = _now()
        try:
            async with asyncio.timeout(HOLD_DONE):
                while not response.complete:
                    more = await response.next_chunk()
                    self._keep(more)
                    held.append(more)
        except TimeoutError:
            self._write()
        finally:
            self._waited_ns += _now() - asked

    def _mark(self, headers: Headers) -> None:
        if self._recorder is not None:
            headers.append((b"x-regraft-turn", str(self._event_id).encode()))

    def _keep(self, chunk: bytes) -> None:
        if self._recorder is not None and chunk:
            if self._first_byte_ns is None:
                self._first_byte_ns = _now() - self._started
            self._copy.append(chunk)

    async def _refuse(self, message: str) -> None:
        """The model server gave no answer: say so as the API would."""
        self._status = 502
        self._response_type = JSON.decode()
        body = error_body(message, "upstream_error", "upstream_unavailable")
        self._keep(body)
        self._write(error=message)
        headers = [(b"content-type", JSON), (b"content-length", b"%d" % len(body))]
        self._mark(headers)
        await self._send({"type": "http.response.start", "status": 502, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})

    def _write(self, cut: str = "", error: str = "") -> None:
        if self._written:
            return
        self._written = True
        if cut:
            self._metrics.cuts[cut] += 1
        if self._recorder is None:
            return
        self._recorder.record(
            Exchange(
                event_id=self._event_id,
                scope=self._recorder.scope,
                endpoint=self._endpoint,
                upstream=self._upstream.name,
                upstream_pin=self._upstream.pin,
                started_ns=self._started_ns,
                first_byte_ns=self._first_byte_ns,
                duration_ns=_now() - self._started,
                request_body=self._request_body,
                status=self._status,
                response_type=self._response_type,
                response_encoding=self._response_encoding,
                response_body=self._copy[0] if len(self._copy) == 1 else b"".join(self._copy),
                cut=cut,
                error=error,
                identity=self._identity,
                gateway_version=VERSION,
            )
        )

    def _count(self) -> None:
        own = (_now() - self._started - self._waited_ns) / 1e9
        self._metrics.count_call(self._endpoint, self._upstream.name, self._status, own)

    def look_after_client(self) -> None:
        """From now on, notice when the client hangs up."""
        if not self._over:
            self._watcher = asyncio.get_running_loop().create_task(self._until_gone())

    async def _until_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if not self._over:
            self._gone = True
            self._task.cancel()
