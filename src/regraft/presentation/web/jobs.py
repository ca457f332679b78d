"""Routes of work in the background of this process: what exists, how far it is, and stopping it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Annotated
from uuid import UUID

import orjson
from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import StreamingResponse

from regraft.domain.errors import NotFoundError, UsageError
from regraft.flows.background import Background, BackgroundJob, State
from regraft.flows.reader import ScopedReader
from regraft.presentation.web.answer import FailedReply, JsonReply, Model, encode
from regraft.presentation.web.request import Admin, Truth
from regraft.presentation.web.stopping import ServerStopping, Stopping

router = APIRouter(tags=["jobs"])

_POLL = 0.25  # seconds between two looks, which are at this process's own memory
_KEEP_ALIVE = 15.0


class BackgroundWork(Model):
    """Work in the background: ``done`` of ``total`` of a ``step``, 0 where that is not known. ``key`` is what it is
    about, such as the id of a replay plan."""

    job_id: UUID
    name: str
    key: str
    state: State
    step: str
    done: int
    total: int
    error: str
    created_at: datetime
    ended_at: datetime | None


class BackgroundJobs(Model):
    """Work in the background, the newest first. What ended long ago, or before this process, is forgotten."""

    jobs: list[BackgroundWork]


async def _backgrounds(request: Request) -> tuple[Background, ...]:
    replays = request.app.state.replays
    return (request.app.state.background, *((replays.background,) if replays is not None else ()))


Backgrounds = Annotated[tuple[Background, ...], Depends(_backgrounds)]


@router.get("/jobs", response_model=BackgroundJobs)
def background_jobs(
    truth: Truth, backgrounds: Backgrounds, name: Annotated[str | None, Query(description="Only of this name.")] = None
) -> JsonReply:
    """Work that runs, waits or ended lately."""
    _require_valid(truth)
    found = [job for each in backgrounds for job in each.jobs(name, truth.scope)]
    found.sort(key=lambda job: job.created_at, reverse=True)
    return JsonReply(BackgroundJobs(jobs=[_shown(job) for job in found]))


@router.get("/jobs/{id}", response_model=BackgroundWork)
def background_job(id: UUID, truth: Truth, backgrounds: Backgrounds) -> JsonReply:
    """How far a piece of work is."""
    _require_valid(truth)
    return JsonReply(_shown(_holder(backgrounds, id, truth.scope).find(id, truth.scope)))


@router.get(
    "/jobs/{id}/events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
)
def background_job_events(
    id: UUID, truth: Truth, backgrounds: Backgrounds, stopping: ServerStopping
) -> StreamingResponse:
    """Server-sent events: `progress` after every change, then `end`. The data of both is the job."""
    _require_valid(truth)
    holder = _holder(backgrounds, id, truth.scope)

    def look() -> BackgroundJob:
        _require_valid(truth)
        return holder.find(id, truth.scope)

    return StreamingResponse(_events(look, stopping), media_type="text/event-stream")


@router.post(
    "/jobs/{id}/cancel",
    response_model=BackgroundWork,
    responses={403: {"model": FailedReply, "description": "This token may not do that."}},
)
def cancel_background_job(id: UUID, admin: Admin, truth: Truth, backgrounds: Backgrounds) -> JsonReply:
    """Stop it: at once while it waits, else when it next looks. Of work that is over nothing changes."""
    return JsonReply(_shown(_holder(backgrounds, id, truth.scope).cancel(id, truth.scope)))


def _require_valid(truth: ScopedReader) -> None:
    if not truth.grant.holds():
        raise UsageError("This token is no longer valid. Ask for a new one.")


def _holder(backgrounds: tuple[Background, ...], job_id: UUID, scope: str | None) -> Background:
    """Where a job is that the tenant ``scope`` may see. Raises NotFoundError."""
    for each in backgrounds[:-1]:
        try:
            each.find(job_id, scope)
        except NotFoundError:
            continue
        return each
    backgrounds[-1].find(job_id, scope)
    return backgrounds[-1]


def _shown(job: BackgroundJob) -> BackgroundWork:
    return BackgroundWork(**{name: getattr(job, name) for name in BackgroundWork.model_fields})


async def _events(look: Callable[[], BackgroundJob], stopping: Stopping) -> AsyncIterator[bytes]:
    sent, silent = b"", 0.0
    ended = False
    while not ended:
        try:
            job = look()
        except (NotFoundError, UsageError) as error:
            yield b"event: error\ndata: %b\n\n" % orjson.dumps({"message": str(error)})
            return
        figures = encode(_shown(job))
        if job.is_over:
            yield b"event: end\ndata: %b\n\n" % figures
            return
        if figures != sent:
            yield b"event: progress\ndata: %b\n\n" % figures
            sent, silent = figures, 0.0
        elif silent >= _KEEP_ALIVE:
            yield b": keep-alive\n\n"
            silent = 0.0
        ended = await stopping.wait(_POLL)
        silent += _POLL
