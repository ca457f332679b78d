"""The gateway: a transparent proxy for the OpenAI and Anthropic APIs that captures every call to a model.

On the path of a call there is no framework, only this dispatch and the Call.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

import orjson

from regraft.domain.capture.paths import CALLS, MODELS, OTHER, Route, hint_for, route_of
from regraft.domain.errors import CorruptEventError, UpstreamError
from regraft.domain.orchestration.orchestration import PREFIX
from regraft.infra.files.keys import KeyStore
from regraft.infra.host_policy import HostPolicy
from regraft.infra.http.body_memory import BodyMemory
from regraft.infra.http.coding import decode
from regraft.infra.http.connection import Handling, HttpConnection
from regraft.infra.http.replies import Answer, error_body, json_answer, json_block
from regraft.infra.http.requests import HttpRequest
from regraft.infra.http.server import HttpServer
from regraft.infra.spool.writer import Spool
from regraft.presentation.gateway.access import Access, AccessRefusedError
from regraft.presentation.gateway.admission import Admission, check_method, options_answer, unknown_path
from regraft.presentation.gateway.call import ForwardedCall
from regraft.presentation.gateway.client import ANY_CLIENT, Client
from regraft.presentation.gateway.drain_process import DrainProcess
from regraft.presentation.gateway.feedback import FEEDBACK, FeedbackDesk
from regraft.presentation.gateway.gauges import GatewayState
from regraft.presentation.gateway.metrics import Metrics
from regraft.presentation.gateway.models import merged_models
from regraft.presentation.gateway.rates import SharedRates
from regraft.presentation.gateway.recorder import Recorder
from regraft.presentation.gateway.redaction import Redactor
from regraft.presentation.gateway.routing import Router
from regraft.presentation.gateway.settings import GatewaySettings
from regraft.presentation.gateway.shared_slots import SharedSlots
from regraft.presentation.gateway.worker_numbers import WorkerNumbers, rates_file, slots_file

if TYPE_CHECKING:
    from regraft.presentation.gateway.orchestrator import Orchestrators

CAPTURED = {path.encode(): path for path in CALLS}

log = logging.getLogger(__name__)


class _PendingAnswer:
    """An answer that a task computes."""

    def __init__(self, connection: HttpConnection, making: Coroutine[Any, Any, Answer]) -> None:
        self._connection = connection
        self._task = asyncio.get_running_loop().create_task(making)
        self._task.add_done_callback(self._made)

    def _made(self, task: asyncio.Task[Answer]) -> None:
        if task.cancelled():
            return
        if (error := task.exception()) is not None:
            log.error("an answer could not be made", exc_info=error)
            body = error_body("The gateway failed", "server_error", "internal_error")
            self._connection.reply(500, json_block(body), body)
        else:
            self._connection.reply(*task.result())

    def client_gone(self) -> None:
        self._task.cancel()

    def stop(self) -> None:
        self._task.cancel()

    def client_slow(self) -> None:
        pass

    def client_ready(self) -> None:
        pass


class Gateway:
    """Handles requests. Between ``startup`` and ``shutdown`` it owns the spool, the pools and the drainer.

    ``worker`` is its number among several processes. ``draining``: it is about to stop, and says so to `/readyz`.
    """

    def __init__(self, settings: GatewaySettings, worker: int | None = None) -> None:
        self.draining = False
        self._settings = settings
        self._router = Router(settings.upstreams, settings.trace_ratio)
        self.metrics = Metrics()
        self.metrics.know_upstreams(settings.upstreams)
        self._workers = WorkerNumbers(settings, worker, self.metrics) if worker is not None else None
        self._spool: Spool | None = None
        self._drainer: DrainProcess | None = None
        self._recorder: Recorder | None = None
        self._feedback_desk: FeedbackDesk | None = None
        self._rates: SharedRates | None = None
        self._slots: SharedSlots | None = None
        self._access: Access | None = None
        if settings.keys is not None:
            if worker is not None:
                self._rates = SharedRates(rates_file(settings))
                self._slots = SharedSlots(slots_file(settings), worker, settings.workers)
            self._access = Access(KeyStore(settings.keys), self._rates, self._slots)
        self._admission = Admission(HostPolicy(settings.hosts, settings.origins, settings.host))
        self._orchestrators: Orchestrators | None = None
        if settings.orchestrators:
            from regraft.presentation.gateway.orchestrator import Orchestrators

            self._orchestrators = Orchestrators(settings, self.metrics)
            self._router.looks_at_models = True
        self._own: dict[bytes, Callable[[], Answer]] = {
            b"/healthz": lambda: json_answer(200, b'{"status":"ok"}'),
            b"/readyz": self._ready,
        }

    def handle(self, request: HttpRequest, connection: HttpConnection) -> Handling | None:
        """Begin to answer one request."""
        try:
            if not request.head.admitted:
                self._admission.judge(request)
            if request.method == b"POST":
                endpoint = CAPTURED.get(request.path)
                if endpoint is not None:
                    return self._call(endpoint, request, connection)
            return self._find(request, connection)
        except AccessRefusedError as refused:
            self.metrics.refusals[refused.reason] += 1
            connection.reply(*refused.answer)
            return None

    def _find(self, request: HttpRequest, connection: HttpConnection) -> Handling | None:
        """Answer what is not a call in its usual spelling."""
        method, path = request.method, request.path
        check_method(method)
        if method == b"OPTIONS":
            connection.reply(*options_answer(request))
            return None
        if method in (b"GET", b"HEAD") and path in self._own:
            connection.reply(*self._own[path]())
            return None
        if method in (b"GET", b"HEAD") and path == b"/metrics":
            connection.reply(*self._show_metrics(request.head.accept))
            return None
        route = route_of(path)
        if route is None:
            self.metrics.refusals["unknown_url"] += 1
            connection.reply(*unknown_path(request, hint_for(path)))
            return None
        request.path = route.path
        if route.captured and method == b"POST":
            return self._call(route.endpoint, request, connection, route.deployment)
        return self._other(route, request, connection)

    async def startup(self, server: HttpServer | None = None, memory: BodyMemory | None = None) -> None:
        """Open the spool and start moving. NATS need not be there. Of ``server`` and ``memory`` metrics are shown."""
        settings = self._settings
        self._spool = Spool(settings.spool, settings.spool_segment_bytes, settings.spool_limit_bytes)
        self.metrics.gauges = GatewayState(
            router=self._router, access=self._access, spool=self._spool, server=server, memory=memory
        ).gauges
        self._drainer = DrainProcess(self._spool, settings.nats_url, self.metrics, settings.nats_replicas)
        rules = settings.redact
        redactor = Redactor(rules) if rules and (rules.identities or rules.fields or rules.texts) else None
        self._recorder = Recorder(self._spool, self.metrics, settings.scope, self._drainer.wake, redactor)
        self._feedback_desk = FeedbackDesk(self._recorder, settings.nats_url)
        self._drainer.start()
        if self._workers is not None:
            self._workers.begin()

    async def shutdown(self) -> None:
        """Drain the spool as far as possible, and close everything."""
        if self._orchestrators is not None:
            await self._orchestrators.aclose()
        if self._workers is not None:
            self._workers.end()
        if self._rates is not None:
            self._rates.close()
        if self._slots is not None:
            self._slots.close()
        if self._feedback_desk is not None:
            await self._feedback_desk.aclose()
        if self._recorder is not None:
            await self._recorder.settle()
        if self._drainer is not None:
            await self._drainer.stop()
        if self._spool is not None:
            self._spool.close()
        await self._router.aclose()

    def _call(
        self, endpoint: str, request: HttpRequest, connection: HttpConnection, deployment: str = ""
    ) -> Handling | None:
        router, recorder, access = self._router, self._recorder, self._access
        head, body, client = request.head, request.body, ANY_CLIENT
        if head.encoding:
            body = _readable(request)
        model: str | None = None
        path_model = ""
        upstream = router.first
        says_store = b'"store"' in body
        if router.looks_at_models or says_store or access is not None or deployment:
            asked = router.read(body)
            model = asked.model
            if deployment and not model:
                model = path_model = deployment
            upstream = router.of_model(model)
            if says_store and asked.store is False:
                recorder = None
            if access is not None:
                client = access.may_ask(head.token, model)
        if head.capture_off:
            recorder = None
        if recorder is None:
            self.metrics.opted_out += 1
        if self._orchestrators is not None and model and model.startswith(PREFIX):
            return self._orchestrators.begin(endpoint, request, connection, model, recorder, client)
        call = ForwardedCall(endpoint, request, connection, upstream.attempts, model, self.metrics, recorder, client)
        if path_model:
            call.path_model = path_model
        call.begin()
        return call

    def _other(self, route: Route, request: HttpRequest, connection: HttpConnection) -> Handling | None:
        """Anything else: the list of models, feedback, and what passes through uncaptured."""
        router, access, client = self._router, self._access, ANY_CLIENT
        model: str | None = None
        if request.body and (router.looks_at_models or access is not None):
            model = router.read(_readable(request)).model
        model = model or route.deployment or None
        if access is not None:
            client = access.may_reach(request.head.token, route, model)
        if route.standard == FEEDBACK.encode():
            return self._feedback(request, connection, client)
        if router.looks_at_models and route.standard == MODELS.encode() and request.method == b"GET":
            return _PendingAnswer(connection, self._merged(request, client))
        only = (router.of_model(model),)
        endpoint = OTHER if route.captured else route.endpoint  # not a POST: it asks for no answer
        call = ForwardedCall(endpoint, request, connection, only, model, self.metrics, None, client)
        call.begin()
        return call

    def _feedback(self, request: HttpRequest, connection: HttpConnection, client: Client) -> Handling | None:
        if request.method == b"POST" and self._feedback_desk is not None:
            request.body = _readable(request)
            return _PendingAnswer(connection, self._counted(self._feedback_desk.take(request, client.scope)))
        body = error_body("Feedback is sent by POST", "invalid_request_error", "method_not_allowed")
        self.metrics.count_call(FEEDBACK, "", 405)
        connection.reply(*json_answer(405, body))
        return None

    async def _counted(self, making: Coroutine[Any, Any, Answer]) -> Answer:
        answer = await making
        self.metrics.count_call(FEEDBACK, "", answer[0])
        return answer

    async def _merged(self, request: HttpRequest, client: Client) -> Answer:
        status = 200
        try:
            own = self._orchestrators.models() if self._orchestrators is not None else []
            body = await merged_models(self._router, request.head, client.trusted, own)
        except UpstreamError as error:
            status = 502
            body = error_body(str(error), "upstream_error", "upstream_unavailable")
        self.metrics.count_call(MODELS, "all", status)
        return json_answer(status, body)

    def _ready(self) -> Answer:
        spool, drainer, recorder = self._spool, self._drainer, self._recorder
        capturing = spool is not None and recorder is not None and not (recorder.failing or spool.sync_error)
        ready = capturing and not self.draining
        state = {
            "ready": ready,
            "stream": "connected" if drainer is not None and drainer.connected else "away",
            "spool_bytes": spool.waiting_bytes if spool is not None else 0,
            **({"draining": True} if self.draining else {}),
            **({"spool_error": spool.sync_error} if spool is not None and spool.sync_error else {}),
        }
        return json_answer(200 if ready else 503, orjson.dumps(state))

    def _show_metrics(self, accept: str) -> Answer:
        page = self.metrics.render(self._workers.others() if self._workers is not None else (), accept)
        return 200, json_block(page.body, page.content_type.encode()), page.body


def _readable(request: HttpRequest) -> bytes:
    """The body without its content codings; empty where they cannot be undone within limits."""
    encoding = request.head.encoding
    try:
        return decode(request.body, encoding, "request") if encoding else request.body
    except CorruptEventError:
        return b""
