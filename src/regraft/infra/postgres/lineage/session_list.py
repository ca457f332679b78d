"""A list of sessions in PostgreSQL: a page by an index, counts by facet, and what a search finds."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any
from uuid import UUID

from regraft.domain.lineage.session_filter import Direction, SessionFilter, Sort
from regraft.infra.postgres.capture.inbox import storable
from regraft.infra.postgres.pool import Connection
from regraft.infra.queries import queries

_SQL = queries("postgres/lineage/session_list")
_MOST_VALUES = 60  # of a facet

Row = dict[str, Any]


class SessionQuery:
    """A filter made ready for its queries: themes by id, the text by the sessions that hold it."""

    def __init__(self, connection: Connection, wanted: SessionFilter, scope: str | None, most_messages: int) -> None:
        self._connection, self._scope = connection, scope
        asked = wanted.conditions()
        if "themes" in asked:
            rows = connection.execute(_SQL["themes_named"], {"names": asked["themes"], "scope": scope}).fetchall()
            none = [""] if "" in asked["themes"] else []
            asked["themes"] = [*none, *(str(row["theme_id"]) for row in rows)]
        self._filter = json.dumps(asked)
        self._found: list[UUID] | None = None
        self.cut = False  # the text is in more messages than were looked at
        if text := storable(wanted.text.strip()):
            row = connection.execute(_SQL["search"], {"text": text, "most": most_messages}).fetchone() or {}
            self._found, self.cut = row["sessions"], row["messages"] >= most_messages

    def page(
        self,
        sort: Sort,
        direction: Direction,
        limit: int,
        after: datetime | float | None = None,
        after_id: UUID | None = None,
    ) -> list[Row]:
        """``session_id`` and the ``value`` sorted by, after a value and an id."""
        asked = {"limit": limit, "after": after, "after_id": after_id or UUID(int=0), **self._asked()}
        return self._rows(f"{sort}_{direction}", asked)

    def facets(self, share: float = 1.0) -> list[Row]:
        """``facet``, ``value`` and ``sessions``, counted over this share of all sessions, drawn at random."""
        below = UUID(int=int(share * 2**128)) if share < 1 else None
        return self._rows("facets", {"below": below, "values": _MOST_VALUES, **self._asked()})

    def _rows(self, name: str, asked: Row) -> list[Row]:
        # Never prepared: a plan that fits every filter reads far more than the plan for this one.
        return self._connection.execute(_SQL[name], asked, prepare=False).fetchall()

    def _asked(self) -> Row:
        return {"filter": self._filter, "found": self._found, "scope": self._scope}


def rows(connection: Connection, sessions: list[UUID]) -> list[Row]:
    """Sessions by their ids, in the order of these."""
    return connection.execute(_SQL["rows"], {"sessions": sessions}).fetchall()


def every(connection: Connection, scope: str | None) -> int:
    """How many sessions there are."""
    row = connection.execute(_SQL["all_sessions"], {"scope": scope}).fetchone()
    return int(row["sessions"]) if row else 0
