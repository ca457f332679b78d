"""The cookie of a browser that is signed in."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Scope

from regraft.flows.browser_sessions import MAX_AGE

_DEFAULT_PORTS = {"http": "80", "https": "443"}


class SessionCookie:
    """Its name and its flags, for one request. ``https``: browsers come by https alone.

    Browsers send a cookie to every port of a host, so its name has the port: servers side by side do not sign each
    other's browsers out. Over https its name also keeps other hosts of the domain from setting it.
    """

    def __init__(self, scope: Scope, *, https: bool) -> None:
        self._secure = https or scope["scheme"] == "https"
        host = Headers(scope=scope).get("host", "")
        _, colon, port = host.rpartition(":")
        shown = port if colon and port.isdigit() else _DEFAULT_PORTS["https" if self._secure else "http"]
        self.name = f"{'__Host-' if self._secure else ''}regraft_{shown}"
        self._headers = Headers(scope=scope)

    def value(self) -> str | None:
        """What the browser sent; None: nothing, or several values, of which others may have set one."""
        pairs = [pair.strip().partition("=") for line in self._headers.getlist("cookie") for pair in line.split(";")]
        found = [value for name, _, value in pairs if name == self.name and value]
        return found[0] if len(found) == 1 else None

    def set(self, response: Response, value: str) -> None:
        """Keep a new session in the browser."""
        response.set_cookie(
            self.name, value, max_age=MAX_AGE, path="/", secure=self._secure, httponly=True, samesite="strict"
        )

    def clear(self, response: Response) -> None:
        """Forget the session in the browser."""
        response.delete_cookie(self.name, path="/", secure=self._secure, httponly=True, samesite="strict")
