"""Headers that the gateway forwards, in both directions, and the values of the ``X-Regraft-*`` headers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from regraft.domain.capture.exchange import Identity
from regraft.domain.ids import canonical_json
from regraft.infra.nats.codec import identity_fields

Headers = list[tuple[bytes, bytes]]

_HOP_BY_HOP = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"proxy-authorization", b"te", b"trailer", b"transfer-encoding"}
    | {b"upgrade"}
)
_CREDENTIALS = frozenset({b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key"})
_OF_BROWSERS = frozenset({b"origin", b"sec-fetch-site", b"access-control-request-headers"})
_READ_BY_US = _HOP_BY_HOP | _CREDENTIALS | _OF_BROWSERS | {b"host", b"expect", b"accept-encoding", b"traceparent"}
_READ_BY_US |= {b"content-encoding"}
_NOT_RETURNED = _HOP_BY_HOP - {b"proxy-authorization"} | {b"proxy-authenticate", b"x-regraft-turn"}
_CODINGS = frozenset({b"gzip", b"x-gzip", b"deflate", b"zstd", b"identity"})
_OURS = b"x-regraft-"
_FIELDS = {
    b"x-regraft-session": "session",
    b"x-regraft-parent-node": "parent_node",
    b"x-regraft-replay-node": "replay_node",
    b"x-regraft-theme": "theme",
    b"x-regraft-task": "task",
    b"x-regraft-purpose": "purpose",
    b"x-regraft-variant": "variant",
    b"x-regraft-plan": "plan",
}
MAX_IDENTITY_BYTES = 4096
MAX_TRACEPARENT = 128


class ClientHead:
    """A request's headers, read once; a connection's next request usually has the same ones.

    ``block`` are the lines that every model server may see, ``credentials`` those that only a server without a key of
    its own may see. ``problem`` says why the request must be refused. ``encoding`` names the body's content codings.

    ``feedback_late`` and ``feedback_wait`` are what X-Regraft-Late and X-Regraft-Wait say.

    ``accept`` are the types of answers that it takes. ``host``, ``origin`` and ``fetch_site`` are what the client said
    of where it thinks to call, and from where. ``admitted`` and ``cors``, lines for every answer, are the handler's: it
    judges a head once.
    """

    __slots__ = (
        "accept",
        "admitted",
        "asked_headers",
        "block",
        "capture_off",
        "chunked",
        "cors",
        "credentials",
        "encoding",
        "expects_continue",
        "feedback_late",
        "feedback_wait",
        "fetch_site",
        "host",
        "hosts",
        "identity",
        "opening",
        "origin",
        "plain_block",
        "problem",
        "token",
        "traceparent",
    )

    def __init__(self) -> None:
        self.block = self.plain_block = self.credentials = self.cors = self.asked_headers = b""
        self.token = self.problem = self.traceparent = self.encoding = ""
        self.host = self.origin = self.fetch_site = self.accept = self.feedback_late = self.feedback_wait = ""
        self.hosts = 0
        self.chunked = self.expects_continue = self.capture_off = self.admitted = False
        self.identity: tuple[str | None, ...] = ()
        self.opening: tuple[object, bytes, bool, bytes] = (None, b"", False, b"")  # of a message: routing.Upstream's


NO_HEADERS = ClientHead()


def read_head(headers: Headers, named: frozenset[bytes] = frozenset()) -> ClientHead:
    """Parse the headers. ``plain_block`` is ``block`` for an answer without content coding.

    ``named`` are the lower-case names of headers that are kept with the call.
    """
    head = ClientHead()
    kept: list[tuple[bytes, bytes, bytes]] = []
    credentials: list[tuple[bytes, bytes, bytes]] = []
    codings: list[str] = []
    origins: list[str] = []
    said: dict[str, str] = {}
    client: dict[str, str] = {}
    named_hops: frozenset[bytes] = frozenset()
    for name, value in headers:
        lower = name.lower()
        if lower in _READ_BY_US:
            if lower == b"host":
                head.hosts += 1
                head.host = value.decode("latin-1")
            elif lower == b"accept-encoding":
                kept.append((lower, name, _decodable(value)))
            elif lower == b"content-encoding":
                kept.append((lower, name, value))
                codings.append(value.decode("latin-1").strip().lower())
            elif lower == b"origin":
                origins.append(value.decode("latin-1").strip())
            elif lower == b"sec-fetch-site":
                head.fetch_site = value.decode("latin-1").strip().lower()
            elif lower == b"access-control-request-headers":
                head.asked_headers = value
            elif lower in _CREDENTIALS:
                credentials.append((lower, name, value))
                head.token = _token(lower, value) or head.token
            elif lower == b"traceparent":
                kept.append((lower, name, value))
                head.traceparent = value[:MAX_TRACEPARENT].decode("latin-1").strip()
            elif lower == b"transfer-encoding":
                head.chunked = True
                if value.strip().lower() != b"chunked":
                    head.problem = "The request's transfer coding is not known here"
            elif lower == b"expect":
                head.expects_continue = value.strip().lower() == b"100-continue"
            elif lower == b"connection" and value.lower() not in (b"keep-alive", b"close"):
                named_hops |= {token.strip() for token in value.lower().split(b",")}
        elif lower.startswith(_OURS):
            field = _FIELDS.get(lower)
            if field is not None and value:
                said[field] = _text(value)
            elif lower == b"x-regraft-capture":
                head.capture_off = value.strip().lower() in (b"off", b"false", b"no", b"0")
            elif lower == b"x-regraft-late":
                head.feedback_late = value.strip().lower().decode("latin-1")
            elif lower == b"x-regraft-wait":
                head.feedback_wait = value.strip().decode("latin-1")
        else:
            kept.append((lower, name, value))
            if lower == b"accept":
                head.accept = value.decode("latin-1")
            if lower in named and value:
                client.setdefault(lower.decode("latin-1"), _text(value))
    if client:
        said["client_headers"] = canonical_json(client)
    head.encoding = ", ".join(each for each in codings if each not in ("", "identity"))
    head.origin = ", ".join(origins)
    head.block = _lines(kept, named_hops)
    head.plain_block = _lines([each for each in kept if each[0] != b"accept-encoding"], named_hops)
    head.credentials = _lines(credentials, named_hops)
    head.identity = identity_fields(Identity(**said)) if said else ()
    return head


@dataclass(frozen=True, slots=True)
class ReturnedHead:
    """The head of a model server's answer, for the client: its header lines as a ``block``. ``sized``: they tell the
    body's length. ``media_type`` and ``encoding`` are the body's, '' where they are not said."""

    block: bytes
    sized: bool
    media_type: str
    encoding: str


def returned(headers: Headers, status: int) -> ReturnedHead:
    """What the client gets of the model server's headers."""
    lines: list[bytes] = []
    content_type = content_encoding = ""
    length: bytes | None = None
    chunked = False
    named_hops: frozenset[bytes] = frozenset()
    for name, value in headers:
        lower = name.lower()
        if lower in _NOT_RETURNED:
            if lower == b"transfer-encoding":
                chunked = True
            elif lower == b"connection" and value.lower() not in (b"keep-alive", b"close"):
                named_hops |= {token.strip() for token in value.lower().split(b",")}
            continue
        if lower == b"content-length":
            length = b"%b: %b\r\n" % (name, value)
            continue
        if lower == b"content-type":
            content_type = value.decode("latin-1")
        elif lower == b"content-encoding":
            content_encoding = "" if value.lower() == b"identity" else value.decode("latin-1").lower()
        elif lower.startswith(b"access-control-"):
            continue  # which pages may read an answer is decided here
        lines.append(b"%b: %b\r\n" % (name, value))
    if named_hops:
        lines = [line for line in lines if line.partition(b":")[0].lower() not in named_hops]
    sized = length is not None and not chunked and status not in (204, 304)
    if sized and length is not None:
        lines.append(length)
    return ReturnedHead(b"".join(lines), sized, content_type, content_encoding)


def without_encoding(block: bytes) -> bytes:
    """Header lines without the content codings, for a body that was unpacked."""
    return b"".join([line for line in block.splitlines(True) if not line.lower().startswith(b"content-encoding:")])


def without_traceparent(block: bytes) -> bytes:
    """Header lines without the client's place in a trace."""
    return b"".join([line for line in block.splitlines(True) if not line.lower().startswith(b"traceparent:")])


def _lines(headers: list[tuple[bytes, bytes, bytes]], without: frozenset[bytes]) -> bytes:
    return b"".join([b"%b: %b\r\n" % (name, value) for lower, name, value in headers if lower not in without])


def _token(name: bytes, value: bytes) -> str:
    if name == b"authorization":
        scheme, _, value = value.strip().partition(b" ")
        if scheme.lower() != b"bearer":
            return ""
    return value.strip().decode("latin-1")


@lru_cache(maxsize=256)
def _decodable(accept: bytes) -> bytes:
    """Accept-Encoding without the codings that the captured bytes could not be read in later."""
    wanted = [item.strip() for item in accept.split(b",")]
    kept = [item for item in wanted if item.partition(b";")[0].strip().lower() in _CODINGS]
    return b", ".join(kept) or b"identity"


def _text(value: bytes) -> str:
    raw = unquote_to_bytes(value[:MAX_IDENTITY_BYTES])
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")
