"""A limit to the length of request bodies."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LONGEST_BODY = 1 << 18  # bytes


class BodyLimit:
    """Wraps an application: a longer body is refused with 413, before it is read where its length is declared."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        declared = Headers(scope=scope).get("content-length", "") if scope["type"] == "http" else ""
        if declared.isdigit() and int(declared) > LONGEST_BODY:
            message = f"The body is longer than {LONGEST_BODY:,} bytes."
            reply = JSONResponse({"error": {"code": "too_long", "message": message}}, 413, {"Connection": "close"})
            await reply(scope, receive, send)
            return
        seen = 0

        async def limited() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > LONGEST_BODY:  # no length was declared: the connection is closed without an answer
                return {"type": "http.disconnect"}
            return message

        await self._app(scope, limited, send)
