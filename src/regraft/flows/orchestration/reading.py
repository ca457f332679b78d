"""Read taskifications: plans of subtasks, and the runs that made them and carried them out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from regraft.infra.postgres.lineage import reading
from regraft.infra.postgres.orchestration import taskification as store
from regraft.infra.postgres.pool import Source, reading_from

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskificationDetail:
    """A result with its ``plan``, and its ``runs`` in order."""

    taskification: Row
    runs: list[Row]


def taskifications(source: Source, limit: int, node: str | None = None) -> list[Row]:
    """Results without their plans, the newest first; ``node``: only those for this one, by id or the start of it."""
    with reading_from(source) as connection:
        return store.recent(connection, limit, reading.resolve_node(connection, node) if node else None)


def taskification(source: Source, text: str) -> TaskificationDetail:
    """A result by its id or the start of it. Raises UsageError or NotFoundError."""
    with reading_from(source) as connection:
        found = store.one(connection, store.resolve(connection, text))
        wanted: UUID = found["taskification_id"]
        return TaskificationDetail(taskification=found, runs=store.steps(connection, wanted))


def counts(source: Source) -> dict[str, int]:
    """Results by how they ended, and ``rows`` in all."""
    with reading_from(source) as connection:
        return store.counts(connection)
