"""Calls through the gateway that respect ``Retry-After``, for all calls to the same model."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping

from regraft.domain.errors import UpstreamError
from regraft.infra.backoff import Backoff
from regraft.infra.llm.client import GatewayClient, GatewayReply

TRIES = 8  # of one call
BACKOFF = Backoff(0.5, 30.0)
LONGEST_RETRY_AFTER = 300.0  # a server that asks for more has refused the call
_LATER = frozenset({429, 503, 529})  # 529: Anthropic's "overloaded"


class RetryingClient:
    """Posts bodies to the gateway. Retries what the gateway does not retry.

    A ``Retry-After`` holds back every call to the same model, not only the one that received it: calls that would be
    refused anyway only make it later. 503 counts as "later" only where the server says when.
    Every call names the ``theme``.
    """

    def __init__(self, client: GatewayClient, *, tries: int = TRIES, theme: str | None = None) -> None:
        self.client = client
        self._more = {"theme": theme} if theme else {}
        self.limited = 0  # answers that said "later"
        self._tries = tries
        self._not_before: dict[str, float] = {}

    async def post(self, endpoint: str, body: str, identity: Mapping[str, str], model: str = "") -> GatewayReply:
        """The last answer to this body. ``identity``: header name after ``X-Regraft-`` -> value.

        Raises UpstreamError when there was no answer at all.
        """
        loop = asyncio.get_running_loop()
        for attempt in range(1, self._tries + 1):
            while (wait := self._not_before.get(model, 0.0) - loop.time()) > 0:  # noqa: ASYNC110 another call may move the time on
                # Not all at the same moment.
                await asyncio.sleep(wait + random.uniform(0.0, min(0.1 * wait, 1.0)))  # noqa: S311 spread, no secret
            reply = await self.client.post(endpoint, body, {**self._more, **identity})
            later = reply.status == 429 or (reply.status in _LATER and reply.retry_after is not None)
            if not later or attempt == self._tries or (reply.retry_after or 0.0) > LONGEST_RETRY_AFTER:
                return reply
            self.limited += 1
            if reply.retry_after is not None:
                until = loop.time() + reply.retry_after
                self._not_before[model] = max(until, self._not_before.get(model, 0.0))
            else:
                await asyncio.sleep(BACKOFF.spread(attempt))
        raise UpstreamError("No attempt was made.")
