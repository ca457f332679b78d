"""The web process: the API, with headers that keep a page from doing anything but show it."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from regraft.domain.errors import RegraftError
from regraft.infra.postgres.pool import Connection
from regraft.presentation.web.api import ROUTES, failure, on_error
from regraft.presentation.web.reading_pool import Pool

_log = logging.getLogger(__name__)

_CONNECTIONS = 8
_QUERY_SECONDS = 30
_WAIT_SECONDS = 10.0

HEADERS = {
    # What a model wrote is never run: no script but our own files, no frame, no form, nothing from elsewhere.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_LOOPBACK = ("127.0.0.1", "localhost", "::1", "[::1]")


class _Strict:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    reply = failure(error.status_code, str(error.detail))
    reply.headers.update(error.headers or {})
    return reply


async def _on_bug(request: Request, error: Exception) -> Response:
    return failure(500, "This is a bug in Regraft. The log of `regraft web` says more.")


def _read_only(connection: Connection) -> None:
    connection.execute(
        f"SET jit = off; SET default_transaction_read_only = on; SET statement_timeout = '{_QUERY_SECONDS}s'".encode()
    )
    connection.commit()


def make_app(dsn: str, hosts: tuple[str, ...] = ("*",)) -> Starlette:
    """The application. ``hosts``: names that a request may be for; others are refused (DNS rebinding)."""
    pool: Pool = ConnectionPool(
        dsn,
        connection_class=Connection,
        kwargs={"row_factory": dict_row, "application_name": "regraft-web", "connect_timeout": 10},
        min_size=1,
        max_size=_CONNECTIONS,
        timeout=_WAIT_SECONDS,
        configure=_read_only,
        check=ConnectionPool.check_connection,
        open=False,
        name="web",
    )

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        pool.open()
        app.state.pool = pool
        try:
            yield
        finally:
            pool.close()

    return Starlette(
        routes=ROUTES,
        lifespan=lifespan,
        middleware=[Middleware(_Strict), Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))],
        exception_handlers={RegraftError: on_error, HTTPException: _on_http, Exception: _on_bug},
    )


def serve_web(dsn: str, host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM."""
    import uvicorn

    # On loopback only our own names are answered, so that a foreign page cannot read this through its own name.
    hosts = _LOOPBACK if host in _LOOPBACK else ("*",)
    uvicorn.run(make_app(dsn, hosts), host=host, port=port, log_level="warning", access_log=False, server_header=False)
