"""Routes of the traffic: the latest calls, and each further one as it is stored."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

import orjson
from fastapi import APIRouter, Header, Query
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from regraft.domain.capture.live_call import LiveCall as StoredCall
from regraft.domain.errors import RegraftError
from regraft.flows.capture.live import LiveFeed, recent_calls
from regraft.presentation.web.answer import JsonReply, Model, encode, fields_of
from regraft.presentation.web.request import Limit, Truth
from regraft.presentation.web.stopping import ServerStopping, Stopping

router = APIRouter(prefix="/live", tags=["live"])

_POLL = 1.0  # seconds between looks at the log
_KEEP_ALIVE = 15.0  # seconds of silence after which a comment keeps proxies from closing the connection
_RETRY = 2000  # milliseconds after which a browser connects again


@fields_of(StoredCall)
class LiveCall(Model):
    """A call. ``caller`` asked ``model`` of ``upstream``; ``step`` is that of an orchestrator's plan ``plan_id``.

    Times are in milliseconds. ``question`` is the beginning of a user's message that came last. A call without a turn
    (an attempt that was retried, a request without messages) has no session.
    """


class LiveCalls(Model):
    """Calls in the order in which they were stored. ``last`` is the number to continue from, in `Last-Event-ID`."""

    calls: list[LiveCall]
    last: int


@router.get("/recent", response_model=LiveCalls)
def recent_live_calls(truth: Truth, limit: Limit = 100) -> JsonReply:
    """The latest stored calls."""
    with truth.connection() as connection:
        calls = recent_calls(connection, truth.scope, limit)
    return JsonReply(
        LiveCalls(calls=[LiveCall.from_record(call) for call in calls], last=calls[-1].seq if calls else 0)
    )


@router.get(
    "/events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}, "description": "Events `call`, then `failure`."}},
)
async def live_events(
    truth: Truth,
    stopping: ServerStopping,
    after: Annotated[int | None, Query(ge=0, description="`last` of the latest calls, for the first request.")] = None,
    last_event_id: Annotated[int | None, Header(ge=0, description="Number of the last known call.")] = None,
) -> StreamingResponse:
    """Server-sent events: each call once it is stored, behind `Last-Event-ID`, else `after`, else from now on."""
    known = after if last_event_id is None else last_event_id
    headers = {"X-Accel-Buffering": "no"}
    return StreamingResponse(_events(truth, known, stopping), media_type="text/event-stream", headers=headers)


async def _events(truth: Truth, after: int | None, stopping: Stopping) -> AsyncIterator[bytes]:
    feed = LiveFeed(truth.connection, truth.scope, after)
    yield b"retry: %d\n\n" % _RETRY
    silent = 0.0
    ended = False
    while not ended:
        try:
            calls = await run_in_threadpool(feed.next)
        except RegraftError as error:
            yield b"event: failure\ndata: %b\n\n" % orjson.dumps({"message": str(error)})
            return
        for call in calls:
            yield b"id: %d\nevent: call\ndata: %b\n\n" % (call.seq, encode(LiveCall.from_record(call)))
        silent = 0.0 if calls else silent + _POLL
        if silent >= _KEEP_ALIVE:
            yield b": keep-alive\n\n"
            silent = 0.0
        ended = await stopping.wait(_POLL)
