"""The gateway's own client: chat requests as exact bytes, with the headers that say what a call is for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import quote
from uuid import UUID

from regraft.domain.errors import UpstreamError
from regraft.infra.llm.upstream import UpstreamPool


@dataclass(frozen=True, slots=True)
class Reply:
    """``turn_id`` is the captured call's id; ``body`` the answer as it came."""

    status: int
    turn_id: UUID | None
    body: bytes


class GatewayClient:
    """Calls the gateway at a URL such as ``http://127.0.0.1:4700``."""

    def __init__(self, url: str, *, read_timeout: float = 600.0) -> None:
        self._pool = UpstreamPool(url, read_timeout=read_timeout)

    async def chat(self, body: str, identity: Mapping[str, str]) -> Reply:
        """Post a chat request. ``identity``: header name after ``X-Regraft-`` -> value. Raises UpstreamError."""
        headers = [(b"content-type", b"application/json"), (b"accept", b"application/json")]
        headers += [
            (f"x-regraft-{name}".encode(), quote(value, safe=" !#$&'()*+,/:;=?@[]{}|\"").encode())
            for name, value in identity.items()
        ]
        response = await self._pool.send("POST", "/v1/chat/completions", headers, body.encode())
        answer = await response.read()
        turn = next((value for name, value in response.headers if name.lower() == b"x-regraft-turn"), None)
        try:
            return Reply(response.status, UUID(turn.decode()) if turn else None, answer)
        except ValueError as error:
            raise UpstreamError("The gateway's reply names no turn: is this address a Regraft gateway?") from error

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._pool.aclose()
