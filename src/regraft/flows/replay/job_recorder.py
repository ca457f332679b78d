"""Stores the progress of a replay plan's jobs while they run, in batches; calls do not wait for it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

from regraft.domain.replay.budget import Budget
from regraft.domain.replay.job import Job
from regraft.flows.replay.execution import Grow, JobResult, JobWatcher, Stop, Tally, execute, never
from regraft.infra.gateway_endpoint import GatewayEndpoint
from regraft.infra.postgres.pool import Connection
from regraft.infra.postgres.replay import plans as store
from regraft.infra.telemetry.bounded_labels import BoundedLabels
from regraft.infra.telemetry.emitter import emit
from regraft.infra.telemetry.facts import JobEnded

Progress = Callable[[int], None]

_FLUSH = 0.2  # seconds between two notes of what became of jobs
_BEAT = 1.0
OPEN_STATES = ("planned", "running", "failed")  # of jobs that a plan still has to run


class JobRecorder(JobWatcher):
    """Collects the changes of jobs on the event loop, and stores them from a worker thread."""

    def __init__(
        self, connection: Connection, plan_id: UUID, numbers: Mapping[str, int], progress: Progress | None
    ) -> None:
        self.turns: list[UUID] = []
        self.failures: list[str] = []
        self._connection = connection
        self._plan_id = plan_id
        self._numbers = numbers
        self._progress = progress
        self._cancelled = False
        self._changes: dict[int, store.JobChange] = {}
        self._started: dict[int, float] = {}
        self._label = BoundedLabels()
        # The event loop adds changes; a worker thread takes them away to store them.
        self._lock = threading.Lock()

    def began(self, job: Job) -> None:
        number = self._numbers[job.fingerprint]
        self._started[number] = time.monotonic()
        self._add(store.JobChange(number=number, state="running", started_at=datetime.now(UTC)))

    def ended(self, job: Job, grown: JobResult) -> None:
        number = self._numbers[job.fingerprint]
        failure = grown.failure
        self._add(
            store.JobChange(
                number=number,
                state="done" if failure is None else "failed",
                turn_id=grown.turns[-1] if grown.turns else None,
                # PostgreSQL holds no NUL, and no lone surrogate, in text.
                failure=failure.replace("\0", "?").encode("utf-8", "replace").decode() if failure is not None else None,
                spent=grown.spent,
                ended_at=datetime.now(UTC),
            )
        )
        emit(
            JobEnded(
                status="done" if failure is None else "failed",
                model=self._label(job.model),
                seconds=time.monotonic() - self._started.pop(number, time.monotonic()),
            )
        )
        self.turns.extend(grown.turns)
        if failure is not None:
            self.failures.append(failure)
        if self._progress:
            self._progress(1)

    def note_found(self, found: Mapping[str, store.FinishedCall], states: Mapping[str, str]) -> None:
        """Answers that an earlier driver got, and could not note any more."""
        now = datetime.now(UTC)
        for mark, answer in found.items():
            if states[mark] in OPEN_STATES:
                number = self._numbers[mark]
                self._add(
                    store.JobChange(
                        number=number, state="done", turn_id=answer.turn_id, spent=answer.spent, ended_at=now
                    )
                )
                self.turns.append(answer.turn_id)
        self.flush()

    def _add(self, change: store.JobChange) -> None:
        with self._lock:
            before = self._changes.get(change.number)
            started_at = change.started_at or (before.started_at if before else None)
            self._changes[change.number] = replace(change, started_at=started_at)

    def flush(self) -> None:
        """Store what is not stored yet."""
        with self._lock:
            changes, self._changes = self._changes, {}
        if changes:
            store.update_jobs(self._connection, self._plan_id, list(changes.values()))

    async def drive(
        self,
        gateway: GatewayEndpoint | str,
        todo: Sequence[Job],
        concurrency: int,
        tally: Tally,
        budget: Budget,
        grow: Grow,
        theme: str | None,
        stop: Stop = never,
    ) -> None:
        """Run the jobs, and store meanwhile how they go. No more are started once ``stop`` says why not, or the stored
        plan that it was cancelled."""
        over = asyncio.Event()

        def why_stop() -> str:
            return "cancelled" if self._cancelled else stop()

        async def work() -> None:
            try:
                await execute(gateway, todo, concurrency, tally, self, budget, grow, theme, why_stop)
            finally:
                over.set()

        async with asyncio.TaskGroup() as group:
            group.create_task(work())
            group.create_task(self._keep_storing(over))

    async def _keep_storing(self, over: asyncio.Event) -> None:
        beat = 0.0
        while not over.is_set():
            await asyncio.to_thread(self.flush)
            if time.monotonic() - beat > _BEAT:
                self._cancelled |= await asyncio.to_thread(store.beat, self._connection, self._plan_id)
                beat = time.monotonic()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), _FLUSH)
