"""Grow nodes again: plan, call the gateway like any client, wait for the records, build the graph."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from regraft.domain.errors import NotFoundError, UpstreamError
from regraft.domain.replay import Job, Origin, Variant, plan
from regraft.domain.turn import INTERNAL_SESSION
from regraft.flows import lineage
from regraft.flows.arrival import wait_for
from regraft.infra.llm.client import GatewayClient
from regraft.infra.postgres import replay as store
from regraft.infra.postgres.pool import transaction

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class ReplayPlan:
    """``todo`` are the jobs to run; ``done`` how many of all were finished by an earlier replay."""

    origins: list[Origin]
    todo: list[Job]
    done: int


@dataclass(frozen=True, slots=True)
class ReplayCounts:
    """How the jobs ended. ``turns`` are the ids of the captured calls; ``failures`` say why calls failed, in a line."""

    ran: int
    skipped: int
    turns: list[UUID]
    failures: list[str]


def prepare(
    dsn: str, nodes: Collection[UUID], variants: Sequence[Variant], samples: int = 1, *, again: bool = False
) -> ReplayPlan:
    """The plan of a replay. Raises NotFoundError for a node that was never asked anything."""
    with transaction(dsn) as connection:
        origins = store.origins(connection, nodes)
        missing = set(nodes) - {origin.node_id for origin in origins}
        if missing:
            raise NotFoundError(f"Node {min(missing)} has no call that could be replayed (it is a root, or unknown).")
        jobs = plan(origins, variants, samples)
        finished = {} if again else store.finished(connection, {origin.session_id for origin in origins})
    todo = [job for job in jobs if job.fingerprint not in finished]
    return ReplayPlan(origins, todo, len(jobs) - len(todo))


def run(
    dsn: str,
    gateway: str,
    planned: ReplayPlan,
    concurrency: int = 1,
    progress: Progress | None = None,
    keep: Callable[[], None] | None = None,
) -> ReplayCounts:
    """Run a plan's jobs and return when their answers stand in the graph.

    A job that fails is counted and does not stop the others. ``keep`` and the errors are those of ``wait_for``.
    """
    turns, failures = asyncio.run(_call(gateway, planned.todo, concurrency, progress))
    wait_for(dsn, turns, keep)
    lineage.build(dsn)
    return ReplayCounts(len(planned.todo), planned.done, turns, failures)


async def _call(
    gateway: str, jobs: Sequence[Job], concurrency: int, progress: Progress | None
) -> tuple[list[UUID], list[str]]:
    turns: list[UUID] = []
    failures: list[str] = []
    places = asyncio.Semaphore(concurrency)
    async with GatewayClient(gateway) as client:

        async def one(job: Job) -> None:
            async with places:
                try:
                    reply = await client.chat(job.body, _identity(job))
                except UpstreamError as error:
                    failures.append(str(error))
                    return
                finally:
                    if progress:
                        progress(1)
            if reply.turn_id:
                turns.append(reply.turn_id)
            if reply.status >= 400:
                failures.append(f"HTTP {reply.status}: {reply.body[:300].decode('utf-8', 'replace')}")

        await asyncio.gather(*(one(job) for job in jobs))
    return turns, failures


def _identity(job: Job) -> dict[str, str]:
    return {
        "session": f"{INTERNAL_SESSION}{job.origin.session_id}",
        "replay-node": str(job.origin.node_id),
        "purpose": "replay",
        "variant": job.label(),
    }
