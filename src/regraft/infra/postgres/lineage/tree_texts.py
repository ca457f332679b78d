"""Every message of a tree, once, with the histories that are made of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from regraft.infra.postgres.pool import Connection
from regraft.infra.queries import queries

_SQL = queries("postgres/lineage/tree_texts")
_AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeHistories:
    """``contexts``, ``asked`` and ``answered`` are JSON that PostgreSQL wrote; ``messages`` are ids by number."""

    contexts: str
    asked: str
    answered: str
    messages: list[bytes]


def histories(connection: Connection, session_id: UUID) -> TreeHistories:
    """The histories of a session's nodes, and of which messages they are made."""
    row = connection.execute(_SQL["contexts"], {"session": session_id}).fetchone() or {}
    return TreeHistories(
        contexts=row["contexts"],
        asked=row["asked"],
        answered=row["answered"],
        messages=[bytes(each) for each in row["messages"] or ()],
    )


def bodies(connection: Connection, messages: list[bytes]) -> Iterator[str]:
    """Messages as JSON, in this order, some at a time."""
    for first in range(0, len(messages), _AT_ONCE):
        wanted = {"messages": messages[first : first + _AT_ONCE]}
        for row in connection.execute(_SQL["bodies"], wanted).fetchall():
            yield row["body"]
