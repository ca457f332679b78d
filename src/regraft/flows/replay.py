"""Grow nodes again: plan, call the gateway like any client, wait for the records, build the graph."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from regraft.domain.errors import NotFoundError
from regraft.domain.replay import Job, Origin, Variant, plan
from regraft.flows import lineage
from regraft.flows.arrival import wait_for
from regraft.flows.growing import Grow, Grown, Tally, Watcher, execute, grow_once
from regraft.infra.postgres import replay as store
from regraft.infra.postgres.pool import transaction

__all__ = ["Grow", "Grown", "ReplayCounts", "ReplayPlan", "grow_once", "prepare", "run"]

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
    grow: Grow = grow_once,
) -> ReplayCounts:
    """Run a plan's jobs, each grown by ``grow``, and return when their answers stand in the graph.

    A job that fails is counted and does not stop the others. ``keep`` and the errors are those of ``wait_for``.
    """
    watcher = _Collector(progress)
    asyncio.run(execute(gateway, planned.todo, concurrency, Tally(total=len(planned.todo)), watcher, None, grow))
    wait_for(dsn, watcher.turns, keep)
    lineage.build(dsn)
    return ReplayCounts(len(planned.todo), planned.done, watcher.turns, watcher.failures)


@dataclass(slots=True)
class _Collector(Watcher):
    progress: Progress | None
    turns: list[UUID] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def ended(self, job: Job, grown: Grown) -> None:
        self.turns.extend(grown.turns)
        if grown.failure is not None:
            self.failures.append(grown.failure)
        if self.progress:
            self.progress(1)
