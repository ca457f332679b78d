"""Judges beside people: the comparison in memory, and its figures in the workbench."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from regraft.domain.evaluation.calibration import JudgeContrast, JudgeFigures
from regraft.infra.duckdb.file import Record, WorkbenchFile
from regraft.infra.queries import queries

_TEXTS, _FLOAT = pa.list_(pa.string()), pa.float64()
_TYPES: Mapping[str, pa.DataType] = {
    **{name: pa.string() for name in ("judge", "judge_version", "source", "given_by", "model", "task", "category")},
    "theme": pa.string(),
    "scope": pa.string(),
    **{name: pa.int64() for name in ("items", "components", "own_pairs", "judged")},
    "labels": _TEXTS,
    "confusion": pa.list_(pa.list_(pa.int64())),
    "snapshots": _TEXTS,
    "stale": pa.string(),
}
_FIGURES = pa.schema([(name, _TYPES.get(name, _FLOAT)) for name in JudgeFigures.__slots__])

_CONTRASTS = pa.schema(
    [
        (name, pa.int64() if name == "items" else _FLOAT if name in ("kappa", "same") else pa.string())
        for name in JudgeContrast.__slots__
    ]
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """``items`` that judges and people labelled, ordered by judge and in time, and what is known of the judges."""

    items: pa.Table
    positions: list[Record]
    prevalences: list[Record]
    contrasts: list[Record]


def compare(tables: Mapping[str, pa.Table]) -> Comparison:
    """Compare judges with people on the same items. ``tables`` are those that the queries name."""
    import duckdb  # slow to import, and not every command needs it

    named = {name: query.decode() for name, query in queries("duckdb/evaluation/calibration").items()}
    with duckdb.connect(config={"threads": 2}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for name, table in tables.items():
            connection.register(name, table)
        for step in ("prepare", "pairs", "units"):
            connection.execute(named[step])

        def made(name: str) -> pa.Table:
            return connection.sql(named[name]).to_arrow_table()

        return Comparison(
            made("items"), made("positions").to_pylist(), made("prevalences").to_pylist(), made("contrasts").to_pylist()
        )


class CalibrationTable(WorkbenchFile):
    """The tables ``judge_calibration`` and ``judge_comparison``. A file that is not there reads as empty tables."""

    tables = "evaluation/calibration"

    def replace(self, figures: Iterable[JudgeFigures], items: pa.Table, contrasts: Iterable[JudgeContrast]) -> None:
        """The figures are exactly these, these the items that they are of, and these each two judges."""
        table = pa.Table.from_pylist([asdict(each) for each in figures], schema=_FIGURES)
        with self._writing(new_figures=table, new_items=items) as connection:
            connection.execute(self._query("replace_figures"))
            connection.register(
                "new_contrasts", pa.Table.from_pylist([asdict(each) for each in contrasts], schema=_CONTRASTS)
            )
            connection.execute(self._query("replace_contrasts"))

    def figures(self, scope: str | None) -> list[JudgeFigures]:
        """All figures of a tenant, or of all together: of each judge in all, then by theme."""
        return [JudgeFigures(**_read(row)) for row in self._rows("figures", {"scope": scope})]

    def contrasts(self, scope: str | None) -> list[JudgeContrast]:
        """Each two judges of the same items, of a tenant or of all together; those that differ most first."""
        return [JudgeContrast(**row) for row in self._rows("all_contrasts", {"scope": scope})]

    def disagreements(
        self, n: int, *, judge: str | None, theme: str | None, category: str | None, scope: str | None
    ) -> list[Record]:
        """Items on which a judge and people differ, the latest first."""
        asked = {"n": n, "judge": judge, "theme": theme, "category": category, "scope": scope}
        return self._rows("disagreements", asked)


def _read(row: dict[str, Any]) -> dict[str, Any]:
    confusion = tuple(tuple(each) for each in row["confusion"])
    return {**row, "labels": tuple(row["labels"]), "confusion": confusion, "snapshots": tuple(row["snapshots"])}
