"""Requests from the gateway, which has no database, to ingest: whether the target of feedback is stored.

A question is a plain NATS request, which no stream keeps. One of the ingest processes answers it.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Self
from uuid import UUID

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg

from regraft.domain.errors import RegraftError
from regraft.infra.nats.connection import NATS_ERRORS, close, connect

SUBJECT = "regraft.ask.feedback_target"
QUEUE = "ingest"

log = logging.getLogger(__name__)


class FeedbackTarget(msgspec.Struct, frozen=True, kw_only=True):
    """The target of feedback: a turn (or node), or a session by the id that its name gives and by an id of our own."""

    scope: str
    turn_id: UUID | None = None
    session_id: UUID | None = None
    session_claim: UUID | None = None


class _Reply(msgspec.Struct, frozen=True):
    stored: bool | None


class TargetQuestions:
    """Asks. The connection is made by the first question, and again after it was lost."""

    def __init__(self, nats_url: str) -> None:
        self._url = nats_url
        self._client: Client | None = None

    async def is_stored(self, target: FeedbackTarget, patience: float = 2.0) -> bool | None:
        """Whether the target is stored; None if no one could say so within ``patience`` seconds."""
        try:
            if self._client is None or not self._client.is_connected:
                await self.aclose()
                self._client = await connect(self._url, timeout=patience)
            said = await self._client.request(SUBJECT, msgspec.json.encode(target), timeout=patience)
            return msgspec.json.decode(said.data, type=_Reply).stored
        except (*NATS_ERRORS, RegraftError, msgspec.DecodeError) as error:
            log.debug("no ingest process answers whether the target of feedback is stored: %s", error)
            return None

    async def aclose(self) -> None:
        """Close the connection."""
        client, self._client = self._client, None
        if client is not None:
            await close(client)


class TargetAnswers:
    """Answers the questions of all gateways, beside other ingest processes, until it is closed."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @classmethod
    async def begin(cls, nats_url: str, look: Callable[[FeedbackTarget], Awaitable[bool | None]]) -> Self:
        """``look`` says whether a target is stored, or None if it cannot. Raises UnavailableError."""
        client = await connect(nats_url, reconnect=True)

        async def answer(message: Msg) -> None:
            try:
                stored = await look(msgspec.json.decode(message.data, type=FeedbackTarget))
            except msgspec.DecodeError:
                stored = None
            with contextlib.suppress(*NATS_ERRORS):
                await message.respond(msgspec.json.encode(_Reply(stored)))

        await client.subscribe(SUBJECT, queue=QUEUE, cb=answer)
        await client.flush()
        return cls(client)

    async def aclose(self) -> None:
        """Answer no more."""
        await close(self._client)
