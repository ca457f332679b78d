"""Judges and their votes in the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from psycopg.types.json import Jsonb

from regraft.domain.evaluation.judge import Judge
from regraft.infra.postgres.pool import Connection
from regraft.infra.queries import queries

_SQL = queries("postgres/evaluation/judges")

Record = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteRow:
    """One row of ``judge_votes``: about a path (``unit_id``), or about a pair. ``value`` None: unparseable."""

    vote_id: UUID
    judge_version: str
    session_id: UUID
    unit_id: UUID | None = None
    pair_id: UUID | None = None
    anchor_turn_id: UUID | None = None
    node_a: UUID | None = None
    node_b: UUID | None = None
    shown_first: str = ""
    vote_index: int
    turn_id: UUID | None
    model_snapshot: str
    answer: str
    value: dict[str, Any] | None
    evidence: dict[str, str]
    problem: str
    shown_hash: bytes
    created_at: datetime


def lock(connection: Connection, version: str) -> bool:
    """Whether this process alone runs this version of a judge now."""
    row = connection.execute(_SQL["lock_version"], {"judge_version": version}).fetchone()
    return bool(row and row["locked"])


def use(connection: Connection, judge: Judge, now: datetime) -> None:
    """Remember that this version of a judge is used."""
    connection.execute(
        _SQL["use_version"],
        {
            "judge_version": judge.version,
            "judge": judge.name,
            "task": judge.task,
            "model": judge.model,
            "categories": [each.name for each in judge.categories],
            "definition": Jsonb(judge.definition()),
            "now": now,
        },
    )


def versions(connection: Connection, scope: str | None = None) -> list[Record]:
    """Every version of every judge, with how much it voted; of a tenant those that voted there."""
    return connection.execute(_SQL["versions"], {"scope": scope}).fetchall()


def votes_there(connection: Connection, version: str) -> set[tuple[UUID, str, int]]:
    """The votes of a version that are there: subject, side shown first, number."""
    rows = connection.execute(_SQL["votes_there"], {"judge_version": version}).fetchall()
    return {(row["subject"], row["shown_first"], row["vote_index"]) for row in rows}


def judged_by_people(connection: Connection, noun: Literal["units", "pairs"]) -> set[UUID]:
    """The paths or pairs that people judged here."""
    return {row["subject"] for row in connection.execute(_SQL[f"{noun}_that_people_judged"]).fetchall()}


def shown_unit(connection: Connection, unit_id: UUID) -> Record | None:
    """A path's session, history and answer as JSON text; None where it is gone or was erased."""
    return connection.execute(_SQL["shown_unit"], {"unit_id": unit_id}).fetchone()


def shown_turns(connection: Connection, turn_ids: Sequence[UUID]) -> dict[UUID, Record]:
    """By turn: its history and answer as JSON text."""
    rows = connection.execute(_SQL["shown_turns"], {"turn_ids": list(turn_ids)}).fetchall()
    return {row["turn_id"]: row for row in rows}


def add(connection: Connection, vote: VoteRow) -> None:
    """Store a vote; one that exists already stays as it is."""
    row = {name: getattr(vote, name) for name in VoteRow.__slots__}
    value = None if vote.value is None else Jsonb(vote.value)
    connection.execute(_SQL["add_vote"], {**row, "value": value, "evidence": Jsonb(vote.evidence)})


def to_settle(connection: Connection, version: str, votes: int) -> list[Record]:
    """The pairs of a version with at least so many votes, and the note of the preference last made of them."""
    return connection.execute(_SQL["pairs_to_settle"], {"judge_version": version, "votes": votes}).fetchall()


def votes_on(connection: Connection, subject: UUID) -> list[Record]:
    """All votes on a path, a pair, or the pairs of which a node is a side."""
    return connection.execute(_SQL["votes_on"], {"subject": subject}).fetchall()
