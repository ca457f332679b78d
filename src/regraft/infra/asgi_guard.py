"""Refuses requests that a foreign web page could have made, by their host name and origin."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from regraft.infra.host_policy import HostPolicy

_FOREIGN = frozenset({"cross-site", "same-site"})
_READING = frozenset({"GET", "HEAD", "OPTIONS"})


class Guard:
    """Wraps an application. Pages of its own origin may call it, and no others.

    ``setting`` is what names the hosts. ``json_only``: what changes something is a JSON body, whose type no browser
    sends for a foreign page without asking, and no query string.
    """

    def __init__(self, app: ASGIApp, policy: HostPolicy, setting: str, *, json_only: bool = False) -> None:
        self._app = app
        self._policy = policy
        self._setting = setting
        self._json_only = json_only

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
        if len(hosts) != 1 or not self._policy.accepts(hosts[0]):
            return f"This server does not accept the host name {', '.join(hosts)[:200]!r}: add it to {self._setting}."
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != hosts[0].lower():
            return f"Pages of {origin[:200]!r} may not call this server."
        site = headers.get("sec-fetch-site", "").lower()
        if origin is None and site in _FOREIGN and headers.get("sec-fetch-mode", "").lower() != "navigate":
            return "A page of another site may not call this server."
        if self._json_only and scope["type"] == "http":
            kind = headers.get("content-type", "").partition(";")[0].strip().lower()
            if scope["method"] not in _READING and kind != "application/json":
                return f"A body of type {kind!r} is not accepted: send JSON."
            if any(name == "query" for name, _ in parse_qsl(scope["query_string"].decode("latin-1"), True)):
                return "A query is sent as the body of a POST."
        return ""
