"""Refuses requests that a foreign web page could have made: by the name that they call and the page they come from."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from regraft.infra.host_policy import HostPolicy

_FOREIGN = frozenset({"cross-site", "same-site"})
_CHANGING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_SIMPLE = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "")


class Guard:
    """Wraps an application. Pages of its own origin may call it, and no others.

    ``setting`` is what names the hosts. ``forms``: whether a body may have a type that browsers send from any page.
    """

    def __init__(self, app: ASGIApp, policy: HostPolicy, setting: str, *, forms: bool = True) -> None:
        self._app = app
        self._policy = policy
        self._setting = setting
        self._forms = forms

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        reason = self._reason(scope)
        if not reason:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": reason[:100]})
        else:
            failure = {"error": {"code": "forbidden", "message": reason}}
            await JSONResponse(failure, 403)(scope, receive, send)

    def _reason(self, scope: Scope) -> str:
        """Why a request is refused; empty when it is not."""
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._policy.knows(hosts[0]):
            return f"This server does not answer to the name {', '.join(hosts)[:200]!r}: add it to {self._setting}."
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != hosts[0].lower():
            return f"Pages of {origin[:200]!r} may not call this server."
        site, method = headers.get("sec-fetch-site", "").lower(), scope.get("method", "GET")
        if origin is None and site in _FOREIGN and headers.get("sec-fetch-mode", "").lower() != "navigate":
            return "A page of another site may not call this server."
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if not self._forms and method in _CHANGING and kind in _SIMPLE and _has_body(headers):
            return f"A body of type {kind or 'unknown'!r} is not taken: send JSON."
        return ""


def _has_body(headers: Headers) -> bool:
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
