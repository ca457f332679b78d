"""Ratings and preferences in the truth."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from regraft.infra.postgres.pool import Connection
from regraft.infra.queries import queries

_SQL = queries("postgres/evaluation/review")

Record = dict[str, Any]


def unit(connection: Connection, unit_id: UUID) -> Record | None:
    """A unit's node with its history and answer as JSON text, None when there is no such node with a turn."""
    return connection.execute(_SQL["unit_turn"], {"unit_id": unit_id}).fetchone()


def answers(connection: Connection, turn_ids: Sequence[UUID]) -> dict[UUID, Record]:
    """By turn: its node, history and answer as JSON text."""
    rows = connection.execute(_SQL["answers"], {"turn_ids": list(turn_ids)}).fetchall()
    return {row["turn_id"]: row for row in rows}


def revealed(connection: Connection, nodes: Sequence[UUID]) -> dict[UUID, Record]:
    """By node: the turn, model, purpose and branch kind that a reviewer was not shown."""
    rows = connection.execute(_SQL["revealed"], {"nodes": list(nodes)}).fetchall()
    return {row["node_id"]: row for row in rows}


def add_rating(connection: Connection, label: Record) -> None:
    """Add a rating; this reviewer's rating of the same unit that counts is superseded."""
    _add(connection, "rating", label)


def add_preference(connection: Connection, label: Record) -> None:
    """Add a preference; the same reviewer's, or the same judge's, earlier preference on the pair is superseded."""
    _add(connection, "preference", label)


def _add(connection: Connection, noun: str, label: Record) -> None:
    given = {"item_id": None, "adjudicates": False, "seconds": None, "judge_version": None, **label}
    latest = connection.execute(_SQL[f"latest_{noun}"], given).fetchone()
    created = given["created_at"]
    if latest is not None:  # clocks of several machines differ: the later label is the newer one
        created = max(created, latest["created_at"] + timedelta(microseconds=1))
    supersedes = latest["label_id"] if latest else None
    connection.execute(_SQL[f"add_{noun}"], {**given, "supersedes": supersedes, "created_at": created})


def label(connection: Connection, kind: str, label_id: UUID) -> Record | None:
    """What a label on a unit or a pair said."""
    name = "rating" if kind == "unit" else "preference"
    return connection.execute(_SQL[name], {"label_id": label_id}).fetchone()


def current_label(connection: Connection, kind: str, subject_id: UUID, reviewer: str) -> UUID | None:
    """The label of a reviewer on a unit or a pair that counts."""
    values = {"kind": kind, "subject_id": subject_id, "reviewer": reviewer}
    row = connection.execute(_SQL["current_label"], values).fetchone()
    return row["label_id"] if row else None


def retract(connection: Connection, label_id: UUID, retracted_by: str, now: datetime) -> None:
    """Take a label back; it stays, and does not count any more."""
    connection.execute(_SQL["retract"], {"label_id": label_id, "retracted_by": retracted_by, "now": now})
