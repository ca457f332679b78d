"""Candidates for review, from the workbench."""

from __future__ import annotations

from collections.abc import Iterator

from regraft.infra.duckdb.evaluation.workbench import Workbench
from regraft.infra.duckdb.file import Record
from regraft.infra.queries import queries

_OPTIONAL = ("trajectory_clusters", "unit_category_labels", "pivot_nodes")
_BATCH = 2_000


class ReviewCandidates(Workbench):
    """Paths and pairs as candidates for review, with their clusters, categories and pivots where those were made."""

    def candidates(self, kind: str) -> Iterator[Record]:
        """Each path (``unit``) or pair that may be judged, by id: its session, theme, ``cluster_id``, ``category``,
        ``uncertainty`` from 0 to 1, ``leaves``, the weight of the ``pivot`` that it is at, and the sides of a pair."""
        if not self.path.exists():
            return
        sql = queries("duckdb/evaluation/candidates")
        with self._open() as connection:
            made = {row[0] for row in connection.execute(sql["optional_tables"].decode()).fetchall()}
            for table in _OPTIONAL:
                connection.execute(sql[table if table in made else f"no_{table}"].decode())
            cursor = connection.execute(sql[f"{kind}_candidates"].decode())
            names = [column[0] for column in cursor.description]
            while rows := cursor.fetchmany(_BATCH):
                for row in rows:
                    yield dict(zip(names, row, strict=True))
