"""What is stale and why, and marking a node as stale by hand. ``regeneration`` makes stale answers again.

The rules are in ``domain/replay/staleness.py``. Over the whole graph they are counted as sets in the database; for the
steps of sessions their facts are loaded and judged one by one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from secrets import token_bytes
from typing import Any
from uuid import UUID

from regraft.domain.errors import UsageError
from regraft.domain.ids import time_ordered_uuid
from regraft.domain.replay.staleness import (
    AFTER,
    CONDITIONS,
    RULE,
    Key,
    RegenerationStep,
    Replacement,
    StaleArtifact,
    model_changes,
    rule_changes,
    stale,
    steps,
)
from regraft.infra.postgres.capture.inbox import storable
from regraft.infra.postgres.lineage import reading
from regraft.infra.postgres.pool import Connection, Source, reading_from, transaction
from regraft.infra.postgres.replay import models
from regraft.infra.postgres.replay import staleness as store

_SESSIONS = 200  # whose facts are judged together


@dataclass(frozen=True, slots=True)
class CurrentVersions:
    """What was replaced by what is current."""

    changes: dict[str | Key, Replacement]
    outdated: store.ReplacedVersions


@dataclass(frozen=True, slots=True)
class StaleSteps:
    """Steps in an order in which they can be done, of so many sessions."""

    steps: list[RegenerationStep]
    sessions: int


def current(connection: Connection, rules: Collection[str]) -> CurrentVersions:
    """What is replaced now. ``rules`` are the versions of the taskify rules that there are."""
    known = models.snapshots(connection)
    by_model = model_changes(known)
    by_rule = rule_changes(store.rule_versions(connection), rules)
    outdated = store.ReplacedVersions([each for each in known if each.key in by_model], sorted(map(str, by_rule)))
    return CurrentVersions({**by_model, **by_rule}, outdated)


def overview(source: Source, rules: Collection[str]) -> list[dict[str, Any]]:
    """All that is stale, counted per change, each with its ``cause``, what it is ``about``, ``was`` and
    ``now``; how many ``plans`` and replays (``again``) would be made again, how many runs would go with them
    (``follow``) and how many stay as they are (``keep``); and in how many ``sessions``."""
    with reading_from(source) as connection:
        now = current(connection, rules)
        totals = store.overview(connection, now.outdated)
    counted: dict[int | None, dict[str, Any]] = {}
    for row in totals:
        entry = counted.setdefault(row["change"], {"plans": 0, "again": 0, "follow": 0, "keep": 0, "sessions": 0})
        if row["what"] == "plans":
            entry["plans"] += row["again"]
        else:
            entry.update({name: row[name] for name in ("again", "follow", "keep", "sessions")})
    rows = []
    for number, counts in counted.items():
        if any(counts.values()):
            rows.append({**_about(number, now), **counts})
    rows.sort(key=lambda row: (row["cause"] != RULE, row["cause"], row["about"], row["was"] or ""))
    return rows


def _about(number: int | None, now: CurrentVersions) -> dict[str, Any]:
    if number is None:
        return {"cause": AFTER, "about": "what was made again", "was": None, "now": None}
    if number == 0:
        return {"cause": CONDITIONS, "about": "nodes whose conditions changed", "was": None, "now": None}
    key: str | Key = now.outdated.snapshots[number - 1].key if number > 0 else now.outdated.rules[-number - 1]
    change = now.changes[key]
    return {"cause": change.kind, "about": change.subject, "was": change.was, "now": change.now}


def of_sessions(source: Source, sessions: Collection[UUID], rules: Collection[str]) -> StaleSteps:
    """The steps of these sessions, and of those that plans tie to them."""
    with reading_from(source) as connection:
        return _judge(connection, store.family(connection, sessions), current(connection, rules))


def of_node(source: Source, node: UUID, rules: Collection[str]) -> StaleSteps:
    """The steps of what a node gave and of what grew from it."""
    with reading_from(source) as connection:
        session = reading.node(connection, node)["session_id"]
        below = store.subtree(connection, node)
        found = of_sessions(connection, [session], rules)
    return replace(found, steps=[step for step in found.steps if step.stale.made.node_id in below])


def of_tree(source: Source, session: UUID, rules: Collection[str] | None) -> list[StaleArtifact]:
    """What is stale of a session's nodes, with causes and reasons. ``rules``: None when it is not known which there
    are: then no plan is stale for its rule."""
    with reading_from(source) as connection:
        known = store.rule_versions(connection) if rules is None else rules
        if not store.any_mark(connection) and not current(connection, known).changes:
            return []  # as in most databases: to judge the facts of a large tree takes longer than to draw it
        found = of_sessions(connection, [session], known)
        nodes = store.nodes(connection, session)
    return [step.stale for step in found.steps if step.stale.made.node_id in nodes]


def of_all(source: Source, rules: Collection[str]) -> Iterator[StaleSteps]:
    """The steps of everything, some sessions at a time; one transaction from the first to the last."""
    with reading_from(source) as connection:
        now = current(connection, rules)
        if now.outdated.rules:
            yield _judge(connection, (), now, bare=True)
        seen: set[UUID] = set()
        last: UUID | None = None
        while sessions := store.touched_sessions(connection, now.outdated, _SESSIONS, last):
            last = sessions[-1]
            if together := store.family(connection, sessions) - seen:
                seen |= together
                yield _judge(connection, together, now)


def _judge(
    connection: Connection, sessions: Collection[UUID], now: CurrentVersions, *, bare: bool = False
) -> StaleSteps:
    facts = store.facts(connection, sessions, now.outdated.rules if bare else ())
    nodes = {made.node_id for made in facts if made.node_id is not None}
    gone = store.superseded(connection, [made.id for made in facts])
    found = stale(facts, now.changes, store.conditions(connection, nodes), gone)
    return StaleSteps(steps(found), len(sessions))


def snapshots_holding(source: Source, steps: Collection[RegenerationStep]) -> list[str]:
    """The ids of frozen snapshots that hold a node of these steps."""
    nodes = {step.stale.made.node_id for step in steps} - {None}
    with reading_from(source) as connection:
        return store.held_by_snapshots(connection, [node for node in nodes if node is not None])


def outdate(dsn: str, node: UUID, reason: str | None, by: str) -> UUID:
    """Mark a node as outdated, with a reason; without a ``reason``, remove the mark. Returns the id of the entry.
    Raises NotFoundError for a node that is not there, UsageError for a root and for an empty reason.
    """
    if reason is not None and not reason.strip():
        raise UsageError("--because needs a reason.")
    now = datetime.now(UTC)
    change = time_ordered_uuid(int(now.timestamp() * 1000), token_bytes(10))
    with transaction(dsn) as connection:
        if reading.node(connection, node)["parent_node_id"] is None:
            raise UsageError(f"Node {node} is a root: it has no request, so nothing there can become stale.")
        store.add_condition_change(connection, change, node, storable(reason), storable(by) or "", now)
    return change
