"""Which requests are accepted: by host name, origin, and method."""

from __future__ import annotations

from regraft.infra.host_policy import HostPolicy, is_address
from regraft.infra.http.replies import Answer, error_body, json_answer
from regraft.infra.http.requests import HttpRequest
from regraft.presentation.gateway.access import AccessRefusedError

METHODS = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"})
PROBES = frozenset({b"/healthz", b"/readyz"})  # asked for by an address that no setting can know
METRICS = b"/metrics"  # Prometheus may ask for it by the address of a container; a page's own name is never an address
_ALLOW = b"allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n"
_FOREIGN = frozenset({"cross-site", "same-site"})
_CORS = (
    b"access-control-allow-origin: %b\r\nvary: Origin\r\n"
    b"access-control-expose-headers: x-regraft-turn, x-request-id, retry-after\r\n"
)
_PREFLIGHT = (
    b"access-control-allow-methods: GET, HEAD, POST, PUT, PATCH, DELETE\r\n"
    b"access-control-allow-headers: %b\r\naccess-control-allow-private-network: true\r\naccess-control-max-age: 600\r\n"
)
_USUAL_HEADERS = b"authorization, content-type"
_LIST = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~, ")


class Admission:
    """Judges each head once; a connection's next request usually has the same one."""

    def __init__(self, policy: HostPolicy) -> None:
        self._policy = policy

    def judge(self, request: HttpRequest) -> None:
        """Mark the head as admitted. Raises AccessRefusedError, 403."""
        head = request.head
        if request.path in PROBES and not head.origin:
            return
        if head.hosts and not self._policy.accepts(head.host):
            if request.path == METRICS and not head.origin and is_address(head.host):
                return
            message = f"This gateway does not accept the host name {head.host[:200]!r}: add it to gateway.hosts"
            raise AccessRefusedError(403, message, "invalid_request_error", "host_not_allowed")
        if head.origin:
            if not self._policy.allows(head.origin):
                message = f"Pages of {head.origin[:200]!r} may not call this gateway: add it to gateway.origins"
                raise AccessRefusedError(403, message, "invalid_request_error", "origin_not_allowed")
            head.cors = _CORS % head.origin.encode("latin-1")
        elif head.fetch_site in _FOREIGN:
            message = "A page of another site may not call this gateway without naming its origin"
            raise AccessRefusedError(403, message, "invalid_request_error", "origin_not_allowed")
        head.admitted = True


def check_method(method: bytes) -> None:
    """Raises AccessRefusedError, 405, for a method that no call has."""
    if method not in METHODS:
        message = f"The method {method.decode('latin-1')} is not served here"
        raise AccessRefusedError(405, message, "invalid_request_error", "method_not_allowed", _ALLOW)


def options_answer(request: HttpRequest) -> Answer:
    """The answer to OPTIONS: the allowed headers for a preflight of an admitted page, the methods for others."""
    if not request.head.origin:
        return 204, _ALLOW, b""
    asked = request.head.asked_headers
    return 204, _PREFLIGHT % (asked if asked and _LIST.issuperset(asked) else _USUAL_HEADERS), b""


def unknown_path(request: HttpRequest, hint: str) -> Answer:
    """404 with a suggestion."""
    asked = f"{request.method.decode('latin-1')} {request.path[:500].decode('latin-1')}"
    meant = f"Did you mean {hint}?" if hint else "The API is under /v1/, e.g. /v1/chat/completions"
    message = f"There is no {asked} here, and nothing was forwarded. {meant}"
    return json_answer(404, error_body(message, "invalid_request_error", "unknown_url"))
