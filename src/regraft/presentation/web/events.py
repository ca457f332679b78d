"""Server-sent events: how a replay plan goes on, from its stored jobs, whichever process runs it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import StreamingResponse

from regraft.domain.errors import RegraftError
from regraft.infra.postgres.replay import plans as store
from regraft.presentation.web.reading_pool import Pool, read_from

POLL = 0.5  # seconds between two looks
_ALIVE = 15.0  # seconds of silence after which a comment keeps proxies from hanging up
_OVER = frozenset({"done", "failed", "stopped"})


async def replay_events(request: Request) -> StreamingResponse:
    """``progress`` whenever something changed, then ``end`` once the plan has ended. The data is the plan's figures."""
    pool: Pool = request.app.state.pool
    asked = str(request.path_params["id"])

    def begin(connection: Any) -> tuple[UUID, dict[str, Any]]:
        plan_id = store.resolve_plan(connection, asked)
        return plan_id, store.progress(connection, plan_id)

    plan_id, first = await run_in_threadpool(read_from, pool, begin)  # an unknown plan is a plain 404
    return StreamingResponse(_progress(pool, plan_id, first), media_type="text/event-stream")


async def _progress(pool: Pool, plan_id: UUID, row: dict[str, Any]) -> AsyncIterator[bytes]:
    told = b""
    silent = 0.0
    while True:
        figures = orjson.dumps(row)
        if row["state"] in _OVER:
            yield b"event: end\ndata: %b\n\n" % figures
            return
        if figures != told:
            yield b"event: progress\ndata: %b\n\n" % figures
            told, silent = figures, 0.0
        elif silent >= _ALIVE:
            yield b": still here\n\n"
            silent = 0.0
        await asyncio.sleep(POLL)
        silent += POLL
        try:
            row = await run_in_threadpool(read_from, pool, lambda found: store.progress(found, plan_id))
        except RegraftError as error:
            yield b"event: error\ndata: %b\n\n" % orjson.dumps({"message": str(error)})
            return
