"""Labels from files, in the truth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from regraft.infra.postgres.pool import Connection
from regraft.infra.queries import queries

_SQL = queries("postgres/evaluation/labels")

Record = dict[str, Any]


def named_turns(connection: Connection, scope: str, ids: Sequence[UUID]) -> list[Record]:
    """The turns of a tenant by their own ids or those of their nodes: ``named`` and ``turn_id``."""
    return connection.execute(_SQL["named_turns"], {"scope": scope, "ids": list(ids)}).fetchall()


def keyed_turns(connection: Connection, query: str, scope: str, keys: Sequence[str]) -> list[Record]:
    """The turns of a tenant by keys; ``query`` is ``answered_with``, ``imported_messages`` or
    ``imported_conversations``."""
    return connection.execute(_SQL[query], {"scope": scope, "keys": list(keys)}).fetchall()


def add_labels(connection: Connection, labels: Sequence[Record]) -> int:
    """Store judgements; how many were not there before."""
    if not labels:
        return 0
    with connection.cursor() as cursor:
        cursor.executemany(_SQL["add_label"], labels)
        return max(0, cursor.rowcount)


def judgements_of_node(connection: Connection, node: UUID) -> list[Record]:
    """What was judged of a node, the latest first."""
    return connection.execute(_SQL["judgements_of_node"], {"node": node}).fetchall()


def judgement_counts(connection: Connection) -> list[Record]:
    """How many judgements of answers there are by source, annotator, kind of judge and name."""
    return connection.execute(_SQL["judgement_counts"]).fetchall()


def labels(connection: Connection, *, theme: str | None, session: UUID | None, at_once: int) -> Iterator[Record]:
    """Every label that counts today, the oldest first; ``at_once`` rows are in memory at a time."""
    with connection.cursor("labels") as cursor:
        cursor.itersize = at_once
        cursor.execute(_SQL["labels"], {"theme": theme, "session": session})
        yield from cursor
