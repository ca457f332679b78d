"""How the questions and answers of pairs begin."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from regraft.infra.postgres.pool import Connection
from regraft.infra.queries import queries

_SQL = queries("postgres/evaluation/pair_texts")
_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Beginning:
    """The first characters of a turn's last question, and of its answer."""

    question: str = ""
    answer: str = ""


def beginnings(connection: Connection, turns: Collection[UUID]) -> dict[UUID, Beginning]:
    """By turn; a turn that was erased is not among them."""
    asked = {"turns": list(turns), "characters": _CHARACTERS}
    rows = connection.execute(_SQL["beginnings"], asked).fetchall()
    return {row["turn_id"]: Beginning(row["question"], row["answer"]) for row in rows}
