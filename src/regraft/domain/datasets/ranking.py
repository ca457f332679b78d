"""The best and the worst trajectories of each stratum, by the rules of a recipe."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

from regraft.domain.datasets.kinds.judged import calibrated_pairs
from regraft.domain.datasets.kinds.kind import Candidates, Counts, PlannedRow
from regraft.domain.datasets.kinds.sft import planned_unit, scored_units
from regraft.domain.datasets.negatives import findings_of, sibling_facts
from regraft.domain.datasets.recipe import Recipe
from regraft.domain.evaluation.score import PARTS

_WORDS = {"human": "people", "outcome": "outcome", "judge": "model", "signals": "signals"}


def negative_trajectories(recipe: Recipe, candidates: Candidates, counts: Counts) -> Iterator[PlannedRow]:
    """Every path with which something is wrong, ranked by how low it scores; its most serious finding is its type."""
    facts = sibling_facts(calibrated_pairs(recipe, candidates))
    for one in scored_units(recipe, candidates, counts):
        found = findings_of(one.unit, human=one.parts.human, categories=one.named, facts=facts)
        if found:
            planned = planned_unit(recipe, one, "negative")
            evidence = "; ".join(f"{each.type}: {each.evidence}" for each in found)
            worst = replace(planned, rank=1.0 - one.score, group="", groups=(), refusal="")
            yield replace(worst, negative=found[0].type, evidence=evidence)
        else:
            counts.passed_over["nothing_wrong"] += 1


def placed(plans: Iterable[PlannedRow], k: int) -> Iterator[tuple[int, PlannedRow]]:
    """The first ``k`` plans of each stratum (all when ``k`` is 0) with their places, from 1; plans come by rank."""
    places: Counter[str] = Counter()
    for planned in plans:
        if not planned.refusal and (k == 0 or places[planned.stratum] < k):
            places[planned.stratum] += 1
            yield places[planned.stratum], planned


def reason(planned: PlannedRow) -> str:
    """Why a trajectory has its rank, for people: the parts of its score, and what is wrong with it."""
    parts = [f"{_WORDS[name]} {value:.2f}" for name in PARTS if (value := getattr(planned.parts, name)) is not None]
    return "; ".join([*parts, *([planned.evidence] if planned.evidence else [])]) or "nothing is known of it"
