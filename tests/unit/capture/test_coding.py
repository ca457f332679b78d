"""Content codings: alone, stacked, cut, damaged, unknown, and made to burst."""

from __future__ import annotations

import gzip
import os
import tracemalloc
import zlib

import brotli
import pytest
import zstandard

from regraft.domain.errors import CorruptEventError
from regraft.infra.http.coding import FREE_BYTES, MOST_BYTES, UnpackLimitError, decode

TEXT = b'{"messages":[{"role":"user","content":"hi"}]}' * 100
ZSTD = zstandard.ZstdCompressor()


def bare_deflate(text):
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(text) + packer.flush()


def zeros(size):
    packer = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    return b"".join([packer.compress(bytes(1 << 20)) for _ in range(size >> 20)]) + packer.flush()


def coding_alone(value):
    """The name of a case: a packed body may hold the time."""
    return value or "none" if isinstance(value, str) else ""


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("", TEXT),
        ("identity", TEXT),
        ("gzip", gzip.compress(TEXT)),
        ("X-GZIP", gzip.compress(TEXT)),
        ("deflate", zlib.compress(TEXT)),
        ("deflate", bare_deflate(TEXT)),
        ("zstd", ZSTD.compress(TEXT)),
        ("br", brotli.compress(TEXT)),
        ("gzip, br", brotli.compress(gzip.compress(TEXT))),
        ("br, gzip", gzip.compress(brotli.compress(TEXT))),
        ("gzip, zstd", ZSTD.compress(gzip.compress(TEXT))),
        ("zstd,identity , gzip", gzip.compress(ZSTD.compress(TEXT))),
        ("gzip", gzip.compress(TEXT[:99]) + gzip.compress(TEXT[99:])),
        ("zstd", ZSTD.compress(TEXT[:99]) + ZSTD.compress(TEXT[99:])),
    ],
    ids=coding_alone,
)
def test_codings_are_undone_in_the_order_that_they_were_applied_in(encoding, body):
    assert decode(body, encoding) == TEXT


def test_a_body_that_was_cut_gives_what_is_there():
    random = os.urandom(300_000)
    for encoding, body in (
        ("gzip", gzip.compress(random)),
        ("zstd", ZSTD.compress(random)),
        ("br", brotli.compress(random, quality=1)),
    ):
        found = decode(body[:200_000], encoding)
        assert len(found) > 100_000
        assert random.startswith(found)


@pytest.mark.parametrize(
    ("encoding", "body", "said"),
    [
        ("compress", b"x", "the request's content coding 'compress' cannot be undone"),
        ("gzip, compress", b"x", "the request's content coding 'compress' cannot be undone"),
        ("br", b"nonsense", "the request's br content is damaged"),
        ("gzip", b"\x1f\x8bxx", "the request's gzip content is damaged"),
        ("deflate", b"nonsense", "the request's deflate content is damaged"),
        ("zstd", b"nonsense", "the request's zstd content is damaged"),
        (",".join(["gzip"] * 5), b"x", "the request has 5 content codings"),
    ],
)
def test_what_cannot_be_undone_is_named(encoding, body, said):
    with pytest.raises(CorruptEventError, match=said):
        decode(body, encoding, "request")


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", zeros(512 << 20)),
        ("zstd", ZSTD.compress(bytes(256 << 20))),
        ("gzip, gzip", gzip.compress(zeros(512 << 20))),
        ("gzip, zstd", ZSTD.compress(zeros(256 << 20))),
        ("deflate", zlib.compress(bytes(128 << 20))),
        ("br", brotli.compress(bytes(256 << 20), quality=1)),
        ("gzip, br", brotli.compress(zeros(512 << 20))),
    ],
    ids=coding_alone,
)
def test_a_bomb_is_kept_packed_and_costs_no_more_memory_than_the_limit(encoding, body):
    tracemalloc.start()
    try:
        with pytest.raises(UnpackLimitError, match="kept packed and not read"):
            decode(body, encoding)
        assert tracemalloc.get_traced_memory()[1] < 2 * MOST_BYTES + (16 << 20)
    finally:
        tracemalloc.stop()


def test_small_repetitive_text_is_no_bomb():
    text = b"ha " * (FREE_BYTES // 4)
    assert decode(ZSTD.compress(text), "zstd") == text
    assert decode(brotli.compress(text, quality=1), "br") == text


def test_many_small_members_are_read_in_linear_time():
    assert len(decode(gzip.compress(b"x") * 200_000, "gzip")) == 200_000
