"""The event format: an Exchange as MessagePack, and packs of such records as one message.

A record is an array that starts with the format's number, so that a later reader knows what it has. Bodies are
zstd-compressed when that makes them smaller.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable
from dataclasses import fields
from typing import Any
from uuid import UUID

import msgspec
import msgspec.structs
import zstandard

from regraft.domain.capture.exchange import Exchange, Identity
from regraft.domain.errors import CorruptEventError

FORMAT = 3
READABLE_FORMATS = frozenset({1, 2, 3})
PACK_MAGIC = b"RGP1"
MAX_BODY_BYTES = 2 << 30
_WORTH_COMPRESSING = 4096  # bytes; below that compressing costs the gateway more than the bytes cost the stream
_WORTH_PARTS = 64 << 10  # bytes; above that a body is not copied into the record but written after it
_REQUEST_PACKED, _RESPONSE_PACKED = 1, 2
IDENTITY_FIELDS = tuple(each.name for each in fields(Identity))
_LENGTH = struct.Struct("<I")
_BIN32 = struct.Struct(">BI")
_COMPRESSOR = zstandard.ZstdCompressor(level=1)


class _Decompressor(threading.local):
    """One for each thread: making one costs many times what reading an ordinary body does."""

    def __init__(self) -> None:
        self.decompress = zstandard.ZstdDecompressor().decompress


_decompressor = _Decompressor()


class CallEvent(msgspec.Struct, array_like=True, kw_only=True, gc=False):
    """An Exchange as it travels: the order of the fields is the format, and a new field goes to the end with a default.

    ``event_id`` and ``operation_id`` are the 16 bytes of the ids (empty: None), ``identity`` the values of
    ``IDENTITY_FIELDS`` (empty: all have their defaults). ``packed`` says which bodies are compressed.
    """

    format: int = FORMAT
    event_id: bytes
    scope: str
    endpoint: str
    upstream: str
    upstream_pin: str
    started_ns: int
    first_byte_ns: int | None
    duration_ns: int
    packed: int = 0
    request_body: bytes
    status: int
    response_type: str
    response_encoding: str
    response_body: bytes
    cut: str = ""
    error: str = ""
    identity: tuple[str | None, ...] = ()
    gateway_version: str = ""
    operation_id: bytes = b""  # from here on: since format 2
    attempt: int = 1
    final: bool = True
    traceparent: str = ""
    asked_model: str = ""
    request_encoding: str = ""  # since format 3


class _Outline(msgspec.Struct, array_like=True, kw_only=True, gc=False):
    """The first fields of a CallEvent, with its bodies where they are."""

    format: msgspec.Raw
    event_id: bytes
    scope: msgspec.Raw
    endpoint: msgspec.Raw
    upstream: msgspec.Raw
    upstream_pin: msgspec.Raw
    started_ns: msgspec.Raw
    first_byte_ns: msgspec.Raw
    duration_ns: msgspec.Raw
    packed: int
    request_body: memoryview
    status: msgspec.Raw
    response_type: msgspec.Raw
    response_encoding: msgspec.Raw
    response_body: memoryview


_FIELDS = CallEvent.__struct_fields__
if _FIELDS[: len(_Outline.__struct_fields__)] != _Outline.__struct_fields__:
    raise AssertionError("_Outline must have the first fields of CallEvent")
if {*_FIELDS} - {"format", "packed"} != {each.name for each in fields(Exchange)}:
    raise AssertionError("CallEvent must have the fields of Exchange")
_REQUEST, _RESPONSE = _FIELDS.index("request_body"), _FIELDS.index("response_body")
_ENCODE = msgspec.msgpack.Encoder().encode
_DECODER = msgspec.msgpack.Decoder(CallEvent)
_OUTLINE_DECODER = msgspec.msgpack.Decoder(_Outline)


def encode_exchange(exchange: Exchange) -> bytes:
    """One record. Not thread-safe (one compressor is kept warm)."""
    values = {each.name: getattr(exchange, each.name) for each in fields(exchange)}
    operation = exchange.operation_id
    values |= {
        "event_id": exchange.event_id.bytes,
        "operation_id": operation.bytes if operation else b"",
        "identity": identity_fields(exchange.identity),
    }
    return b"".join(encode_event(CallEvent(**values)))


def encode_event(
    event: CallEvent,
    request_compressed: bytes | None = None,
    response_compressed: bytes | None = None,
    compress: Callable[[bytes], bytes] | None = None,
) -> list[bytes]:
    """One record in parts, to be written one after another: large bodies are not copied. Compresses the event's bodies.

    ``request_compressed`` is the request body as it was already compressed elsewhere (zstd, with its size);
    ``response_compressed`` the response body likewise, then in place of the one that the event holds. Another thread
    than the first needs a ``compress`` of its own.
    """
    request, response = event.request_body, event.response_body
    compress = compress or _COMPRESSOR.compress
    if len(request) >= _WORTH_COMPRESSING and not event.request_encoding:
        small = compress(request) if request_compressed is None else request_compressed
        if len(small) < len(request):
            event.request_body = request = small
            event.packed |= _REQUEST_PACKED
    if response_compressed is not None:
        event.response_body = response = response_compressed
        event.packed |= _RESPONSE_PACKED
    elif len(response) >= _WORTH_COMPRESSING and not event.response_encoding:
        small = compress(response)
        if len(small) < len(response):
            event.response_body = response = small
            event.packed |= _RESPONSE_PACKED
    if len(request) < _WORTH_PARTS and len(response) < _WORTH_PARTS:
        if type(request) is not bytes:  # a body that the gateway holds for many calls, of its own type
            event.request_body = bytes(request)
        if type(response) is not bytes:
            event.response_body = bytes(response)
        return [_ENCODE(event)]
    values = msgspec.structs.astuple(event)
    first, between, last = values[:_REQUEST], values[_REQUEST + 1 : _RESPONSE], values[_RESPONSE + 1 :]
    # An array of 16 to 65535 elements starts with 0xdc and its length; a shorter one with one byte.
    return [
        b"\xdc" + len(values).to_bytes(2, "big") + _ENCODE(first)[1:],
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
        event = _DECODER.decode(record)
        if event.format not in READABLE_FORMATS:
            raise CorruptEventError(f"The event has format {event.format}; this version reads up to format {FORMAT}")
        values = msgspec.structs.asdict(event)
        del values["format"]
        packed = values.pop("packed")
        values["event_id"] = UUID(bytes=event.event_id)
        values["operation_id"] = UUID(bytes=event.operation_id) if event.operation_id else None
        values["identity"] = _identity(event.identity) if event.identity else _NOBODY
        values["request_body"] = _unpacked(event.request_body, packed & _REQUEST_PACKED)
        values["response_body"] = _unpacked(event.response_body, packed & _RESPONSE_PACKED)
        return Exchange(**values)
    except (msgspec.MsgspecError, zstandard.ZstdError, ValueError, TypeError) as error:
        raise CorruptEventError(f"The event cannot be read: {error}") from error


def measured(record: bytes) -> tuple[UUID, int]:
    """The id of a record's call, and the bytes of its bodies when they are unpacked. Copies and unpacks nothing.

    Raises CorruptEventError.
    """
    try:
        outline = _OUTLINE_DECODER.decode(record)
        request, response = outline.request_body, outline.response_body
        size = _unpacked_size(request) if outline.packed & _REQUEST_PACKED else len(request)
        size += _unpacked_size(response) if outline.packed & _RESPONSE_PACKED else len(response)
        return UUID(bytes=outline.event_id), size
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
    return _decompressor.decompress(body, max_output_size=_unpacked_size(body))


def _unpacked_size(body: bytes | memoryview) -> int:
    size = zstandard.frame_content_size(body)
    if not 0 <= size <= MAX_BODY_BYTES:
        raise CorruptEventError(f"The event claims a body of {size} bytes")
    return size


def identity_fields(who: Identity) -> tuple[str | None, ...]:
    """The values of ``IDENTITY_FIELDS``; empty when all have their defaults."""
    if who == _NOBODY:
        return ()
    return tuple(getattr(who, name) for name in IDENTITY_FIELDS)


def _identity(values: tuple[str | None, ...]) -> Identity:
    """An older record has fewer values; the fields that it lacks have their defaults."""
    given: dict[str, Any] = dict(zip(IDENTITY_FIELDS, values, strict=False))
    return Identity(**{**given, "purpose": given.get("purpose") or "chat"})


_NOBODY = Identity()
