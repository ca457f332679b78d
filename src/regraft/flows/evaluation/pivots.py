"""Pivots: value the paths, back the values up the tree, keep the contexts whose answers differ in the workbench."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa

from regraft.domain.evaluation.node_values import VALUE_SOURCES
from regraft.domain.evaluation.pivots import Pivot, ValuedPath, pivots_of
from regraft.domain.evaluation.score import human_part
from regraft.flows.evaluation.trajectories import materialise_units
from regraft.infra.duckdb.evaluation.pivots import Pivots
from regraft.infra.postgres.arrow import ArrowReader, reading
from regraft.infra.postgres.evaluation import vectors
from regraft.infra.postgres.pool import Source, reading_from

_BATCH = 5_000  # sessions in memory at a time
_TEXT, _INT, _FLOAT = pa.string(), pa.int64(), pa.float64()
_RATINGS = pa.schema([("unit_id", _TEXT), ("human", _FLOAT), ("judge", _FLOAT)])
_PIVOTS = pa.schema(
    [
        *((name, _TEXT) for name in ("node_id", "anchor_turn_id", "session_id", "scope", "theme", "source")),
        *((name, _TEXT) for name in ("best", "worst")),
        *((name, _INT) for name in ("answers", "leaves")),
        *((name, _FLOAT) for name in ("mean", "spread", "error", "weight", "highest", "lowest")),
    ]
)
_ANSWERS = pa.schema(
    [
        *((name, _TEXT) for name in ("anchor_turn_id", "source", "session_id", "node_id")),
        ("mean", _FLOAT),
        *((name, _INT) for name in ("leaves", "tool_calls")),
    ]
)

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class PivotCounts:
    """What one materialisation did: sessions valued again, and how many pivots there are now."""

    sessions: int
    pivots: int


def materialise_pivots(dsn: str, workbench: Path) -> PivotCounts:
    """Update ``pivot_nodes`` from the units and the ratings that count today.

    Work is proportional to the sessions whose paths or values changed.
    """
    bench = Pivots(workbench)
    with reading(dsn, "postgres/evaluation/evaluation") as truth:
        rated = [
            {
                "unit_id": row["unit_id"],
                "human": human_part(json.loads(row["ratings"])),
                "judge": human_part(rating for _, _, rating in json.loads(row["judge_ratings"])),
            }
            for row in truth.rows("ratings")
        ]
        ratings = pa.Table.from_pylist(rated, schema=_RATINGS)
        changed = bench.changed(ratings)
        sessions = list(changed)
        for start in range(0, len(sessions), _BATCH):
            batch = sessions[start : start + _BATCH]
            pivots = _found(bench.paths(batch, ratings))
            _replace(bench, truth, {one: changed[one] for one in batch}, pivots)
    return PivotCounts(sessions=len(changed), pivots=bench.count())


def _found(paths: Iterable[Row]) -> list[tuple[str, Pivot]]:
    """Pivots, each with its session."""
    pivots = []
    for session, rows in groupby(paths, key=lambda row: str(row["session_id"])):
        valued = [
            ValuedPath(
                row["path_nodes"],
                row["path_anchors"],
                {source: row[source] for source in VALUE_SOURCES if row[source] is not None},
            )
            for row in rows
        ]
        pivots += [(session, pivot) for source in VALUE_SOURCES for pivot in pivots_of(valued, source)]
    return pivots


def _replace(bench: Pivots, truth: ArrowReader, states: dict[str, str | None], pivots: list[tuple[str, Pivot]]) -> None:
    anchors = {row["anchor"]: row for row in truth.rows("anchor_nodes", sorted({one.anchor for _, one in pivots}))}
    nodes = sorted({answer.node_id for _, pivot in pivots for answer in pivot.answers})
    calls = {row["node_id"]: row["tool_calls"] for row in truth.rows("tool_calls", nodes)}
    known = [(session, pivot) for session, pivot in pivots if pivot.anchor in anchors]
    bench.replace(
        states,
        pa.Table.from_pylist([_pivot(session, pivot, anchors[pivot.anchor]) for session, pivot in known], _PIVOTS),
        pa.Table.from_pylist([row for session, pivot in known for row in _answers(session, pivot, calls)], _ANSWERS),
    )


def _pivot(session: str, pivot: Pivot, anchor: Row) -> Row:
    best, worst = pivot.answers[0], pivot.answers[-1]
    return {
        "node_id": anchor["node_id"],
        "anchor_turn_id": pivot.anchor,
        "session_id": session,
        "scope": anchor["scope"],
        "theme": anchor["theme"],
        "source": pivot.source,
        "answers": len(pivot.answers),
        "leaves": pivot.leaves,
        "mean": pivot.mean,
        "spread": pivot.spread,
        "error": pivot.error,
        "weight": pivot.weight,
        "best": best.node_id,
        "highest": best.value.mean,
        "worst": worst.node_id,
        "lowest": worst.value.mean,
    }


def _answers(session: str, pivot: Pivot, calls: dict[str, int]) -> list[Row]:
    return [
        {
            "anchor_turn_id": pivot.anchor,
            "source": pivot.source,
            "session_id": session,
            "node_id": answer.node_id,
            "mean": answer.value.mean,
            "leaves": answer.value.paths,
            "tool_calls": calls.get(answer.node_id, 0),
        }
        for answer in pivot.answers
    ]


def pivots(
    workbench: Path,
    *,
    source: str | None = None,
    theme: str | None = None,
    session: UUID | None = None,
    scope: str | None = None,
    limit: int | None = None,
) -> list[Row]:
    """Pivots as they were last found, the heaviest first. ``scope``: only those of a tenant."""
    return Pivots(workbench).pivots(source=source, theme=theme, session=session, scope=scope, limit=limit)


def described_pivots(
    source: Source,
    workbench: Path,
    *,
    by: str | None = None,
    theme: str | None = None,
    session: UUID | None = None,
    scope: str | None = None,
    limit: int | None = None,
) -> list[Row]:
    """The same with what was ``asked``, and the beginnings of the best and of the worst answer, each with its model."""
    found = pivots(workbench, source=by, theme=theme, session=session, scope=scope, limit=limit)
    with reading_from(source) as connection:
        ends = {node for row in found for node in (row["best"], row["worst"])}
        texts = vectors.described(connection, sorted(ends), scope)
    said = []
    for row in found:
        best, worst = texts.get(row["best"], {}), texts.get(row["worst"], {})
        said.append(
            {
                **row,
                "asked": best.get("asked") or worst.get("asked"),
                "best_answer": best.get("answer_text"),
                "best_model": best.get("model"),
                "worst_answer": worst.get("answer_text"),
                "worst_model": worst.get("model"),
            }
        )
    return said


def pivots_to_replay(dsn: str, workbench: Path) -> list[UUID]:
    """The nodes whose replay tells most: of each pivot the first answer to its context, the heaviest pivot first."""
    materialise_units(dsn, workbench)
    materialise_pivots(dsn, workbench)
    return Pivots(workbench).nodes()


def values_in_tree(workbench: Path, session: UUID) -> dict[UUID, dict[str, Row]]:
    """By node under a pivot of a session, by source: the value (``mean`` of ``leaves``), and of the node to replay the
    ``pivot``, as they were last found."""
    bench = Pivots(workbench)
    found: dict[UUID, dict[str, Row]] = defaultdict(dict)
    for row in bench.answers(session):
        found[row["node_id"]][row["source"]] = {"mean": row["mean"], "leaves": row["leaves"], "pivot": None}
    for row in bench.pivots(session=session):
        at = found[row["node_id"]].setdefault(row["source"], {"mean": None, "leaves": 0, "pivot": None})
        at["pivot"] = {name: row[name] for name in ("answers", "leaves", "spread", "error", "weight")}
    return dict(found)
