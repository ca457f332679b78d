"""``model: "orchestrator/NAME"``: one client call that becomes many calls to this gateway and is answered as one.

The inner calls go through the gateway's public endpoint, with headers that name the call they belong to, so they are
routed, limited and captured like any other call. The client's own call is captured here, once, when it ends.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

from regraft.domain.capture.exchange import Identity
from regraft.domain.capture.trace_context import TraceContext, context_of_call
from regraft.domain.errors import RegraftError, UsageError
from regraft.domain.ids import canonical_json, parse_json
from regraft.domain.lineage.turn import INTERNAL_SESSION
from regraft.domain.orchestration.orchestration import ANSWER, BACKEND, ORCHESTRATOR, PREFIX, Orchestrator
from regraft.domain.orchestration.taskification import Assignment, plan_header
from regraft.flows.orchestration.model_caller import Completion, ModelCaller
from regraft.flows.orchestration.orchestrate import Orchestration
from regraft.infra.http.connection import Handling, HttpConnection
from regraft.infra.http.headers import Headers
from regraft.infra.http.replies import error_body, json_answer, json_block
from regraft.infra.http.requests import HttpRequest
from regraft.infra.llm.client import GatewayClient
from regraft.infra.nats.codec import IDENTITY_FIELDS, CallEvent, identity_fields
from regraft.presentation.gateway.call import STOPPED
from regraft.presentation.gateway.client import Client
from regraft.presentation.gateway.event_ids import EventIds, uuid_text
from regraft.presentation.gateway.metrics import Metrics
from regraft.presentation.gateway.recorder import LARGE, LargeRecord, Recorder
from regraft.presentation.gateway.settings import GatewaySettings

CHAT = "/v1/chat/completions"
MOST_AT_ONCE = 256  # orchestrated calls under way in one process
SILENCE = 3600.0  # seconds; each step has its own shorter limit
_STREAM = b"content-type: text/event-stream\r\ncache-control: no-cache\r\n"
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 where a server listens, we need not

log = logging.getLogger(__name__)


class Orchestrators:
    """The orchestrators of a gateway. Call ``aclose`` when no call is in flight."""

    def __init__(self, settings: GatewaySettings, metrics: Metrics) -> None:
        self._all = settings.orchestrators
        self._settings = settings
        self._metrics = metrics
        self._client: GatewayClient | None = None
        self._ids = EventIds()
        self._running: set[OrchestratedCall] = set()
        self.trace_ratio = settings.trace_ratio

    def models(self) -> list[dict[str, Any]]:
        """For the list of models."""
        return [{"id": f"{PREFIX}{name}", "object": "model", "owned_by": "regraft"} for name in self._all]

    def begin(
        self,
        endpoint: str,
        request: HttpRequest,
        connection: HttpConnection,
        model: str,
        recorder: Recorder | None,
        client: Client,
    ) -> Handling | None:
        """Begin to answer a call to an orchestrator; None when it was refused."""
        one = self._all.get(model.removeprefix(PREFIX))
        if one is None:
            known = ", ".join(PREFIX + name for name in self._all)
            self._refuse(connection, 404, f"There is no {model}; there is {known}", "model_not_found")
            return None
        if endpoint != CHAT:
            self._refuse(connection, 400, f"An orchestrator answers {CHAT} only", "unsupported_endpoint")
            return None
        if len(self._running) >= MOST_AT_ONCE:
            self._metrics.refusals["concurrency"] += 1
            message = "Too many orchestrated calls are under way; try again in a moment"
            self._refuse(connection, 429, message, "too_many_concurrent_calls")
            return None
        if self._client is None:
            host = self._settings.host
            shown = _EVERYWHERE.get(host, f"[{host}]" if ":" in host else host)
            self._client = GatewayClient(f"http://{shown}:{self._settings.port}", read_timeout=SILENCE)
        ids = recorder.ids if recorder is not None else self._ids
        try:
            call = OrchestratedCall(self, one, self._client, ids, request, connection, recorder, client)
        except UsageError as error:
            self._refuse(connection, 400, str(error), "unsupported_request")
            return None
        self._running.add(call)
        return call

    def cut(self) -> None:
        """A client left before its answer."""
        self._metrics.cuts["client"] += 1

    def over(self, call: OrchestratedCall, status: int) -> None:
        """A call has ended; ``status`` 0 when none reached the client."""
        self._running.discard(call)
        self._metrics.count_call(CHAT, BACKEND, status)

    def tool_servers(self, one: Orchestrator) -> dict[str, Any]:
        """What an orchestrator's workers may use."""
        return {name: self._settings.tool_servers[name] for name in one.tools}

    async def aclose(self) -> None:
        """Close the connections, after calls in flight are recorded."""
        running = list(self._running)
        for call in running:
            call.stop()
        await asyncio.gather(*(call.ended() for call in running))
        if self._client is not None:
            await self._client.aclose()

    def _refuse(self, connection: HttpConnection, status: int, message: str, code: str) -> None:
        kind = "rate_limit_error" if status == 429 else "invalid_request_error"
        self._metrics.count_call(CHAT, BACKEND, status)
        connection.reply(*json_answer(status, error_body(message, kind, code)))


class OrchestratedCall:
    """One client call. It also receives the progress of the orchestration when the answer is streamed."""

    def __init__(
        self,
        orchestrators: Orchestrators,
        one: Orchestrator,
        client: GatewayClient,
        ids: EventIds,
        request: HttpRequest,
        connection: HttpConnection,
        recorder: Recorder | None,
        who: Client,
    ) -> None:
        """Raises UsageError for a request that no orchestrator can answer."""
        self._all = orchestrators
        self._connection = connection
        self._recorder = recorder
        self._request = request
        self._scope = who.scope
        self._pin = one.pin
        self._started_ns = time.time_ns()
        self._began = time.perf_counter_ns()
        self._event_id = ids.new(self._started_ns)
        self._model = PREFIX + one.name
        self._copy: list[bytes] = []
        self._first_byte_ns: int | None = None
        self._status = 0
        self._large: LargeRecord | None = None
        self._stopped = ""
        self._open = asyncio.Event()
        self._open.set()
        asked = _read(bytes(request.body))
        self._streams = asked.get("stream") is True
        options = asked.get("stream_options")
        self._tells_usage = isinstance(options, dict) and options.get("include_usage") is True
        turn = UUID(bytes=self._event_id)
        assignment = Assignment(
            subject=f"turn:{turn}",
            rule_version=one.rule.version,
            workers=tuple(one.workers),
            max_subtasks=one.max_subtasks,
        )
        said = _identity(request)
        purpose = ORCHESTRATOR if said.purpose == Identity().purpose else said.purpose
        self._identity = replace(said, purpose=purpose, plan=plan_header(assignment.taskification_id, ANSWER))
        model_caller = ModelCaller(
            client,
            assignment.taskification_id,
            self._passed_on(said, turn),
            _credentials(request),
            one.retries,
            self._trace(orchestrators.trace_ratio),
        )
        self._orchestration = Orchestration(
            one,
            model_caller,
            assignment,
            asked,
            orchestrators.tool_servers(one),
            self if self._streams else None,
            self._began / 1e9,
        )
        self._task = asyncio.get_running_loop().create_task(self._run())

    def _trace(self, ratio: float | None) -> TraceContext | None:
        """The span of this call, where it is traced."""
        if ratio is None or self._recorder is None:
            return None
        return context_of_call(self._event_id, b"", self._request.head.traceparent, ratio)

    def _passed_on(self, said: Identity, turn: UUID) -> dict[str, str]:
        """The headers of all inner calls, which put them into the session of this call."""
        passed = {"session": said.session or f"{INTERNAL_SESSION}{turn}"}
        if said.theme:
            passed["theme"] = said.theme
        if self._recorder is None:
            passed = {"capture": "off"}
        return passed

    # The client's side

    def client_gone(self) -> None:
        self._task.cancel()

    def stop(self) -> None:
        self._stopped = STOPPED
        self._task.cancel()

    async def ended(self) -> None:
        """Wait until it is recorded."""
        await asyncio.wait({self._task})

    def client_slow(self) -> None:
        self._open.clear()

    def client_ready(self) -> None:
        self._open.set()

    # The answer's side

    async def noted(self, words: str) -> None:
        """A comment in the stream: it keeps the connection warm, and clients skip it."""
        self._write(b": %b\n\n" % words.replace("\n", " ").encode())
        await self._open.wait()

    async def said(self, delta: dict[str, Any]) -> None:
        """A piece of the answer."""
        self._write(self._chunk({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}))
        await self._open.wait()

    async def _run(self) -> None:
        try:
            answer = await self._orchestration.run()
        except asyncio.CancelledError:
            self._all.cut()
            self._record(cut="client", error=self._stopped)
            raise
        except RegraftError as error:
            self._fail(str(error))
        except Exception:
            log.exception("an orchestrated call failed")
            self._fail("The orchestrator failed")
        else:
            self._finish(answer)
        finally:
            self._all.over(self, self._status)

    def _finish(self, answer: Completion) -> None:
        told = {"usage": self._orchestration.usage(), "regraft": self._orchestration.describe()}
        if not self._streams:
            choice = {"index": 0, "message": answer.message, "finish_reason": answer.finish_reason or "stop"}
            self._reply(200, self._document({"object": "chat.completion", "choices": [choice], **told}))
            return
        end = {"index": 0, "delta": {}, "finish_reason": answer.finish_reason or "stop"}
        last = self._chunk({"choices": [end], "regraft": told["regraft"]})
        if self._tells_usage:
            last += self._chunk({"choices": [], "usage": told["usage"]})
        self._end(last + b"data: [DONE]\n\n")

    def _fail(self, message: str) -> None:
        error = {"message": message, "type": "upstream_error", "param": None, "code": "orchestration_failed"}
        body = canonical_json({"error": error, "regraft": self._orchestration.describe()}).encode()
        if self._status == 0:
            self._reply(502, body, message)
        else:
            self._end(b"data: %b\n\n" % body, message)

    def _reply(self, status: int, body: bytes, error: str = "") -> None:
        self._status = status
        self._keep(body)
        self._record(error=error)
        self._when_written(self._connection.reply, status, json_block(body) + self._turn_line(), body)

    def _write(self, data: bytes) -> None:
        if self._status == 0:
            role = {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}
            data = self._chunk({"choices": [role]}) + data
            self._status = 200
            self._keep(data)
            self._connection.start(200, b"OK", _STREAM + self._turn_line(), False, data, False)
        else:
            self._keep(data)
            self._connection.write(data)

    def _end(self, data: bytes, error: str = "") -> None:
        if self._status == 0:
            self._write(b"")
        self._keep(data)
        self._record(error=error)
        self._when_written(self._connection.end, data)

    def _keep(self, data: bytes) -> None:
        if self._first_byte_ns is None:
            self._first_byte_ns = time.perf_counter_ns() - self._began
        self._copy.append(data)

    def _chunk(self, said: dict[str, Any]) -> bytes:
        return b"data: %b\n\n" % self._document({"object": "chat.completion.chunk", **said})

    def _document(self, said: dict[str, Any]) -> bytes:
        head = {"id": f"chatcmpl-{self._event_id.hex()}", "created": self._started_ns // 10**9, "model": self._model}
        return canonical_json({**head, **said}).encode()

    def _turn_line(self) -> bytes:
        return b"x-regraft-turn: %b\r\n" % uuid_text(self._event_id).encode() if self._recorder is not None else b""

    def _record(self, cut: str = "", error: str = "") -> None:
        """Write the call; what its client may have only then goes by ``_when_written``."""
        if self._recorder is None:
            return
        event = CallEvent(
            event_id=self._event_id,
            scope=self._scope,
            endpoint=CHAT,
            upstream=BACKEND,
            upstream_pin=self._pin,
            started_ns=self._started_ns,
            first_byte_ns=self._first_byte_ns,
            duration_ns=time.perf_counter_ns() - self._began,
            request_body=self._request.body,
            status=self._status,
            response_type="text/event-stream" if self._streams and self._status == 200 else "application/json",
            response_encoding="",
            response_body=b"".join(self._copy),
            cut=cut,
            error=error,
            identity=identity_fields(self._identity),
            traceparent=self._request.head.traceparent,
        )
        if len(event.request_body) + len(event.response_body) < LARGE:
            self._recorder.record(event)
        else:
            self._large = self._recorder.keep_large(event, None, None)

    def _when_written(self, act: Callable[..., None], *arguments: Any) -> None:
        """Do this when the call is written: at once unless another thread writes it."""
        if self._large is None:
            act(*arguments)
        else:
            self._large.then(act, *arguments)


def _read(body: bytes) -> dict[str, Any]:
    try:
        asked = parse_json(body)
    except ValueError as error:
        raise UsageError(f"The request is not JSON: {error}") from error
    if not isinstance(asked, dict):
        raise UsageError("The request is not a JSON object")
    return asked


def _identity(request: HttpRequest) -> Identity:
    values = request.head.identity
    return Identity(**dict(zip(IDENTITY_FIELDS, values, strict=True))) if values else Identity()  # type: ignore[arg-type]


def _credentials(request: HttpRequest) -> Headers:
    """The credentials of the client for its inner calls, and its trace context."""
    head = request.head
    pairs = [line.partition(b": ")[::2] for line in head.credentials.split(b"\r\n") if line]
    return [*pairs, *([(b"traceparent", head.traceparent.encode("latin-1"))] if head.traceparent else [])]
