"""Content codings of HTTP bodies (RFC 9110, section 8.4.1)."""

from __future__ import annotations

import zlib

import zstandard

from regraft.domain.errors import CorruptEventError

READABLE = frozenset({"gzip", "deflate", "zstd", "identity"})


def decode(body: bytes, encoding: str) -> bytes:
    """Undo a content coding; a body that was cut gives what is there. Raises CorruptEventError for one unknown here."""
    coding = encoding.strip().lower()
    if coding in ("", "identity"):
        return body
    if coding == "zstd":
        return zstandard.ZstdDecompressor().decompressobj().decompress(body)
    if coding in ("gzip", "x-gzip", "deflate"):
        for window in (zlib.MAX_WBITS | 32, -zlib.MAX_WBITS):
            try:
                return zlib.decompressobj(window).decompress(body)
            except zlib.error:
                continue
    raise CorruptEventError(f"the answer's content coding {coding!r} cannot be undone")
