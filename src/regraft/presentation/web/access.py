"""Access to the API: by a token, by the cookie of a signed-in browser, or, to read on loopback, without either."""

from __future__ import annotations

import hmac
import logging

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from regraft.domain.errors import RegraftError
from regraft.flows.access import SIGN_IN, AccessControl, Grant
from regraft.flows.browser_sessions import BrowserSessions, csrf_value
from regraft.presentation.web.session_cookie import SessionCookie

SIGN_IN_PATH = "/api/sign-in"
OPEN = frozenset({"/api/health"})  # only shows that the process is up
CSRF_HEADER = "X-Regraft-Csrf"

_OWN_PAGE = "/metrics"
_READING = frozenset({"GET", "HEAD", "OPTIONS"})

log = logging.getLogger(__name__)


def is_api(path: str) -> bool:
    """Whether an address is of the API or of the metrics; all others are files of the page, which hold no data."""
    return path == "/api" or path.startswith("/api/") or path == _OWN_PAGE


class AccessRequired:
    """Wraps an application: the rights of a request are in its state as ``grant``; a request without rights gets 401.
    Only the open routes and the sign-in work without it.

    A browser's cookie alone changes nothing: the page must show the header ``X-Regraft-Csrf`` too, which no page of
    another origin can. So must a sign-in, with any value, so that no other site can sign a browser in.
    """

    def __init__(self, app: ASGIApp, access: AccessControl) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in OPEN or not is_api(scope["path"]):
            await self._app(scope, receive, send)
            return
        changes = scope["method"] not in _READING
        shown = Headers(scope=scope).get(CSRF_HEADER, "")
        if scope["path"] == SIGN_IN_PATH:
            if changes and not shown:
                await _refusal(403, "forbidden", f"A sign-in needs the header {CSRF_HEADER}.")(scope, receive, send)
            else:
                await self._app(scope, receive, send)
            return
        try:
            grant, cookie = await self._grant(scope)
        except RegraftError as error:
            log.error("every token is refused: %s", error)
            await _refusal(503, "unavailable", "Tokens cannot be checked at the moment.")(scope, receive, send)
            return
        csrf = csrf_value(cookie) if cookie else ""
        refusal: JSONResponse | None = None
        if grant is None:
            message = (
                "This needs a sign-in: `regraft open` signs a browser in. A program sends a token of"
                " `regraft web-token` as `Authorization: Bearer TOKEN`."
            )
            refusal = _refusal(401, "unauthorized", message)
        elif changes and grant.anonymous:
            refusal = _refusal(403, "forbidden", SIGN_IN)
        elif changes and cookie and not hmac.compare_digest(shown.encode(), csrf.encode()):
            message = f"The header {CSRF_HEADER} does not match /api/me. Reload the page."
            refusal = _refusal(403, "forbidden", message)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        state = {**scope.get("state", {}), "grant": grant, "csrf": csrf, "cookie": cookie}
        await self._app({**scope, "state": state}, receive, send)

    async def _grant(self, scope: Scope) -> tuple[Grant | None, str | None]:
        """The rights of a request, and the cookie that gives them. A token counts alone; a cookie that is no longer
        valid counts as none."""
        if Headers(scope=scope).getlist("authorization"):
            return self._access.grant(_shown(scope) or ""), None
        cookie = SessionCookie(scope, https=self._access.sessions.https).value()
        if cookie:
            sessions: BrowserSessions = scope["app"].state.sessions
            grant = await run_in_threadpool(sessions.grant, cookie)
            if grant is not None:
                return grant, cookie
        return self._access.grant(None), None


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
