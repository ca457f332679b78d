"""Read the workbench: measured paths (units) and candidate pairs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from regraft.infra.duckdb.evaluation.workbench import Workbench
from regraft.infra.postgres.evaluation import labels, pair_texts
from regraft.infra.postgres.pool import transaction

Row = dict[str, Any]


def units(workbench: Path, *, theme: str | None = None) -> list[Row]:
    """All units, or those of a theme, without their texts; the worst quality first."""
    found = [unit for unit in Workbench(workbench).units() if theme in (None, unit["theme"])]
    return sorted(found, key=lambda unit: (unit["quality"], unit["unit_id"]))


def judgements_of_node(dsn: str, node_id: UUID) -> list[Row]:
    """What was judged of a node, by whom: of clients and of imports, the latest first."""
    with transaction(dsn) as connection:
        return labels.judgements_of_node(connection, node_id)


def judges(dsn: str) -> list[Row]:
    """Who judged answers, by source and annotator: how many judgements of each name, over how many comparisons."""
    with transaction(dsn) as connection:
        return labels.judgement_counts(connection)


def unit_id(workbench: Path, text: str) -> UUID:
    """The id of a unit from the start of it. Raises NotFoundError unless exactly one fits."""
    return Workbench(workbench).resolve("unit", text)


def pairs(workbench: Path) -> list[Row]:
    """All candidate pairs: legal ones first, then refused ones, each by falling margin."""
    return sorted(Workbench(workbench).pairs(), key=lambda pair: (pair["verdict"], -pair["margin"], pair["pair_id"]))


def texts_of_pairs(dsn: str, rows: Sequence[Row]) -> dict[UUID, dict[str, str]]:
    """By pair: how its ``question``, ``answer_a`` and ``answer_b`` begin; of what was erased, nothing."""
    with transaction(dsn) as connection:
        turns = pair_texts.beginnings(connection, {row[side] for row in rows for side in ("turn_a", "turn_b")})
    nothing = pair_texts.Beginning()
    found = {}
    for row in rows:
        a, b = (turns.get(row[side], nothing) for side in ("turn_a", "turn_b"))
        found[row["pair_id"]] = {"question": a.question or b.question, "answer_a": a.answer, "answer_b": b.answer}
    return found


def pair_id(workbench: Path, text: str) -> UUID:
    """The id of a pair from the start of it. Raises NotFoundError unless exactly one fits."""
    return Workbench(workbench).resolve("pair", text)
