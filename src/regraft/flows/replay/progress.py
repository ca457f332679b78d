"""Read replay plans: the latest ones, one in detail, and how far it is. Takes a DSN or a connection of the caller's."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from regraft.infra.postgres.pool import Source, connect, reading_from
from regraft.infra.postgres.replay import plans as store

Row = dict[str, Any]
POLL = 0.5  # seconds between two looks at a running plan
OVER = frozenset({"done", "failed", "stopped"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanDetail:
    """``progress``: state and figures; ``definition``: JSON text as stored; ``experiment``: its TOML, if there was one;
    ``failures``: reasons with their counts of jobs."""

    plan_id: UUID
    progress: Row
    definition: str
    experiment: str | None
    failures: list[Row]
    jobs: list[Row]


def plans(source: Source, limit: int) -> list[Row]:
    """State and figures of the latest plans."""
    with reading_from(source) as connection:
        return store.plans(connection, limit)


def plan_id(source: Source, plan: str) -> UUID:
    """The id of a plan, from the start of it. Raises UsageError or NotFoundError."""
    with reading_from(source) as connection:
        return store.resolve_plan(connection, plan)


def plan(source: Source, plan: str) -> PlanDetail:
    """A plan by its id or the start of it, with its jobs. Raises UsageError or NotFoundError."""
    with reading_from(source) as connection:
        found = store.resolve_plan(connection, plan)
        stored = store.get_plan(connection, found)
        return PlanDetail(
            plan_id=found,
            progress=store.progress(connection, found),
            definition=stored["definition"],
            experiment=stored["experiment"],
            failures=store.failures(connection, found),
            jobs=store.jobs(connection, found),
        )


def progress(source: Source, plan_id: UUID) -> Row:
    """State and figures of a plan. Raises NotFoundError."""
    with reading_from(source) as connection:
        return store.progress(connection, plan_id)


def follow(dsn: str, plan: str, *, poll: float = POLL) -> Iterator[Row]:
    """State and figures of a plan, every ``poll`` seconds while it runs, and once more at its end."""
    with connect(dsn, autocommit=True) as connection:
        found = store.resolve_plan(connection, plan)
        while (row := store.progress(connection, found))["state"] == "running":
            yield row
            time.sleep(poll)
        yield row
