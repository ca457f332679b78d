"""Access to the API: every client while there are no tokens (on loopback only), else clients with a token."""

from __future__ import annotations

import logging

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from regraft.domain.errors import RegraftError
from regraft.flows.access import ReadAccess

OPEN = frozenset({"/api/health"})  # says nothing but that the process is up

_OWN_PAGE = "/metrics"


def is_api(path: str) -> bool:
    """Whether an address is of the API or of the metrics; all others are files of the page, which hold no data."""
    return path == "/api" or path.startswith("/api/") or path == _OWN_PAGE


log = logging.getLogger(__name__)


class TokenRequired:
    """Wraps an application: a request without a valid ``Authorization: Bearer TOKEN`` gets 401 where one is needed.

    What the token may read is in the request's state as ``grant``. No route but the open ones works without it.
    """

    def __init__(self, app: ASGIApp, access: ReadAccess) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in OPEN or not is_api(scope["path"]):
            await self._app(scope, receive, send)
            return
        try:
            grant = self._access.grant(_shown(scope))
        except RegraftError as error:
            log.error("every token is refused: %s", error)
            await _refusal(503, "unavailable", "Tokens cannot be checked at the moment.")(scope, receive, send)
            return
        if grant is None:
            message = "This API needs a token, see `regraft web-token`: send it as `Authorization: Bearer TOKEN`."
            await _refusal(401, "unauthorized", message)(scope, receive, send)
            return
        await self._app({**scope, "state": {**scope.get("state", {}), "grant": grant}}, receive, send)


def _refusal(status: int, code: str, message: str) -> JSONResponse:
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return JSONResponse({"error": {"code": code, "message": message}}, status, headers)


def _shown(scope: Scope) -> str | None:
    """The token that a request shows; None: none, or several."""
    given = Headers(scope=scope).getlist("authorization")
    if len(given) != 1:
        return None
    kind, _, token = given[0].strip().partition(" ")
    return token.strip() if kind.lower() == "bearer" else None
