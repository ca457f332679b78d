"""Who may read the API: everybody on a loopback address, else who shows the token of ``web.token``."""

from __future__ import annotations

import hmac

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

OPEN = frozenset({"/api/health"})  # says nothing but that the process is up


class TokenRequired:
    """Wraps an application: a request without ``Authorization: Bearer TOKEN`` gets 401. An empty token lets all in."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = f"bearer {token}".encode() if token else b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._expected or scope["path"] in OPEN or self._shown(scope):
            await self._app(scope, receive, send)
            return
        message = "This API needs the token of web.token: send it as `Authorization: Bearer TOKEN`."
        failure = {"error": {"code": "unauthorized", "message": message}}
        await JSONResponse(failure, 401, {"WWW-Authenticate": "Bearer"})(scope, receive, send)

    def _shown(self, scope: Scope) -> bool:
        given = Headers(scope=scope).getlist("authorization")
        if len(given) != 1:
            return False
        kind, _, token = given[0].strip().partition(" ")
        shown = f"{kind.lower()} {token.strip()}".encode("utf-8", "surrogateescape")
        return hmac.compare_digest(shown, self._expected)
