"""Which headers cross the gateway, in both directions, and what the ``X-Regraft-*`` ones say."""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import unquote_to_bytes

from regraft.domain.exchange import Identity

Headers = list[tuple[bytes, bytes]]

_HOP_BY_HOP = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"proxy-authorization", b"te", b"trailer", b"transfer-encoding"}
    | {b"upgrade"}
)
_NOT_FORWARDED = _HOP_BY_HOP | {b"host", b"content-length", b"expect", b"accept-encoding"}
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
_NOBODY = Identity()


def forwarded(headers: Headers, authorization: bytes | None) -> tuple[Headers, Identity]:
    """The client's headers as the model server shall see them, and what the client said of the call.

    ``authorization`` replaces the client's own when given. Header names come in lower case.
    """
    kept: Headers = []
    said: dict[str, str] | None = None
    named_hops: frozenset[bytes] = frozenset()
    for header in headers:
        name, value = header
        if name in _NOT_FORWARDED:
            if name == b"accept-encoding":
                kept.append((name, _decodable(value)))
            elif name == b"connection" and value.lower() not in (b"keep-alive", b"close"):
                named_hops |= {token.strip() for token in value.lower().split(b",")}
        elif name.startswith(_OURS):
            field = _FIELDS.get(name)
            if field is not None and value:
                said = said if said is not None else {}
                said[field] = _text(value)
        elif authorization is None or name != b"authorization":
            kept.append(header)
    if authorization is not None:
        kept.append((b"authorization", authorization))
    if named_hops:
        kept = [header for header in kept if header[0] not in named_hops]
    return kept, Identity(**said) if said else _NOBODY


def returned(headers: Headers, status: int) -> tuple[Headers, str, str]:
    """The model server's headers as the client shall see them, its content type and its content coding."""
    kept: Headers = []
    content_type = content_encoding = ""
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
        if lower == b"content-type":
            content_type = value.decode("latin-1")
        elif lower == b"content-encoding":
            content_encoding = "" if value.lower() == b"identity" else value.decode("latin-1").lower()
        kept.append((lower, value))
    if chunked or status in (204, 304):
        named_hops |= {b"content-length"}
    if named_hops:
        kept = [header for header in kept if header[0] not in named_hops]
    return kept, content_type, content_encoding


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
    return text.replace("\0", "�")
