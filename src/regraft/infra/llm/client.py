"""The gateway's own client: chat requests as exact bytes, with the headers that say what a call is for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import quote
from uuid import UUID

from regraft.domain.errors import UpstreamError
from regraft.infra.llm.upstream import AwaitedResponse, Headers, UpstreamPool


@dataclass(frozen=True, slots=True)
class Reply:
    """``turn_id`` is the captured call's id; ``body`` the answer as it came; ``retry_after`` seconds, where told."""

    status: int
    turn_id: UUID | None
    body: bytes
    retry_after: float | None = None
    content_type: str = ""


class StreamedReply:
    """An answer while it comes. ``close`` hangs up, also when all of it has come."""

    def __init__(self, response: AwaitedResponse) -> None:
        self._response = response
        self.status = response.status
        self.turn_id = _turn(response.headers)
        self.content_type = _header(response.headers, b"content-type")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The body's bytes as they come. Raises UpstreamError when it was cut."""
        async for chunk in self._response:
            yield chunk

    def close(self) -> None:
        """Let the call go."""
        self._response.close()


class GatewayClient:
    """Calls the gateway at a URL such as ``http://127.0.0.1:4700``."""

    def __init__(self, url: str, *, read_timeout: float = 600.0) -> None:
        self._pool = UpstreamPool(url, read_timeout=read_timeout)

    async def chat(self, body: str, identity: Mapping[str, str], headers: Headers | None = None) -> Reply:
        """Post a chat request. ``identity``: header name after ``X-Regraft-`` -> value; ``headers`` go along.

        Raises UpstreamError. Cancelled, it hangs up.
        """
        response = await self._post(body, identity, headers)
        try:
            return Reply(response.status, _turn(response.headers), await response.read())
        except BaseException:
            response.close()
            raise

    async def post(self, path: str, body: str, identity: Mapping[str, str]) -> Reply:
        """Post a request of any dialect to its path. Raises UpstreamError. Cancelled, it hangs up."""
        response = await self._pool.send("POST", path, _sent(identity, None), body.encode())
        try:
            return Reply(
                response.status,
                _turn(response.headers),
                await response.read(),
                _retry_after(response.headers),
                _header(response.headers, b"content-type"),
            )
        except BaseException:
            response.close()
            raise

    async def stream(self, body: str, identity: Mapping[str, str], headers: Headers | None = None) -> StreamedReply:
        """The same, returning when the answer begins. Raises UpstreamError."""
        response = await self._post(body, identity, headers)
        try:
            return StreamedReply(response)
        except BaseException:
            response.close()
            raise

    async def _post(self, body: str, identity: Mapping[str, str], headers: Headers | None) -> AwaitedResponse:
        return await self._pool.send("POST", "/v1/chat/completions", _sent(identity, headers), body.encode())

    async def aclose(self) -> None:
        """Hang up everywhere."""
        await self._pool.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


def _sent(identity: Mapping[str, str], headers: Headers | None) -> Headers:
    sent = [(b"content-type", b"application/json"), (b"accept", b"application/json"), *(headers or ())]
    return sent + [
        (f"x-regraft-{name}".encode(), quote(value, safe=" !#$&'()*+,/:;=?@[]{}|\"").encode())
        for name, value in identity.items()
    ]


def _header(headers: Headers, wanted: bytes) -> str:
    return next((value.decode("latin-1") for name, value in headers if name.lower() == wanted), "")


def _turn(headers: Headers) -> UUID | None:
    turn = _header(headers, b"x-regraft-turn")
    try:
        return UUID(turn) if turn else None
    except ValueError as error:
        raise UpstreamError("The gateway's reply names no turn: is this address a Regraft gateway?") from error


def _retry_after(headers: Headers) -> float | None:
    """The seconds of ``Retry-After`` (or ``Retry-After-Ms``); a date is not read."""
    for name, unit in ((b"retry-after-ms", 1000.0), (b"retry-after", 1.0)):
        try:
            return max(0.0, float(_header(headers, name)) / unit)
        except ValueError:
            continue
    return None
