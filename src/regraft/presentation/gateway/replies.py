"""The answers that the gateway gives itself, in the shapes that clients of the API know."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import orjson

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

JSON = b"application/json"


class ClientGoneError(Exception):
    """The client closed its connection before its request was whole."""


class BodyTooLargeError(Exception):
    """The request's body is larger than the gateway takes."""


def error_body(message: str, kind: str, code: str) -> bytes:
    """An error object as OpenAI sends them."""
    return orjson.dumps({"error": {"message": message, "type": kind, "param": None, "code": code}})


async def reply(send: Send, status: int, body: bytes, content_type: bytes = JSON, extra: Headers | None = None) -> None:
    headers = [(b"content-type", content_type), (b"content-length", b"%d" % len(body)), *(extra or [])]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def read_body(receive: Receive, limit: int) -> bytes:
    """The whole request body. Raises ClientGoneError, or BodyTooLargeError beyond ``limit`` bytes."""
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGoneError
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False) and len(body) <= limit:
        return body
    parts, size = [body], len(body)
    while message.get("more_body", False) and size <= limit:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        parts.append(message.get("body", b""))
        size += len(parts[-1])
    if size > limit:
        raise BodyTooLargeError
    return b"".join(parts)
