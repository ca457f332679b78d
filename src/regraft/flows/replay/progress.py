"""Read replay plans: the latest ones, one in detail, and how far it is. Takes a DSN or a connection of the caller's."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from regraft.domain.evaluation.trajectory import printable
from regraft.domain.ids import canonical_json, parse_json, plain
from regraft.domain.replay.comparison import changes_in_words
from regraft.infra.postgres.pool import Source, connect, reading_from, transaction
from regraft.infra.postgres.replay import plans as store

Row = dict[str, Any]
POLL = 0.5  # seconds between two looks at a running plan
_NODES = 200
_CHANGES = 3
OVER = frozenset({"done", "failed", "stopped"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanDetail:
    """``progress``: state and figures; ``definition``: JSON text as stored; ``experiment``: its TOML, if there was one;
    ``refused``: nodes without jobs, by reason; ``failures``: reasons with their counts of jobs. ``variants`` and the
    first 200 ``nodes`` say how far each is; ``words`` of a variant say what it changes."""

    plan_id: UUID
    progress: Row
    definition: str
    experiment: str | None
    refused: dict[str, int]
    failures: list[Row]
    jobs: list[Row]
    variants: list[Row]
    nodes: list[Row]


def plans(
    source: Source,
    limit: int,
    *,
    scope: str | None = None,
    before: datetime | None = None,
    before_id: UUID | None = None,
) -> list[Row]:
    """State and figures of the latest plans, with ``changes``, their first variants in words, and ``variants``, how
    many they have; the next page starts before the last row's ``created_at``, ``plan_id``.

    A tenant, ``scope``, sees the plans whose nodes are all its own.
    """
    with reading_from(source) as connection:
        rows = store.plans(connection, limit, scope=scope, before=before, before_id=before_id)
    found = []
    for row in rows:
        words = _words(row.pop("definition"))
        found.append({**row, "changes": words[:_CHANGES], "variants": len(words)})
    return found


def plan_id(source: Source, plan: str, scope: str | None = None) -> UUID:
    """The id of a plan that ``scope`` may see, from the start of it. Raises UsageError or NotFoundError."""
    with reading_from(source) as connection:
        return store.resolve_plan(connection, plan, scope)


def plan(
    source: Source, plan: str, *, scope: str | None = None, after: int | None = None, limit: int | None = None
) -> PlanDetail:
    """A plan by its id or the start of it, with its jobs: ``limit`` at most after the number ``after``.

    A tenant, ``scope``, sees no experiment, nor by which conditions the nodes were chosen. Raises UsageError or
    NotFoundError, also for a plan that ``scope`` may not see.
    """
    with reading_from(source) as connection:
        found = store.resolve_plan(connection, plan, scope)
        stored = store.get_plan(connection, found)
        if scope is not None:  # what the nodes were chosen among may be of others
            asked = {name: value for name, value in parse_json(stored["definition"]).items() if name != "nodes"}
            stored = {**stored, "definition": canonical_json(asked), "experiment": None, "refused": {}}
        return PlanDetail(
            plan_id=found,
            progress=store.progress(connection, found),
            definition=stored["definition"],
            experiment=stored["experiment"],
            refused=stored["refused"],
            failures=store.failures(connection, found),
            jobs=store.jobs(connection, found, scope=scope, after=after, limit=limit),
            variants=_in_words(store.variants_of_plan(connection, found), stored["definition"]),
            nodes=store.nodes_of_plan(connection, found, _NODES),
        )


def _in_words(rows: list[Row], definition: str) -> list[Row]:
    known = _words(definition)
    return [{**row, "words": known[at] if (at := row["variant_index"]) < len(known) else ""} for row in rows]


def _words(definition: str) -> list[str]:
    """What each variant of a plan changes; '' of one that was erased."""
    variants = plain(parse_json(definition)).get("variants")
    stored = variants if isinstance(variants, list) else []
    return [printable(changes_in_words(each)) if isinstance(each, dict) else "" for each in stored]


def progress(source: Source, plan_id: UUID) -> Row:
    """State and figures of a plan. Raises NotFoundError."""
    with reading_from(source) as connection:
        return store.progress(connection, plan_id)


def cancel(dsn: str, plan: str, scope: str | None = None) -> Row:
    """Have no more jobs of a plan started, whichever process runs it; its state and figures then. Of a plan that has
    ended nothing changes. Raises UsageError or NotFoundError."""
    with transaction(dsn, name="regraft-replay") as connection:
        found = store.resolve_plan(connection, plan, scope)
        store.cancel(connection, found, datetime.now(UTC))
        return store.progress(connection, found)


def follow(dsn: str, plan: str, *, poll: float = POLL) -> Iterator[Row]:
    """State and figures of a plan, every ``poll`` seconds while it runs, and once more at its end."""
    with connect(dsn, autocommit=True) as connection:
        found = store.resolve_plan(connection, plan)
        while (row := store.progress(connection, found))["state"] == "running":
            yield row
            time.sleep(poll)
        yield row
