"""Run the jobs of a plan: several at a time, each with one call or a given function, within a budget."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import uvloop

from regraft.domain.capture.dialects import dialect_of
from regraft.domain.errors import RegraftError
from regraft.domain.lineage.turn import INTERNAL_SESSION
from regraft.domain.replay.budget import Budget, TokenSpend
from regraft.domain.replay.job import Job
from regraft.domain.usage import tokens
from regraft.infra.gateway_endpoint import GatewayEndpoint
from regraft.infra.llm.client import GatewayClient, GatewayReply
from regraft.infra.llm.retrying_client import RetryingClient


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResult:
    """The result of a job. ``turns`` are its captured calls in order: the last one is the job's answer.

    ``failure`` says in a line why there is none; the job is then run again by the next replay. ``spent`` are the
    tokens of all its calls.
    """

    turns: tuple[UUID, ...] = ()
    failure: str | None = None
    spent: TokenSpend = field(default_factory=TokenSpend)


# One job, from its first call to its last. A RegraftError that it raises is the job's failure. Only the call that
# finishes the job may bear ``job.label()``: a fingerprint found in the log counts as done.
Grow = Callable[[RetryingClient, Job], Awaitable[JobResult]]


Stop = Callable[[], str]  # why no more jobs are to be started; empty: they are


def never() -> str:
    """Nothing stops a plan but its end."""
    return ""


async def run_single_call(caller: RetryingClient, job: Job) -> JobResult:
    """One call, one answer."""
    reply = await caller.post(job.endpoint, job.body, identity_of(job), job.model)
    turns = (reply.turn_id,) if reply.turn_id else ()
    if reply.status >= 400:
        return JobResult(turns=turns, failure=refusal(reply))
    return JobResult(turns=turns, spent=spent_in(reply, job.endpoint))


def identity_of(job: Job) -> dict[str, str]:
    """The X-Regraft values of the call that answers a job: the node that it re-runs, and what was changed."""
    identity = {
        "session": f"{INTERNAL_SESSION}{job.origin.session_id}",
        "replay-node": str(job.origin.node_id),
        "purpose": "replay",
        "variant": job.label(),
    }
    return {**identity, "plan": job.plan} if job.plan else identity


def refusal(reply: GatewayReply) -> str:
    """Why a call failed, in a line."""
    return f"HTTP {reply.status}: {' '.join(reply.body[:300].decode('utf-8', 'replace').split())}"


def spent_in(reply: GatewayReply, endpoint: str) -> TokenSpend:
    """The tokens that an answer tells of."""
    usage = dialect_of(endpoint).read_answer(reply.body, reply.content_type).usage
    found = tokens(usage or {})
    return TokenSpend(found.prompt or 0, found.completion or 0, found.cached or 0)


@dataclass(slots=True)
class Tally:
    """The progress of a plan's jobs. ``spent`` is by model, and holds what earlier runs of the plan spent."""

    total: int = 0
    done: int = 0
    failed: int = 0
    running: int = 0
    completed_tokens: int = 0  # of this run's answers
    limited: int = 0  # answers that said "later"
    spent: dict[str, TokenSpend] = field(default_factory=dict)
    stopped: str = ""  # what kept the rest from being started: "budget", or what ``stop`` said

    def add(self, job: Job, grown: JobResult) -> None:
        """A job has ended."""
        self.spent[job.model] = self.spent.get(job.model, TokenSpend()) + grown.spent
        self.completed_tokens += grown.spent.completion
        if grown.failure is None:
            self.done += 1
        else:
            self.failed += 1


class JobWatcher:
    """Is called at each job's beginning and end. This one does nothing."""

    def began(self, job: Job) -> None:
        """The job's first call is about to be made."""

    def ended(self, job: Job, grown: JobResult) -> None:
        """The job has an answer, or has failed."""


async def execute(
    gateway: GatewayEndpoint | str,
    jobs: Sequence[Job],
    concurrency: int,
    tally: Tally,
    watcher: JobWatcher,
    budget: Budget | None = None,
    grow: Grow = run_single_call,
    theme: str | None = None,
    stop: Stop = never,
) -> None:
    """Run jobs in order, ``concurrency`` at a time; their calls name the ``theme``.

    A job that fails does not stop the others; a spent budget does, and ``stop`` once it says why: jobs that were
    started are finished. Raises KeyRefusedError where none can be asked.
    """
    waiting = deque(jobs)
    limits = budget or Budget()
    async with GatewayClient(gateway) as client:
        caller = RetryingClient(client, theme=theme)

        async def work() -> None:
            while waiting:
                if why := "budget" if limits.spent(tally.spent) else stop():
                    tally.stopped = why
                    return
                job = waiting.popleft()
                tally.running += 1
                watcher.began(job)
                try:
                    grown = await grow(caller, job)
                except RegraftError as error:
                    grown = JobResult(failure=str(error))
                finally:
                    tally.running -= 1
                if client.refused is not None:
                    raise client.refused  # nor will the gateway let any other job in
                tally.limited = caller.limited
                tally.add(job, grown)
                watcher.ended(job, grown)

        async with asyncio.TaskGroup() as group:
            for _ in range(min(concurrency, len(jobs))):
                group.create_task(work())


def run_async(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine in a separate event loop. Of an exception group, the first leaf is raised alone."""
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(work)
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from None
