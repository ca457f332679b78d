"""Rank trajectories by a recipe: the tables ``positive_topk_trajectories`` and ``negative_bottomk_trajectories``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from regraft.domain.datasets.kinds.kind import Candidates, Counts, PlannedRow
from regraft.domain.datasets.kinds.sft import SftKind
from regraft.domain.datasets.ranking import negative_trajectories, placed, reason
from regraft.domain.datasets.recipe import Recipe
from regraft.domain.evaluation.score import PARTS
from regraft.flows.evaluation.calibration import known_judges
from regraft.flows.evaluation.clusters import require_clusters
from regraft.flows.evaluation.pairs import propose_pairs
from regraft.flows.evaluation.trajectories import materialise_units
from regraft.infra.duckdb.datasets.rankings import RankedTrajectory, Rankings
from regraft.infra.duckdb.datasets.selection import selection_file
from regraft.infra.duckdb.file import Record
from regraft.infra.postgres.arrow import reading


@dataclass(frozen=True, slots=True)
class RankCounts:
    """How many trajectories were ranked, by stratum; negatives by type; and candidates left out, by reason."""

    positives: Mapping[str, int]
    negatives: Mapping[str, int]
    types: Mapping[str, int]
    refused: Mapping[str, int]
    build: int


def rank_trajectories(recipe: Recipe, dsn: str, workbench: Path) -> RankCounts:
    """Update the workbench from the graph, and rank its trajectories by a recipe: K of each stratum from both ends."""
    build = materialise_units(dsn, workbench).build
    propose_pairs(dsn, workbench)
    if "cluster" in recipe.strata:
        require_clusters(dsn, workbench)
    with reading(dsn, "postgres/evaluation/evaluation") as reader:
        ratings = reader.rows("ratings")
    known = known_judges(recipe, dsn, workbench)
    counts = Counts()
    with selection_file(workbench) as selection:
        candidates = Candidates(selection.units, lambda: ratings, selection.pairs, known)
        selection.add(SftKind().plan(recipe, candidates, counts))
        selection.compete(recipe.per_context)
        best = [_ranked(recipe, *one) for one in placed(selection.ranked(), recipe.k_per_stratum)]
    with selection_file(workbench) as selection:
        candidates = Candidates(selection.units, lambda: ratings, selection.pairs, known)
        selection.add(negative_trajectories(recipe, candidates, Counts()))
        worst = [_ranked(recipe, *one) for one in placed(selection.ranked(), recipe.k_per_stratum)]
    Rankings(workbench).replace(recipe.name, best, worst)
    return RankCounts(
        positives=Counter(each.stratum for each in best),
        negatives=Counter(each.stratum for each in worst),
        types=Counter(each.type for each in worst),
        refused=dict(+counts.refused),
        build=build,
    )


def _ranked(recipe: Recipe, place: int, planned: PlannedRow) -> RankedTrajectory:
    return RankedTrajectory(
        recipe=recipe.name,
        stratum=planned.stratum,
        place=place,
        unit_id=planned.row_id,
        turn_id=planned.turns["answer"],
        score=planned.score,
        **{name: getattr(planned.parts, name) for name in PARTS},
        label_source=planned.label_source,
        type=planned.negative,
        why=reason(planned),
    )


def ranked(workbench: Path, recipe: str, *, negatives: bool, n: int) -> list[Record]:
    """The ranks that were last written for a recipe, by stratum and place."""
    rankings = Rankings(workbench)
    return rankings.negatives(recipe, n) if negatives else rankings.positives(recipe, n)
