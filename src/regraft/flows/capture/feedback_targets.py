"""Answers gateways, which have no database, whether the target of feedback is stored."""

from __future__ import annotations

import asyncio
import contextlib
import logging

import psycopg

from regraft.domain.errors import UnavailableError
from regraft.infra.backoff import Backoff
from regraft.infra.nats.questions import FeedbackTarget, TargetAnswers
from regraft.infra.postgres.capture import feedback_targets as store
from regraft.infra.postgres.pool import Connection, connect

_BACKOFF = Backoff(0.5, 10.0)

log = logging.getLogger(__name__)


class FeedbackTargets:
    """Looks targets up, one at a time, on its own connection. Belongs to the running event loop."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: Connection | None = None
        self._turn = asyncio.Lock()

    async def is_stored(self, target: FeedbackTarget) -> bool | None:
        """Whether the target is stored for its tenant; None while PostgreSQL is away."""
        async with self._turn:
            return await asyncio.to_thread(self._look, target)

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _look(self, target: FeedbackTarget) -> bool | None:
        try:
            if self._connection is None:
                self._connection = connect(self._dsn, autocommit=True, name="regraft-feedback")
            if target.turn_id is not None:
                return store.turn_is_stored(self._connection, target.scope, target.turn_id)
            return store.session_is_stored(self._connection, target.scope, target.session_id, target.session_claim)
        except (psycopg.Error, UnavailableError) as error:
            log.warning("the target of feedback cannot be looked up: %s", error)
            self.close()
            return None


async def answer_gateways(dsn: str, nats_url: str, stop: asyncio.Event) -> None:
    """Answer until ``stop`` is set. While NATS is away gateways keep feedback unasked."""
    targets, answers, failures = FeedbackTargets(dsn), None, 0
    try:
        while answers is None and not stop.is_set():
            try:
                answers = await TargetAnswers.begin(nats_url, targets.is_stored)
            except UnavailableError as error:
                failures += 1
                log.debug("gateways are not answered yet: %s", error)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), _BACKOFF.after(failures))
        await stop.wait()
    finally:
        if answers is not None:
            await answers.aclose()
        targets.close()
