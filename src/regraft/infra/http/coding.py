"""Content codings of HTTP bodies (RFC 9110, section 8.4.1), undone within limits.

A small body can unpack to any size. So nothing is unpacked beyond ``MOST_BYTES``, and beyond ``FREE_BYTES`` nothing
that is more than ``MOST_RATIO`` times its packed size: text that people write stays far below that.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

import brotli
import zstandard

from regraft.domain.errors import CorruptEventError

MOST_BYTES = 64 << 20
MOST_RATIO, FREE_BYTES = 200, 8 << 20
MOST_CODINGS = 4  # in a stack; more than two are not seen
_STEP, _SLICE = 1 << 20, 4 << 10


class UnpackLimitError(CorruptEventError):
    """A body that unpacks to more than the limits."""


def decode(body: bytes, encoding: str, what: str = "answer", most: int = MOST_BYTES) -> bytes:
    """Undo content codings, the last applied first; a body that was cut gives what is there.

    Raises CorruptEventError for a coding unknown here and for damaged bytes, UnpackLimitError beyond the limits.
    """
    codings = [each.strip().lower() for each in encoding.split(",")]
    codings = [each for each in codings if each not in ("", "identity")]
    if not codings:
        return body
    if len(codings) > MOST_CODINGS:
        raise CorruptEventError(f"the {what} has {len(codings)} content codings; {MOST_CODINGS} are read")
    for coding in codings:
        if coding not in _UNPACK:
            raise CorruptEventError(f"the {what}'s content coding {coding!r} cannot be undone")
    allowed = min(most, max(FREE_BYTES, MOST_RATIO * len(body)))
    for coding in reversed(codings):
        try:
            body = _UNPACK[coding](body, allowed)
        except OverflowError as error:
            raise UnpackLimitError(
                f"the {what}'s {coding} content unpacks to more than {allowed} bytes; it is kept packed and not read"
            ) from error
        except (zlib.error, zstandard.ZstdError, brotli.error) as error:
            raise CorruptEventError(f"the {what}'s {coding} content is damaged: {error}") from error
    return body


def _unzip(body: bytes, most: int) -> bytes:
    """One or more gzip members, a zlib stream, or a bare deflate stream. Raises OverflowError and zlib.error."""
    try:
        return _inflated(body, most, zlib.MAX_WBITS | 32)
    except zlib.error as error:
        if body[:2] == b"\x1f\x8b":
            raise
        try:
            return _inflated(body, most, -zlib.MAX_WBITS)
        except zlib.error:
            raise error from None


def _inflated(body: bytes, most: int, window: int) -> bytes:
    """In small slices: what zlib leaves of its input is copied each time, which must not grow with the body."""
    parts: list[bytes] = []
    size, member = 0, zlib.decompressobj(window)
    view = memoryview(body)
    for start in range(0, len(body), _SLICE):
        rest: bytes | memoryview = view[start : start + _SLICE]
        while rest:
            if member.eof:
                if rest[:1] != b"\x1f":
                    return b"".join(parts)  # what follows the last member
                member = zlib.decompressobj(window)
            part = member.decompress(rest, min(_STEP, most - size + 1))
            size += len(part)
            if size > most:
                raise OverflowError
            parts.append(part)
            rest = member.unused_data if member.eof else member.unconsumed_tail
    if not member.eof:
        parts.append(member.flush())  # at most what one step would give
        if size + len(parts[-1]) > most:
            raise OverflowError
    return b"".join(parts)


def _unzstd(body: bytes, most: int) -> bytes:
    """One or more frames. Raises OverflowError and zstandard.ZstdError."""
    parts: list[bytes] = []
    size = 0
    reader = zstandard.ZstdDecompressor(max_window_size=max(most, 1 << 20)).stream_reader(body, read_across_frames=True)
    while part := reader.read(min(_STEP, most - size + 1)):
        size += len(part)
        if size > most:
            raise OverflowError
        parts.append(part)
    return b"".join(parts)


def _unbrotli(body: bytes, most: int) -> bytes:
    """One stream. Raises OverflowError and brotli.error."""
    parts: list[bytes] = []
    size, reader = 0, brotli.Decompressor()
    view = memoryview(body)
    for start in range(0, len(body), _STEP):
        part = reader.process(view[start : start + _STEP], output_buffer_limit=_STEP)
        while part:  # it may have more to give although it would take more
            size += len(part)  # up to twice the limit at a time: its last block is given out whole
            if size > most:
                raise OverflowError
            parts.append(part)
            part = reader.process(b"", output_buffer_limit=_STEP)
    return b"".join(parts)


_UNPACK: dict[str, Callable[[bytes, int], bytes]] = {
    "br": _unbrotli,
    "gzip": _unzip,
    "x-gzip": _unzip,
    "deflate": _unzip,
    "zstd": _unzstd,
}
