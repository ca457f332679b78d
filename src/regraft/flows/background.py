"""Work that takes longer than a request, in threads of a process that serves: its state can be read, and it is stopped
when it is cancelled or the process ends."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from threading import Condition, Event, Thread
from typing import Any, Literal, TypeAlias
from uuid import UUID, uuid4

from regraft.domain.errors import NotFoundError, RegraftError, UnavailableError

State = Literal["waiting", "running", "done", "failed", "cancelled"]

_BUG = "This is a bug in Regraft. The log of `regraft web` has the details."
_PATIENCE = 5.0  # seconds that stopping waits for work to notice

_log = logging.getLogger(__name__)


class CancelledWorkError(RegraftError):
    """The work was cancelled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackgroundJob:
    """A piece of work as it is now; ``about`` says on what, for people. ``done`` of ``total`` of a ``step`` are
    finished; a ``total`` of 0 is not known.

    ``result`` is what the work returned, ``error`` what it raised: a known error's message, or that it is a bug.
    ``scope`` is the tenant that it was started for, None for all. ``failure`` is the error itself.
    """

    job_id: UUID
    name: str
    about: str
    key: str
    scope: str | None
    state: State
    step: str
    done: int
    total: int
    result: Any
    error: str
    failure: RegraftError | None
    created_at: datetime
    ended_at: datetime | None

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state in ("done", "failed", "cancelled")


class Work:
    """The handle that work receives: it reports progress, and stops the work once it is cancelled."""

    def __init__(self, report: Callable[[str, int, int], None]) -> None:
        self._report = report
        self.cancelled = Event()

    def progress(self, step: str, done: int, total: int) -> None:
        """Say how far the work is. Raises CancelledWorkError once it is cancelled."""
        if self.cancelled.is_set():
            raise CancelledWorkError
        self._report(step, done, total)


_Function: TypeAlias = Callable[[Work], Any]


@dataclass(slots=True)
class _Entry:
    job: BackgroundJob
    function: _Function
    work: Work


class Background:
    """At most ``workers`` pieces of work at once, ``waiting`` more in a line; the last ``kept`` that are over can be
    read. Threads start when they are needed."""

    def __init__(self, *, workers: int = 2, waiting: int = 32, kept: int = 100) -> None:
        self._workers, self._waiting, self._kept = workers, waiting, kept
        self._entries: dict[UUID, _Entry] = {}
        self._line: deque[UUID] = deque()
        self._threads: list[Thread] = []
        self._idle = 0
        self._closed = False
        self._changed = Condition()

    def start(
        self,
        name: str,
        function: _Function,
        *,
        about: str = "",
        key: str = "",
        scope: str | None = None,
        replaces: bool = False,
    ) -> BackgroundJob:
        """Run a function in the background. ``key``: what it is about; while work of one key continues, it is answered
        in place of more of the same, or cancelled where the new one ``replaces`` it.

        Raises UnavailableError when too much is waiting already.
        """
        with self._changed:
            if self._closed:
                raise UnavailableError("This server is stopping.")
            for entry in [one for one in self._entries.values() if key and one.job.key == key and not one.job.is_over]:
                if not replaces:
                    return entry.job
                self._cancel(entry)
            if len(self._line) >= self._waiting:
                raise UnavailableError("Too many jobs are waiting. Try again later.")
            job = BackgroundJob(
                job_id=uuid4(),
                name=name,
                about=about,
                key=key,
                scope=scope,
                state="waiting",
                step="",
                done=0,
                total=0,
                result=None,
                error="",
                failure=None,
                created_at=datetime.now(UTC),
                ended_at=None,
            )
            work = Work(lambda step, done, total: self._update(job.job_id, step=step, done=done, total=total))
            self._entries[job.job_id] = _Entry(job, function, work)
            self._line.append(job.job_id)
            if not self._idle and len(self._threads) < self._workers:
                thread = Thread(target=self._run, name=f"regraft-background-{len(self._threads)}", daemon=True)
                self._threads.append(thread)
                thread.start()
            self._changed.notify()
            return job

    def find(self, job_id: UUID, scope: str | None = None) -> BackgroundJob:
        """A job, if the tenant ``scope`` may see it; None: of any tenant. Raises NotFoundError."""
        with self._changed:
            entry = self._entries.get(job_id)
            if entry is None or (scope is not None and entry.job.scope != scope):
                raise NotFoundError(f"There is no job {job_id}: it ended long ago, or the server was started again.")
            return entry.job

    def jobs(self, name: str | None = None, scope: str | None = None) -> list[BackgroundJob]:
        """Jobs that the tenant ``scope`` may see, the newest first; ``name``: of this name only."""
        with self._changed:
            found = [one.job for one in self._entries.values()]
        return [one for one in reversed(found) if name in (None, one.name) and scope in (None, one.scope)]

    def cancel(self, job_id: UUID, scope: str | None = None) -> BackgroundJob:
        """Stop a job: at once while it waits, else when it next says how far it is. Raises NotFoundError."""
        self.find(job_id, scope)
        with self._changed:
            self._cancel(self._entries[job_id])
            return self._entries[job_id].job

    def close(self) -> None:
        """Cancel everything, and wait a little for it to stop."""
        with self._changed:
            self._closed = True
            for entry in self._entries.values():
                self._cancel(entry)
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(_PATIENCE)

    def _cancel(self, entry: _Entry) -> None:
        entry.work.cancelled.set()
        if entry.job.state == "waiting":
            self._line.remove(entry.job.job_id)
            entry.job = replace(entry.job, state="cancelled", ended_at=datetime.now(UTC))

    def _update(self, job_id: UUID, **changes: Any) -> None:
        with self._changed:
            entry = self._entries[job_id]
            entry.job = replace(entry.job, **changes)

    def _run(self) -> None:
        while entry := self._next():
            changes: dict[str, Any]
            try:
                changes = {"state": "done", "result": entry.function(entry.work)}
            except CancelledWorkError:
                changes = {"state": "cancelled"}
            except RegraftError as error:
                changes = {"state": "failed", "error": str(error), "failure": error}
            except Exception:  # noqa: BLE001 - the edge of a thread: nothing else would report it
                _log.exception("%s failed", entry.job.name)
                changes = {"state": "failed", "error": _BUG}
            self._update(entry.job.job_id, ended_at=datetime.now(UTC), **changes)

    def _next(self) -> _Entry | None:
        with self._changed:
            self._forget()
            while not self._line and not self._closed:
                self._idle += 1
                self._changed.wait()
                self._idle -= 1
            if self._closed:
                return None
            entry = self._entries[self._line.popleft()]
            entry.job = replace(entry.job, state="running")
            return entry

    def _forget(self) -> None:
        over = [job_id for job_id, entry in self._entries.items() if entry.job.is_over]
        for job_id in over[: max(0, len(over) - self._kept)]:
            del self._entries[job_id]
