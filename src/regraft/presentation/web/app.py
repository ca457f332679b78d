"""The web process: the web UI, and the API under ``/api``. Pages execute only their own scripts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, MutableMapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from regraft.domain.errors import (
    ConfigError,
    ConflictError,
    ForbiddenError,
    IllegalRowError,
    NotFoundError,
    RegraftError,
    UnavailableError,
    UsageError,
    WithdrawnError,
)
from regraft.flows.access import AccessControl
from regraft.flows.administration import AdminSetup
from regraft.flows.background import Background
from regraft.flows.browser_sessions import BrowserSessions
from regraft.flows.datasets.service import DatasetService, DatasetSetup
from regraft.flows.evaluation.embeddings import Embedder
from regraft.flows.evaluation.review_service import ReviewService, ReviewSetup
from regraft.flows.lineage.following import follow
from regraft.flows.reader import open_reader
from regraft.flows.replay.service import ReplayService, ReplaySetup
from regraft.infra.asgi_guard import Guard
from regraft.infra.host_policy import HostPolicy
from regraft.infra.telemetry.process_metrics import ProcessMetrics
from regraft.presentation.web.access import AccessRequired, is_api
from regraft.presentation.web.answer import FailedReply, Failure, JsonReply
from regraft.presentation.web.body_limit import BodyLimit
from regraft.presentation.web.failed_attempts import FailedAttempts
from regraft.presentation.web.metrics import RequestMetrics
from regraft.presentation.web.metrics import router as metrics_page
from regraft.presentation.web.page import BuiltPage
from regraft.presentation.web.routes import ROUTERS
from regraft.presentation.web.stopping import Stopping
from regraft.version import __version__

HEADERS = {
    # Model output is never executed: only our own scripts, no frames, no forms, nothing from other origins.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_CODES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    429: "too_many_requests",
    503: "unavailable",
}
_STATUS = {
    NotFoundError: 404,
    UsageError: 400,
    ConfigError: 400,  # of a text that was sent, or of a setting that the request needs
    UnavailableError: 503,
    ForbiddenError: 403,
    ConflictError: 409,
    IllegalRowError: 409,
    WithdrawnError: 409,
}
_WORKERS = 3  # pieces of background work at once
_ABOUT = (
    "The captured log, the conversation graph, replays, dataset snapshots, and human review, which is all that can be"
    " written here. Every id is also found by its first digits, six at least. A token may be bound to a tenant: then"
    " nothing of another tenant is found or counted."
)
_FAILURES: dict[int | str, dict[str, Any]] = {
    400: {"model": FailedReply, "description": "The request is malformed."},
    401: {"model": FailedReply, "description": "A valid token is needed."},
    404: {"model": FailedReply, "description": "There is no such thing."},
    503: {"model": FailedReply, "description": "PostgreSQL does not answer."},
}


class _Headers:
    """Adds the headers to every response, and answers HEAD as GET (the server leaves the body out)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}
        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)


class _Fallback:
    """What has no route: a file of the page, or an error of the API below ``/api``."""

    def __init__(self, unknown: ASGIApp, page: ASGIApp) -> None:
        self._unknown = unknown
        self._page = page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        below = scope["type"] != "http" or is_api(scope["path"])
        await (self._unknown if below else self._page)(scope, receive, send)


def _failed(status_code: int, message: str) -> JsonReply:
    failure = Failure(code=_CODES.get(status_code, "error"), message=message)
    return JsonReply(FailedReply(error=failure), status_code)


async def _on_known_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RegraftError)
    return _failed(_STATUS.get(type(error), 500), str(error))


async def _on_invalid_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = [f"{each['loc'][-1]}: {each['msg'].lower()}" for each in error.errors()]
    return _failed(400, "; ".join(found) + ".")


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    unknown = f"There is no page {request.url.path}."
    reply = _failed(error.status_code, unknown if error.status_code == 404 else str(error.detail))
    reply.headers.update(error.headers or {})
    return reply


async def _on_bug(request: Request, error: Exception) -> Response:
    return _failed(500, "This is a bug in Regraft. The log of `regraft web` has the details.")


class _Api(FastAPI):
    """Without the status 422 that FastAPI documents: a malformed request is a 400 here."""

    def openapi(self) -> dict[str, Any]:
        document = super().openapi()
        for item in document["paths"].values():
            for route in item.values():
                route["responses"].pop("422", None)
        for name in ("HTTPValidationError", "ValidationError"):
            document["components"]["schemas"].pop(name, None)
        return document


def make_app(
    dsn: str,
    hosts: tuple[str, ...] = ("*",),
    access: AccessControl | None = None,
    workbench: Path | None = None,
    embedder: Callable[[], Embedder] | None = None,
    *,
    following: bool = False,
    reviewing: ReviewSetup | None = None,
    gateway: str = "",
    datasets: DatasetSetup | None = None,
    rules: Collection[str] | None = None,
    replaying: ReplaySetup | None = None,
    admin: AdminSetup | None = None,
) -> FastAPI:
    """The application. ``hosts``: names that it answers to beside loopback ones; others are refused (DNS rebinding).

    ``access``: which tokens may do what; without it every client reads everything, and changes nothing. ``workbench``:
    the file of what was evaluated. ``embedder``: called at the first search for similar paths. ``following``: it also
    places captured turns in the graph, so that what it shows is up to date. ``reviewing``: how people judge.
    ``gateway``: where clients reach the gateway, to tell it to people. ``datasets``: where frozen rows lie; without it,
    or without a workbench, there are none. ``rules``: the versions of the taskify rules that there are: a plan of
    another one is stale. ``replaying``: how nodes are replayed; without it they are not. ``admin``: what
    administrators manage.
    """
    access = access or AccessControl()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.reader = open_reader(dsn, "regraft-web")
        app.state.sessions = BrowserSessions(dsn, access)
        app.state.review = ReviewService(dsn, reviewing or ReviewSetup())
        app.state.background = Background(workers=_WORKERS)
        app.state.datasets = None
        if datasets is not None and workbench is not None:
            app.state.datasets = DatasetService(dsn, workbench, datasets, app.state.background)
        app.state.replays = ReplayService(dsn, replaying) if replaying is not None else None
        follower = asyncio.create_task(follow(dsn)) if following else None
        try:
            yield
        finally:
            if follower is not None:
                follower.cancel()
                with suppress(asyncio.CancelledError):
                    await follower
            app.state.background.close()
            if app.state.datasets is not None:
                app.state.datasets.close()
            if app.state.replays is not None:
                app.state.replays.close()
            app.state.review.close()
            app.state.sessions.close()
            app.state.reader.close()

    metrics = ProcessMetrics("web")
    app = _Api(
        title="Regraft",
        version=__version__,
        description=_ABOUT,
        openapi_url="/api/openapi.json",
        docs_url=None,  # these pages load scripts from elsewhere, which the headers forbid
        redoc_url=None,
        lifespan=lifespan,
        middleware=[
            Middleware(_Headers),
            Middleware(Guard, HostPolicy(hosts), "web.hosts"),
            Middleware(AccessRequired, access),
            Middleware(RequestMetrics, metrics),
            Middleware(BodyLimit),
        ],
        exception_handlers={
            RegraftError: _on_known_error,
            RequestValidationError: _on_invalid_request,
            HTTPException: _on_http_error,
            Exception: _on_bug,
        },
        responses=_FAILURES,
        generate_unique_id_function=lambda route: route.name,
    )
    for router in ROUTERS:
        app.include_router(router, prefix="/api")
    app.include_router(metrics_page)
    app.router.default = _Fallback(app.router.default, BuiltPage())
    app.state.dsn = dsn
    app.state.stopping = Stopping()
    app.state.admin = admin
    app.state.metrics = metrics
    app.state.session_policy = access.sessions
    app.state.failed_sign_ins = FailedAttempts()
    app.state.workbench = workbench
    app.state.rules = rules
    app.state.embedder = embedder
    app.state.gateway = gateway
    return app


_NOT_STARTED = 3  # as uvicorn's own command says it


def serve_web(
    dsn: str,
    host: str,
    port: int,
    hosts: tuple[str, ...] = (),
    access: AccessControl | None = None,
    workbench: Path | None = None,
    embedder: Callable[[], Embedder] | None = None,
    reviewing: ReviewSetup | None = None,
    gateway: str = "",
    datasets: DatasetSetup | None = None,
    rules: Collection[str] | None = None,
    replaying: ReplaySetup | None = None,
    admin: AdminSetup | None = None,
    metrics_at: tuple[str, int] | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM: what is being answered then is finished. ``metrics_at``: address and port of a
    ``/metrics`` that asks for no token."""
    from regraft.infra.telemetry.page_server import MetricsServer
    from regraft.presentation.web.serving import WebServer

    app = make_app(
        dsn,
        # Only names that are known are answered, so that a foreign page cannot read this through its own name.
        (*hosts, host),
        access,
        workbench,
        embedder,
        following=True,
        reviewing=reviewing,
        gateway=gateway,
        datasets=datasets,
        rules=rules,
        replaying=replaying,
        admin=admin,
    )
    server = WebServer(app, host, port)
    if metrics_at is not None:
        MetricsServer(*metrics_at, app.state.metrics.render, "web.metrics_port")
    with suppress(KeyboardInterrupt):  # it passes the signal on once it has ended
        server.run()
    if not server.started:
        raise SystemExit(_NOT_STARTED)  # it has said why
