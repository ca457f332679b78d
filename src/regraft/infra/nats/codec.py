"""The event format: an Exchange as MessagePack, and packs of such records as one message.

A record is an array that starts with the format's number, so that a later reader knows what it has. Bodies are
zstd-compressed when that makes them smaller.
"""

from __future__ import annotations

import struct
from uuid import UUID

import msgspec
import zstandard

from regraft.domain.errors import CorruptEventError
from regraft.domain.exchange import Exchange, Identity

FORMAT = 1
PACK_MAGIC = b"RGP1"
MAX_BODY_BYTES = 2 << 30
_WORTH_COMPRESSING = 4096  # bytes; below that compressing costs the gateway more than the bytes cost the stream
_REQUEST_PACKED, _RESPONSE_PACKED = 1, 2
_LENGTH = struct.Struct("<I")
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


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(_Record)


def encode_exchange(exchange: Exchange) -> bytes:
    """One record. Not thread-safe (one compressor is kept warm)."""
    request, response, packed = exchange.request_body, exchange.response_body, 0
    if len(request) >= _WORTH_COMPRESSING and len(small := _COMPRESSOR.compress(request)) < len(request):
        request, packed = small, packed | _REQUEST_PACKED
    if len(response) >= _WORTH_COMPRESSING and not exchange.response_encoding:
        small = _COMPRESSOR.compress(response)
        if len(small) < len(response):
            response, packed = small, packed | _RESPONSE_PACKED
    return _ENCODER.encode(
        _Record(
            FORMAT,
            exchange.event_id.bytes,
            exchange.scope,
            exchange.endpoint,
            exchange.upstream,
            exchange.upstream_pin,
            exchange.started_ns,
            exchange.first_byte_ns,
            exchange.duration_ns,
            packed,
            request,
            exchange.status,
            exchange.response_type,
            exchange.response_encoding,
            response,
            exchange.cut,
            exchange.error,
            _identity_fields(exchange.identity),
            exchange.gateway_version,
        )
    )


def decode_exchange(record: bytes) -> Exchange:
    """The Exchange of one record. Raises CorruptEventError."""
    try:
        raw = _DECODER.decode(record)
        if raw.format != FORMAT:
            raise CorruptEventError(f"The event has format {raw.format}; this version reads format {FORMAT}")
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


def _identity_fields(who: Identity) -> tuple[str | None, ...]:
    if who is _NOBODY:
        return ()
    return (who.session, who.parent_node, who.replay_node, who.theme, who.task, who.purpose, who.variant, who.plan)


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
