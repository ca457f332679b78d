"""What people may be asked to judge, from the workbench."""

from __future__ import annotations

from regraft.infra.duckdb.evaluation.workbench import Workbench
from regraft.infra.duckdb.file import Record

_TABLES = "evaluation/candidates"


class ReviewCandidates(Workbench):
    """Paths and pairs as candidates for review."""

    def unit_candidates(self) -> list[Record]:
        """Each path with its session, theme, ``uncertainty`` from 0 to 1, and ``leaves``, by id."""
        return self._rows("unit_candidates", tables=_TABLES)

    def pair_candidates(self) -> list[Record]:
        """Each pair that may be preferred, with its sides, ``uncertainty`` and ``leaves``, by id."""
        return self._rows("pair_candidates", tables=_TABLES)

    def optional_tables(self) -> frozenset[str]:
        """Which optional tables the file has."""
        return frozenset(row["name"] for row in self._rows("optional_tables", tables=_TABLES))
