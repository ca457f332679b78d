"""Pivots in the workbench."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import pyarrow as pa

from regraft.infra.duckdb.file import Record, WorkbenchFile

_EVERY = 2**31 - 1  # more pivots than a workbench holds


class Pivots(WorkbenchFile):
    """``pivot_nodes`` and ``pivot_answers``, beside the units that they are made from."""

    tables = "evaluation/pivots"

    def changed(self, ratings: pa.Table) -> dict[str, str | None]:
        """Sessions whose valued paths are not those that their pivots were made from: the new state, None where no path
        has a value any more. ``ratings``: unit_id, and human and judge (0 to 1 each)."""
        rows = self._rows("units_there")
        if not rows or not rows[0]["tables"]:
            return {}
        with self._valued(ratings) as connection:
            return dict(connection.execute(self._query("changed")).fetchall())

    def paths(self, sessions: list[str], ratings: pa.Table) -> list[Record]:
        """Valued paths of sessions, those of a session together: session_id, path_nodes, path_anchors, and the value by
        source."""
        with self._valued(ratings) as connection:
            asked = {"sessions": sessions}
            found: list[Record] = connection.sql(self._query("paths"), params=asked).to_arrow_table().to_pylist()
            return found

    @contextmanager
    def _valued(self, ratings: pa.Table) -> Iterator[Any]:
        with self._open() as connection:
            connection.register("ratings", ratings)
            connection.execute(self._query("value_paths"))
            yield connection

    def replace(self, states: Mapping[str, str | None], pivots: pa.Table, answers: pa.Table) -> None:
        """The pivots of the sessions of ``states`` are exactly these."""
        text = pa.string()
        known = pa.table({"session_id": pa.array(list(states), text), "state": pa.array(list(states.values()), text)})
        with self._writing(new_states=known, new_pivots=pivots, new_answers=answers) as connection:
            for name in ("forget", "forget_answers", "forget_states", "add", "add_answers", "add_states"):
                connection.execute(self._query(name))

    def count(self) -> int:
        """How many pivots there are."""
        rows = self._rows("count")
        return int(rows[0]["pivots"]) if rows else 0

    def pivots(
        self,
        *,
        source: str | None = None,
        theme: str | None = None,
        session: UUID | None = None,
        scope: str | None = None,
        limit: int | None = None,
    ) -> list[Record]:
        """Pivots that meet each condition given, the heaviest first."""
        asked = {"source": source, "theme": theme, "session": session, "scope": scope, "limit": limit or _EVERY}
        return self._rows("pivots", asked)

    def table(self, *, theme: str | None, session: str | None) -> pa.Table:
        """The same as an Arrow table, with ids as text."""
        if not self.path.exists():
            return pa.table({"node_id": pa.array([], pa.string())})
        with self._open() as connection:
            asked = {"theme": theme, "session": session}
            return connection.sql(self._query("pivot_table"), params=asked).to_arrow_table()

    def nodes(self) -> list[UUID]:
        """The nodes to replay, the heaviest pivot first."""
        return [row["node_id"] for row in self._rows("nodes")]

    def answers(self, session: UUID) -> list[Record]:
        """Answers under the pivots of a session: node_id, source, mean, leaves."""
        return self._rows("answers", {"session": session})
