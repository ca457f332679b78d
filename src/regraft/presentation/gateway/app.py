"""The gateway: a transparent proxy for the OpenAI API that captures every chat completion.

A raw ASGI application: on the path of a call there is no framework, only this dispatch and the Tee.
"""

from __future__ import annotations

import errno
import gc
import logging
import socket
from collections.abc import Awaitable, Callable

import orjson
import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST

from regraft.domain.errors import ConfigError, PortInUseError, UpstreamError
from regraft.infra.spool import Spool
from regraft.presentation.gateway.capture import Recorder
from regraft.presentation.gateway.corking import CorkedHttpProtocol
from regraft.presentation.gateway.drain import Drainer
from regraft.presentation.gateway.metrics import Metrics
from regraft.presentation.gateway.models import merged_models
from regraft.presentation.gateway.replies import (
    BodyTooLargeError,
    ClientGoneError,
    Receive,
    Scope,
    Send,
    error_body,
    read_body,
    reply,
)
from regraft.presentation.gateway.routing import Router
from regraft.presentation.gateway.settings import GatewaySettings
from regraft.presentation.gateway.tee import Tee, Watch

CHAT = "/v1/chat/completions"
MODELS = "/v1/models"
OTHER = "other"
GRACE_SECONDS = 30

App = Callable[[Scope, Receive, Send], Awaitable[None]]

log = logging.getLogger(__name__)


class Gateway:
    """The ASGI application. Between lifespan startup and shutdown it owns the spool, the pools and the drainer."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        self._router = Router(settings.upstreams)
        self.metrics = Metrics()
        self._watch = Watch()
        self._spool: Spool | None = None
        self._drainer: Drainer | None = None
        self._recorder: Recorder | None = None
        self._own = {"/healthz": self._health, "/readyz": self._ready, "/metrics": self._show_metrics}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path, method = scope["path"], scope["method"]
            if path == CHAT and method == "POST":
                await self._forward(CHAT, scope, receive, send, self._recorder)
            elif path == MODELS and method == "GET":
                await self._models(scope, receive, send)
            elif path.startswith("/v1/"):
                await self._forward(OTHER, scope, receive, send, None)
            elif method in ("GET", "HEAD") and path in self._own:
                await self._own[path](send)
            else:
                message = f"There is no {method} {path} here; the API is under /v1/"
                await reply(send, 404, error_body(message, "invalid_request_error", "unknown_url"))
        elif scope["type"] == "lifespan":
            await self._live(receive, send)

    async def startup(self) -> None:
        """Open the spool and start moving. NATS need not be there."""
        settings = self._settings
        self._spool = Spool(settings.spool, settings.spool_segment_bytes, settings.spool_limit_bytes)
        self.metrics.spool_bytes = lambda: self._spool.waiting_bytes if self._spool else 0
        self._drainer = Drainer(self._spool, settings.nats_url, self.metrics)
        self._recorder = Recorder(self._spool, self.metrics, settings.scope, self._drainer.wake)
        self._drainer.start()

    async def shutdown(self) -> None:
        """Move what can be moved, and let everything go."""
        if self._drainer is not None:
            await self._drainer.stop()
        if self._spool is not None:
            self._spool.close()
        await self._router.aclose()

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self.startup()
        except Exception as error:
            log.exception("the gateway cannot start")
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.shutdown()
        await send({"type": "lifespan.shutdown.complete"})

    async def _forward(
        self, endpoint: str, scope: Scope, receive: Receive, send: Send, recorder: Recorder | None
    ) -> None:
        try:
            body = await read_body(receive, self._settings.max_body_bytes)
        except ClientGoneError:
            return
        except BodyTooLargeError:
            message = f"The request body is larger than {self._settings.max_body_bytes} bytes"
            await reply(
                send,
                413,
                error_body(message, "invalid_request_error", "request_too_large"),
                extra=[(b"connection", b"close")],
            )
            return
        upstream = self._router.of_body(body)
        await Tee(endpoint, upstream, self.metrics, recorder, self._watch).run(scope, receive, send, body)

    async def _models(self, scope: Scope, receive: Receive, send: Send) -> None:
        if len(self._router.upstreams) == 1:
            await self._forward(MODELS, scope, receive, send, None)
            return
        status = 200
        try:
            body = await merged_models(self._router, scope)
        except UpstreamError as error:
            status = 502
            body = error_body(str(error), "upstream_error", "upstream_unavailable")
        self.metrics.count_call(MODELS, "all", status, 0.0)
        await reply(send, status, body)

    async def _health(self, send: Send) -> None:
        await reply(send, 200, b'{"status":"ok"}')

    async def _ready(self, send: Send) -> None:
        spool, drainer, recorder = self._spool, self._drainer, self._recorder
        capturing = spool is not None and recorder is not None and not recorder.failing
        state = {
            "ready": capturing,
            "stream": "connected" if drainer is not None and drainer.connected else "away",
            "spool_bytes": spool.waiting_bytes if spool is not None else 0,
        }
        await reply(send, 200 if capturing else 503, orjson.dumps(state))

    async def _show_metrics(self, send: Send) -> None:
        await reply(send, 200, self.metrics.render(), CONTENT_TYPE_LATEST.encode())


def build_app(settings: GatewaySettings) -> App:
    """The ASGI application; it needs its lifespan to be run. Raises ConfigError."""
    return Gateway(settings)


def server_of(settings: GatewaySettings) -> uvicorn.Server:
    """The server, not yet running. Raises ConfigError."""
    return uvicorn.Server(
        uvicorn.Config(
            build_app(settings),
            host=settings.host,
            port=settings.port,
            loop="uvloop",
            http=CorkedHttpProtocol,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
    )


def serve(settings: GatewaySettings) -> None:
    """Serve until SIGINT or SIGTERM: calls in flight are finished first. Raises PortInUseError and ConfigError."""
    server, listener = server_of(settings), _listener(settings.host, settings.port)
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)  # calls leave few cycles; the default would look for them all the time
    try:
        server.run(sockets=[listener])
    finally:
        listener.close()


def _listener(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise PortInUseError(
                f"Port {port} on {host} is in use: stop what listens there, or choose another"
            ) from error
        raise ConfigError(f"The gateway cannot listen on {host}:{port}: {error.strerror}") from error
    return listener
