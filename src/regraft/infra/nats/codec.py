"""The event format: an Exchange as MessagePack, and packs of such records as one message.

A record is an array that starts with the format's number, so that a later reader knows what it has. Bodies are
zstd-compressed when that makes them smaller.
"""

from __future__ import annotations

import struct
from uuid import UUID

import msgspec
import zstandard

from regraft.domain.capture.exchange import Exchange, Identity
from regraft.domain.errors import CorruptEventError

FORMAT = 2
READABLE_FORMATS = frozenset({1, 2})
PACK_MAGIC = b"RGP1"
MAX_BODY_BYTES = 2 << 30
_WORTH_COMPRESSING = 4096  # bytes; below that compressing costs the gateway more than the bytes cost the stream
_WORTH_PARTS = 64 << 10  # bytes; above that a body is not copied into the record but stands beside its fields
_REQUEST_PACKED, _RESPONSE_PACKED = 1, 2
IDENTITY_FIELDS = ("session", "parent_node", "replay_node", "theme", "task", "purpose", "variant", "plan")
_LENGTH = struct.Struct("<I")
_BIN32 = struct.Struct(">BI")
_COMPRESSOR = zstandard.ZstdCompressor(level=1)


class _Record(msgspec.Struct, array_like=True, frozen=True):
    format: int
    event_id: bytes
    scope: str
    endpoint: str
    upstream: str
    upstream_pin: str
    started_ns: int
    first_byte_ns: int | None
    duration_ns: int
    packed: int
    request_body: bytes
    status: int
    response_type: str
    response_encoding: str
    response_body: bytes
    cut: str
    error: str
    identity: tuple[str | None, ...]
    gateway_version: str
    operation_id: bytes = b""  # from here on: since format 2
    attempt: int = 1
    final: bool = True
    traceparent: str = ""
    asked_model: str = ""


_ENCODE = msgspec.msgpack.Encoder().encode
_DECODER = msgspec.msgpack.Decoder(_Record)


def encode_exchange(exchange: Exchange) -> bytes:
    """One record. Not thread-safe (one compressor is kept warm)."""
    return b"".join(
        encode_fields(
            exchange.event_id.bytes,
            exchange.scope,
            exchange.endpoint,
            exchange.upstream,
            exchange.upstream_pin,
            exchange.started_ns,
            exchange.first_byte_ns,
            exchange.duration_ns,
            exchange.request_body,
            exchange.status,
            exchange.response_type,
            exchange.response_encoding,
            exchange.response_body,
            exchange.cut,
            exchange.error,
            identity_fields(exchange.identity),
            exchange.gateway_version,
            exchange.operation_id.bytes if exchange.operation_id else b"",
            exchange.attempt,
            exchange.final,
            exchange.traceparent,
            exchange.asked_model,
        )
    )


def encode_fields(
    event_id: bytes,
    scope: str,
    endpoint: str,
    upstream: str,
    upstream_pin: str,
    started_ns: int,
    first_byte_ns: int | None,
    duration_ns: int,
    request: bytes,
    status: int,
    response_type: str,
    response_encoding: str,
    response: bytes,
    cut: str,
    error: str,
    identity: tuple[str | None, ...],
    gateway_version: str,
    operation_id: bytes = b"",
    attempt: int = 1,
    final: bool = True,
    traceparent: str = "",
    asked_model: str = "",
    request_compressed: bytes | None = None,
) -> list[bytes]:
    """One record in parts, to be written behind one another: large bodies are not copied.

    ``request_compressed`` is the request as somebody else has already compressed it (zstd, with its size).
    """
    packed = 0
    if len(request) >= _WORTH_COMPRESSING:
        small = _COMPRESSOR.compress(request) if request_compressed is None else request_compressed
        if len(small) < len(request):
            request, packed = small, packed | _REQUEST_PACKED
    if len(response) >= _WORTH_COMPRESSING and not response_encoding:
        small = _COMPRESSOR.compress(response)
        if len(small) < len(response):
            response, packed = small, packed | _RESPONSE_PACKED
    first = (
        FORMAT,
        event_id,
        scope,
        endpoint,
        upstream,
        upstream_pin,
        started_ns,
        first_byte_ns,
        duration_ns,
        packed,
    )
    between = (status, response_type, response_encoding)
    last = (cut, error, identity, gateway_version, operation_id, attempt, final, traceparent, asked_model)
    if len(request) < _WORTH_PARTS and len(response) < _WORTH_PARTS:
        return [_ENCODE((*first, request, *between, response, *last))]
    # An array of 16 to 65535 elements starts with 0xdc and its length; a shorter one with one byte.
    count = len(first) + len(between) + len(last) + 2
    return [
        b"\xdc" + count.to_bytes(2, "big") + _ENCODE(first)[1:],
        _BIN32.pack(0xC6, len(request)),
        request,
        _ENCODE(between)[1:],
        _BIN32.pack(0xC6, len(response)),
        response,
        _ENCODE(last)[1:],
    ]


def decode_exchange(record: bytes) -> Exchange:
    """The Exchange of one record. Raises CorruptEventError."""
    try:
        raw = _DECODER.decode(record)
        if raw.format not in READABLE_FORMATS:
            raise CorruptEventError(f"The event has format {raw.format}; this version reads up to format {FORMAT}")
        return Exchange(
            event_id=UUID(bytes=raw.event_id),
            scope=raw.scope,
            endpoint=raw.endpoint,
            upstream=raw.upstream,
            upstream_pin=raw.upstream_pin,
            started_ns=raw.started_ns,
            first_byte_ns=raw.first_byte_ns,
            duration_ns=raw.duration_ns,
            request_body=_unpacked(raw.request_body, raw.packed & _REQUEST_PACKED),
            status=raw.status,
            response_type=raw.response_type,
            response_encoding=raw.response_encoding,
            response_body=_unpacked(raw.response_body, raw.packed & _RESPONSE_PACKED),
            cut=raw.cut,
            error=raw.error,
            identity=_identity(raw.identity) if raw.identity else _NOBODY,
            gateway_version=raw.gateway_version,
            operation_id=UUID(bytes=raw.operation_id) if raw.operation_id else None,
            attempt=raw.attempt,
            final=raw.final,
            traceparent=raw.traceparent,
            asked_model=raw.asked_model,
        )
    except (msgspec.MsgspecError, zstandard.ZstdError, ValueError, TypeError) as error:
        raise CorruptEventError(f"The event cannot be read: {error}") from error


def encode_pack(records: list[bytes]) -> bytes:
    """Records, each behind its length, as one message."""
    parts = [PACK_MAGIC]
    for record in records:
        parts.append(_LENGTH.pack(len(record)))
        parts.append(record)
    return b"".join(parts)


def decode_pack(pack: bytes) -> list[bytes]:
    """The records of a pack. Raises CorruptEventError."""
    if not pack.startswith(PACK_MAGIC):
        raise CorruptEventError("The message is not a pack of events")
    records = []
    position = len(PACK_MAGIC)
    while position < len(pack):
        start = position + _LENGTH.size
        if start > len(pack):
            raise CorruptEventError("The pack of events ends inside a length")
        position = start + _LENGTH.unpack_from(pack, start - _LENGTH.size)[0]
        if position > len(pack):
            raise CorruptEventError("The pack of events ends inside a record")
        records.append(pack[start:position])
    return records


def _unpacked(body: bytes, packed: int) -> bytes:
    if not packed:
        return body
    size = zstandard.frame_content_size(body)
    if not 0 <= size <= MAX_BODY_BYTES:
        raise CorruptEventError(f"The event claims a body of {size} bytes")
    return zstandard.ZstdDecompressor().decompress(body, max_output_size=size)


def identity_fields(who: Identity) -> tuple[str | None, ...]:
    """What a record keeps of the identity; nothing for nobody."""
    if who == _NOBODY:
        return ()
    return tuple(getattr(who, name) for name in IDENTITY_FIELDS)


def _identity(fields: tuple[str | None, ...]) -> Identity:
    session, parent_node, replay_node, theme, task, purpose, variant, plan = fields
    return Identity(
        session=session,
        parent_node=parent_node,
        replay_node=replay_node,
        theme=theme,
        task=task,
        purpose=purpose or "chat",
        variant=variant,
        plan=plan,
    )


_NOBODY = Identity()
