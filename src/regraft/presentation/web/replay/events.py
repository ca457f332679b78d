"""Server-sent events: the progress of a replay plan, read from its stored jobs, whichever process runs it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import datetime
from uuid import UUID

import orjson
from starlette.concurrency import run_in_threadpool

from regraft.domain.errors import RegraftError
from regraft.flows.replay.progress import OVER, POLL
from regraft.presentation.web.answer import Model, encode
from regraft.presentation.web.stopping import Stopping

_KEEP_ALIVE = 15.0  # seconds of silence after which a comment keeps proxies from closing the connection


class Progress(Model):
    """How far a replay plan is. ``*_now`` counts since its latest start.

    ``state``: planned, running, done, failed (some jobs), interrupted (its process died) or stopped. ``stopped`` says
    by what: budget, cancelled, shutdown, or error, which ``error`` tells.
    """

    plan_id: UUID
    name: str
    theme: str | None
    concurrency: int
    budget_tokens: int | None
    budget_money: float | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    stopped: str
    state: str
    jobs: int
    nodes: int
    planned: int
    running: int
    done: int
    failed: int
    skipped: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    ended_now: int
    completion_tokens_now: int
    last_ended_at: datetime | None
    cancel_requested_at: datetime | None
    error: str


async def progress_events(read: Callable[[], Progress], stopping: Stopping) -> AsyncIterator[bytes]:
    """``progress`` whenever the figures changed, then ``end`` once the plan has ended, or ``error``. Where the server
    stops before that, it ends without a last event, and the browser comes back."""
    sent = b""
    silent = 0.0
    ended = False
    while not ended:
        try:
            progress = await run_in_threadpool(read)
        except RegraftError as error:
            yield b"event: error\ndata: %b\n\n" % orjson.dumps({"message": str(error)})
            return
        figures = encode(progress)
        if progress.state in OVER:
            yield b"event: end\ndata: %b\n\n" % figures
            return
        if figures != sent:
            yield b"event: progress\ndata: %b\n\n" % figures
            sent, silent = figures, 0.0
        elif silent >= _KEEP_ALIVE:
            yield b": keep-alive\n\n"
            silent = 0.0
        ended = await stopping.wait(POLL)
        silent += POLL
