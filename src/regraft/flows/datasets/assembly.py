"""Rows from a recipe: select candidates, fetch their messages from the execution log, refuse what is not legal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from regraft.domain.datasets.content import compose, content_keys, illegal
from regraft.domain.datasets.kinds import KINDS
from regraft.domain.datasets.kinds.kind import Candidates, Limit, PlannedRow
from regraft.domain.datasets.recipe import Recipe
from regraft.domain.datasets.rows import Row, RowRefusal
from regraft.domain.datasets.selection import Scored, top
from regraft.flows.datasets.recorded_turns import recorded_turns
from regraft.flows.evaluation.pairs import propose_pairs
from regraft.flows.evaluation.trajectories import materialise_units
from regraft.infra.duckdb.evaluation.workbench import Workbench
from regraft.infra.postgres.arrow import reading

_BATCH = 500  # rows in memory as wire messages at a time


@dataclass(frozen=True, slots=True)
class Assembly:
    """The rows of a recipe, with counts of refused candidates by reason and of unselected ones by cause; the names of
    message fields that were dropped; and the build of the graph."""

    rows: tuple[Row, ...]
    refused: Mapping[str, int]
    passed_over: Mapping[str, int]
    dropped: tuple[str, ...]
    build: int


def assemble(recipe: Recipe, dsn: str, workbench: Path) -> Assembly:
    """Update the workbench from the graph and make the recipe's rows, ordered by id."""
    build = materialise_units(dsn, workbench).build
    propose_pairs(dsn, workbench)
    bench = Workbench(workbench)
    kind = KINDS[recipe.kind]
    dropped: set[str] = set()
    made: list[tuple[PlannedRow, Row]] = []
    with reading(dsn, "postgres/evaluation/evaluation") as reader:
        selection = kind.select(recipe, Candidates(bench.units, lambda: reader.rows("ratings"), bench.pairs))
        refused, passed_over = selection.refused, selection.passed_over
        for batch in _batches(sorted(selection.rows, key=lambda planned: planned.row_id)):
            turns = recorded_turns(reader, [turn for planned in batch for turn in planned.turns.values()])
            for planned in batch:
                row = compose(planned, turns)
                refusal = row if isinstance(row, RowRefusal) else illegal(row)
                if not refusal:
                    refusal = kind.unfit(recipe, {part: turns[turn] for part, turn in planned.turns.items()})
                if isinstance(row, RowRefusal) or refusal:
                    assert refusal is not None
                    refused[refusal.reason] += 1
                    continue
                dropped.update(*(turns[turn].dropped for turn in planned.turns.values()))
                made.append((planned, row))
    kept = _distinct(made, refused)
    for limit in kind.limits(recipe):
        kept = _best(kept, limit, passed_over)
    return Assembly(
        rows=tuple(sorted((row for _, row in kept), key=lambda row: row.row_id)),
        refused=dict(sorted((+refused).items())),
        passed_over=dict(sorted((+passed_over).items())),
        dropped=tuple(sorted(dropped)),
        build=build,
    )


def _batches(planned: Iterable[PlannedRow]) -> Iterator[list[PlannedRow]]:
    stream = iter(planned)
    while batch := list(islice(stream, _BATCH)):
        yield batch


def _distinct(made: Iterable[tuple[PlannedRow, Row]], refused: Counter[str]) -> list[tuple[PlannedRow, Row]]:
    """The best-ranked of rows with equal content."""
    found: dict[str, tuple[PlannedRow, Row]] = {}
    for planned, row in sorted(made, key=lambda one: (-one[0].rank, one[0].row_id)):
        whole = content_keys(row)[1]
        if whole in found:
            refused["duplicate_row"] += 1
        else:
            found[whole] = (planned, row)
    return list(found.values())


def _best(
    made: Sequence[tuple[PlannedRow, Row]], limit: Limit, passed_over: Counter[str]
) -> list[tuple[PlannedRow, Row]]:
    kept = top(
        (Scored(planned.row_id, limit.stratum(planned), planned.rank, (planned, row)) for planned, row in made),
        limit.rows,
    )
    passed_over["not_among_best"] += len(made) - len(kept)
    return [one.item for one in kept]
