"""Answers of the gateway itself, in the formats of the APIs."""

from __future__ import annotations

import orjson

Answer = tuple[int, bytes, bytes]  # status, header lines, body


def error_body(message: str, kind: str, code: str, param: str | None = None) -> bytes:
    """An error object as OpenAI sends them. ``param`` is the field of the request that is wrong."""
    return orjson.dumps({"error": {"message": message, "type": kind, "param": param, "code": code}})


def json_block(body: bytes, content_type: bytes = b"application/json") -> bytes:
    """The header lines of such an answer."""
    return b"content-type: %b\r\ncontent-length: %d\r\n" % (content_type, len(body))


def json_answer(status: int, body: bytes) -> Answer:
    return status, json_block(body), body
