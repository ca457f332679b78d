"""The gateway's own client: chat requests as exact bytes, with the headers that say what a call is for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import quote
from uuid import UUID

import msgspec

from regraft.domain.capture.paths import MODELS
from regraft.domain.errors import ConfigError, UpstreamError
from regraft.infra.gateway_endpoint import GatewayEndpoint
from regraft.infra.llm.retry_after import retry_after
from regraft.infra.llm.upstream import AwaitedResponse, Headers, UpstreamPool


class KeyRefusedError(ConfigError):
    """The gateway needs a virtual key, and the one that was shown, if any, is not valid."""


class NoModelListError(UpstreamError):
    """The gateway answered, but with no list of models."""


@dataclass(frozen=True, slots=True)
class GatewayReply:
    """``turn_id`` is the captured call's id; ``body`` the answer unchanged; ``retry_after`` seconds, where the
    server sent it."""

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
        """Cancel the call."""
        self._response.close()


class GatewayClient:
    """Calls a gateway, given by its URL alone or by its endpoint, which may hold a key.

    With an endpoint, ``chat`` and ``post`` raise KeyRefusedError when the gateway refuses its key. With a URL alone the
    credentials come from the caller's ``headers``, and a refusal is an answer like any other.
    """

    def __init__(self, gateway: GatewayEndpoint | str, *, read_timeout: float = 600.0) -> None:
        self._endpoint = gateway if isinstance(gateway, GatewayEndpoint) else None
        url = gateway.url if isinstance(gateway, GatewayEndpoint) else gateway
        key = gateway.key if isinstance(gateway, GatewayEndpoint) else ""
        self._shown: Headers = [(b"authorization", b"Bearer " + key.encode())] if key else []
        self._pool = UpstreamPool(url, read_timeout=read_timeout)
        self.refused: KeyRefusedError | None = None

    async def chat(self, body: str, identity: Mapping[str, str], headers: Headers | None = None) -> GatewayReply:
        """Post a chat request. ``identity``: header name after ``X-Regraft-`` -> value; ``headers`` go along.

        Raises UpstreamError. Cancelled, it hangs up.
        """
        response = await self._post(body, identity, headers)
        try:
            return self._let_in(GatewayReply(response.status, _turn(response.headers), await response.read()))
        except BaseException:
            response.close()
            raise

    async def post(self, path: str, body: str, identity: Mapping[str, str]) -> GatewayReply:
        """Post a request of any dialect to its path. Raises UpstreamError. Cancelled, it hangs up."""
        response = await self._pool.send("POST", path, self._sent(identity, None), body.encode())
        try:
            reply = GatewayReply(
                response.status,
                _turn(response.headers),
                await response.read(),
                retry_after(response.headers),
                _header(response.headers, b"content-type"),
            )
            return self._let_in(reply)
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

    async def models(self) -> list[str]:
        """The names of the models that its upstreams list. Raises NoModelListError where there is no list,
        UpstreamError where there is no answer, and KeyRefusedError."""
        response = await self._pool.send("GET", MODELS, self._shown, b"")
        try:
            reply = self._let_in(GatewayReply(response.status, None, await response.read()))
        except BaseException:
            response.close()
            raise
        if reply.status != 200:
            raise NoModelListError(f"status {reply.status}, {_start(reply.body)}")
        try:
            listed = msgspec.json.decode(reply.body)["data"]
            return [each["id"] for each in listed if isinstance(each["id"], str)]
        except (msgspec.DecodeError, LookupError, TypeError):
            raise NoModelListError("the list cannot be read") from None

    async def _post(self, body: str, identity: Mapping[str, str], headers: Headers | None) -> AwaitedResponse:
        return await self._pool.send("POST", "/v1/chat/completions", self._sent(identity, headers), body.encode())

    def _sent(self, identity: Mapping[str, str], headers: Headers | None) -> Headers:
        return _sent(identity, [*self._shown, *(headers or ())])

    def _let_in(self, reply: GatewayReply) -> GatewayReply:
        """The reply, unless it is the gateway's own refusal of our key: a model server's 401 has a turn, or no hint."""
        if self._endpoint and reply.status == 401 and reply.turn_id is None and refuses_key(reply.body):
            self.refused = KeyRefusedError(key_refused(self._endpoint))
            raise self.refused
        return reply

    async def aclose(self) -> None:
        """Close all connections."""
        await self._pool.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


def _start(body: bytes) -> str:
    return " ".join(body[:300].decode("utf-8", "replace").split())


def refuses_key(body: bytes) -> bool:
    """Whether the body of a 401 is the gateway's own, about its virtual keys."""
    try:
        return msgspec.json.decode(body, type=_Refusal).error.code == "invalid_api_key" and b"rgk_" in body
    except msgspec.MsgspecError:
        return False


def key_refused(gateway: GatewayEndpoint) -> str:
    """The error for a refused key, with what to do."""
    wrong = "refuses the virtual key: it is unknown or revoked" if gateway.key else "needs a virtual key"
    return (
        f"The gateway at {gateway.url} {wrong}. Create one for the right tenant with `regraft keys create`, and put "
        "it into the variable REGRAFT_API_KEY, or set client.api_key_env or client.api_key_file."
    )


class _Error(msgspec.Struct):
    code: str | None = None


class _Refusal(msgspec.Struct):
    error: _Error


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
        raise UpstreamError("The reply has no turn id. Is this address a Regraft gateway?") from error
