"""``/metrics`` of the web process."""

from __future__ import annotations

import time
from collections.abc import MutableMapping
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from regraft.domain.errors import NotFoundError
from regraft.infra.telemetry.metrics import WEB_IN_FLIGHT, WEB_REQUESTS, WEB_SECONDS
from regraft.infra.telemetry.process_metrics import ProcessMetrics

router = APIRouter()


class RequestMetrics:
    """Counts the requests of an application by the route that answered them, never by the requested path."""

    def __init__(self, app: ASGIApp, metrics: ProcessMetrics) -> None:
        self._app = app
        self._metrics = metrics
        metrics.show(WEB_IN_FLIGHT, 0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500
        self._metrics.add(WEB_IN_FLIGHT, 1)
        began = time.perf_counter()

        async def send_counted(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_counted)
        finally:
            self._metrics.add(WEB_IN_FLIGHT, -1)
            route = getattr(scope.get("route"), "path", "none")
            self._metrics.count(WEB_REQUESTS, route, str(status))
            self._metrics.observe(WEB_SECONDS, time.perf_counter() - began)


@router.get("/metrics", include_in_schema=False)
async def show_metrics(request: Request) -> Response:
    """The Prometheus page. A tenant's token does not show it: it counts the requests of all."""
    if request.state.grant.scope is not None:
        raise NotFoundError("There is no page /metrics.")
    metrics: ProcessMetrics = request.app.state.metrics
    page = metrics.render(request.headers.get("accept", ""))
    return Response(page.body, headers={"content-type": page.content_type})
