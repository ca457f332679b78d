"""Ratings and preferences in the truth."""

from __future__ import annotations

from collections.abc import Sequence
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


def add_rating(connection: Connection, label: Record) -> None:
    """Add a rating; this reviewer's rating of the same unit that counts is superseded."""
    current = connection.execute(_SQL["current_rating"], label).fetchone()
    connection.execute(
        _SQL["add_rating"],
        {**label, "supersedes": current["label_id"] if current else None},
    )


def add_preference(connection: Connection, label: Record) -> None:
    """Add a preference; the same reviewer's, or the same judge's, earlier preference on the pair is superseded."""
    current = connection.execute(_SQL["current_preference"], label).fetchone()
    connection.execute(
        _SQL["add_preference"],
        {"judge_version": None, **label, "supersedes": current["label_id"] if current else None},
    )


def judged_pairs(connection: Connection, reviewer: str) -> dict[UUID, tuple[int, bool]]:
    """By pair that people judged: how many did, and whether ``reviewer`` is one of them."""
    rows = connection.execute(_SQL["judged_pairs"], {"reviewer": reviewer}).fetchall()
    return {row["pair_id"]: (row["people"], row["mine"]) for row in rows}
