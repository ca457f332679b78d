"""What staleness reads of the truth, and the rows that say what was made again: they are only added."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from regraft.domain.errors import NotFoundError
from regraft.domain.ids import Digest, NodeId, SessionId, parse_json
from regraft.domain.replay.job import Origin
from regraft.domain.replay.staleness import RUNS, TASKIFICATIONS, Artifact, Key, ModelSnapshot
from regraft.infra.postgres.pool import Connection
from regraft.infra.queries import queries

_SQL = queries("postgres/replay/staleness")

Row = dict[str, Any]
_OURS = frozenset({"replay", "taskify", "worker", "judge"})  # purposes of calls whose answers no client was given


@dataclass(frozen=True, slots=True)
class ReplacedVersions:
    """What was replaced: model snapshots, and versions of taskify rules."""

    snapshots: list[ModelSnapshot]
    rules: list[str]

    def parameters(self) -> dict[str, Any]:
        """As the queries take it."""
        return {
            "backends": [each.backend for each in self.snapshots],
            "models": [each.model for each in self.snapshots],
            "snapshots": [each.model_snapshot_id for each in self.snapshots],
            "firsts": [each.first_seen for each in self.snapshots],
            "lasts": [each.last_seen for each in self.snapshots],
            "rules": self.rules,
        }


def _rows(connection: Connection, name: str, **given: Any) -> list[Row]:
    return connection.execute(_SQL[name], given).fetchall()


def rule_versions(connection: Connection) -> list[str]:
    """The versions of rules that plans were made with."""
    return [row["taskify_rule_version"] for row in _rows(connection, "rule_versions")]


def overview(connection: Connection, outdated: ReplacedVersions) -> list[Row]:
    """What each change makes stale, counted: ``what`` is ``runs`` or ``plans``; ``change`` is the place (from 1) of a
    snapshot, or of a rule version (negative), 0 for changed conditions, None for what was made again before.

    Only within a transaction. It leaves settings of the planner behind for the rest of it.
    """
    named = _SQL
    connection.execute(named["overview_settings"])
    below: set[UUID] = set()
    while True:
        given = {"plans": list(below), **outdated.parameters()}
        connection.execute(named["overview_plans"], given)
        for name in ("marked", "children", "lost"):
            connection.execute(named[f"overview_{name}"], given)
            connection.execute(named[f"look_{name}"])
        rows = connection.execute(named["overview_counts"]).fetchall()
        more = {row["taskification_id"] for row in connection.execute(named["overview_below"]).fetchall()}
        connection.execute(named["overview_end"])
        if not more:
            return rows
        below |= more


def touched_sessions(
    connection: Connection, outdated: ReplacedVersions, limit: int, after: UUID | None = None
) -> list[UUID]:
    """Sessions that hold something stale, by id, those behind ``after``."""
    rows = _rows(connection, "touched_sessions", limit=limit, after=after, **outdated.parameters())
    return [row["session_id"] for row in rows]


def family(connection: Connection, sessions: Collection[UUID]) -> set[UUID]:
    """These sessions and all that plans tie to them."""
    known = set(sessions)
    while True:
        rows = _rows(connection, "family", sessions=list(known))
        found = {row["session_id"] for row in rows if row["session_id"] is not None} | known
        if found == known:
            return known
        known = found


def facts(connection: Connection, sessions: Collection[UUID], rules: Collection[str] = ()) -> list[Artifact]:
    """Every run of these sessions and every plan tied to them; also plans of bare prompts under ``rules``."""
    found = []
    for row in _rows(connection, "runs", sessions=list(sessions)):
        inner = row["purpose"] == "orchestrator" and row["taskify_step"] != "answer"
        made_with: Key = (row["backend"], row["model"], row["model_snapshot_id"])
        found.append(
            Artifact(
                id=row["run_id"],
                stage=RUNS,
                node_id=row["node_id"],
                parent_node_id=row["parent_node_id"],
                depth=row["depth"],
                made_with=made_with,
                made_at=row["started_at"],
                made_by=row["taskification_id"],
                replay=row["purpose"] == "replay",
                ours=row["purpose"] in _OURS or inner,
            )
        )
    plans = _rows(connection, "plans", sessions=list(sessions))
    if rules:
        plans += _rows(connection, "bare_plans", rules=list(rules))
    seen = set()
    for row in plans:
        if row["taskification_id"] in seen:
            continue
        seen.add(row["taskification_id"])
        found.append(
            Artifact(
                id=row["taskification_id"],
                stage=TASKIFICATIONS,
                node_id=row["node_id"],
                parent_node_id=row["parent_node_id"],
                depth=row["depth"],
                made_with=row["taskify_rule_version"],
                made_at=row["created_at"],
                ours=True,
            )
        )
    return found


def conditions(connection: Connection, nodes: Collection[UUID] | None = None) -> dict[UUID, tuple[datetime, str]]:
    """By node: when its conditions changed, and in which words."""
    rows = _rows(connection, "conditions", nodes=None if nodes is None else list(nodes))
    return {row["node_id"]: (row["changed_at"], row["reason"]) for row in rows}


def superseded(connection: Connection, ids: Collection[UUID]) -> set[UUID]:
    """Which of these runs and plans were made again."""
    return {row["id"] for row in _rows(connection, "superseded", ids=list(ids))}


def generations(connection: Connection, ids: Collection[UUID]) -> list[Row]:
    """What these runs and plans supersede, and what superseded them, oldest first."""
    return _rows(connection, "generations", ids=list(ids))


def any_mark(connection: Connection) -> bool:
    """Whether anything was ever made again, or the conditions of a node changed."""
    return bool(_rows(connection, "any_mark")[0]["found"])


def nodes(connection: Connection, session: UUID) -> set[UUID]:
    """The nodes of a session."""
    return {row["node_id"] for row in _rows(connection, "nodes", session=session)}


def subtree(connection: Connection, node: UUID) -> set[UUID]:
    """A node and all that grew from it."""
    return {row["node_id"] for row in _rows(connection, "subtree", node=node)}


def held_by_snapshots(connection: Connection, nodes: Collection[UUID]) -> list[str]:
    """The frozen snapshots that hold one of these nodes."""
    return [row["snapshot_id"] for row in _rows(connection, "held_by_snapshots", nodes=list(nodes))]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedRequest:
    """The captured request of a run, ready to be asked again; ``identity`` holds its call's X-Regraft headers."""

    run_id: UUID
    event_id: UUID
    choice_index: int
    origin: Origin
    identity: dict[str, Any]


def requests(connection: Connection, runs: Collection[UUID]) -> list[RecordedRequest]:
    """What these runs were asked, oldest first."""
    found = []
    for row in _rows(connection, "requests", runs=list(runs)):
        origin = Origin(
            node_id=NodeId(row["node_id"]),
            session_id=SessionId(row["session_id"]),
            context_id=Digest(bytes(row["context_id"])),
            messages=parse_json(row["messages"]),
            model=row["model"],
            tools=parse_json(row["tools"]),
            sampling=parse_json(row["sampling"]),
            other=parse_json(row["other"]),
            endpoint=row["endpoint"],
        )
        found.append(
            RecordedRequest(
                run_id=row["run_id"],
                event_id=row["event_id"],
                choice_index=row["choice_index"],
                origin=origin,
                identity=parse_json(row["identity"]),
            )
        )
    return found


def rollouts(connection: Connection, sessions: Collection[UUID], runs: Collection[UUID]) -> list[Row]:
    """The rollouts of these sessions that made some of these runs, oldest first, with their ``turn_ids`` in order."""
    return _rows(connection, "rollouts", sessions=list(sessions), runs=list(runs))


def assignment(connection: Connection, taskification_id: UUID) -> Row:
    """How a plan was asked for, with the ``identity`` of its first call. Raises NotFoundError."""
    rows = _rows(connection, "assignment", id=taskification_id)
    if not rows:
        raise NotFoundError(f"There is no taskification {taskification_id}.")
    row = rows[0]
    return {**row, "identity": parse_json(row["identity"]) if row["identity"] else {}}


def add_generations(connection: Connection, made: Iterable[tuple[UUID, UUID, str, str, str]], now: datetime) -> None:
    """What was made again: (new id, old id, stage, cause, reason) of each."""
    new, old, stages, causes, reasons = (list(column) for column in zip(*made, strict=True))
    connection.execute(
        _SQL["add_generations"],
        {"new": new, "old": old, "stages": stages, "causes": causes, "reasons": reasons, "now": now},
    )


def add_condition_change(
    connection: Connection, change_id: UUID, node: UUID, reason: str | None, by: str, now: datetime
) -> None:
    """Mark a node as stale by hand, with a reason; no ``reason`` takes the mark back."""
    connection.execute(
        _SQL["add_condition_change"],
        {"id": change_id, "node": node, "reason": reason, "by": by, "now": now},
    )
