"""Unlearning: what a model should forget, what it should keep, and what it should say instead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from regraft.domain.datasets.kinds.judged import calibrated_pairs
from regraft.domain.datasets.kinds.kind import Candidates, Counts, Filled, Limit, PlannedRow
from regraft.domain.datasets.kinds.sft import planned_unit, scored_units
from regraft.domain.datasets.kinds.suppression import SuppressionKind, negative, unwanted
from regraft.domain.datasets.messages import RowRefusal, says_nothing
from regraft.domain.datasets.negatives import NOISE, sibling_facts
from regraft.domain.datasets.recipe import Recipe
from regraft.domain.datasets.turns import RecordedTurn

FORGET, RETAIN = "forget", "retain"


class UnlearningKind(SuppressionKind):
    """Rows fill ``prompt`` and ``completion``; rows to forget that lost to a sibling fill ``alternate`` with its
    answer."""

    name = "unlearning"
    columns: tuple[str, ...] = ("prompt", "completion", "alternate")

    def plan(self, recipe: Recipe, candidates: Candidates, counts: Counts) -> Iterator[PlannedRow]:
        """Paths of a named type of negative are forgotten; of the others the best are retained."""
        facts = sibling_facts(calibrated_pairs(recipe, candidates))
        for one in scored_units(recipe, candidates, counts):
            finding = negative(recipe, one, facts)
            if finding is not None and finding.type == NOISE:
                counts.refuse_unit(NOISE, one.unit)
            elif finding is not None:
                planned = unwanted(recipe, one, finding, self.name, FORGET)
                defeats = sorted(facts.defeats.get(one.unit_id, ()), key=lambda each: (-each.margin, each.pair_id))
                alternate = {"alternate": defeats[0].winner_turn} if defeats else {}
                yield replace(planned, turns={**planned.turns, **alternate})
            else:
                yield replace(planned_unit(recipe, one, self.name), label=RETAIN)

    def limits(self, recipe: Recipe) -> tuple[Limit, ...]:
        """As many rows to retain as the recipe wants for each row to forget."""
        return (
            Limit(lambda row: f"{row.label} {row.stratum}", recipe.k_per_stratum),
            Limit(lambda row: row.label, of=FORGET, ratio=recipe.retain_per_forget),
        )

    def fill(self, turns: Mapping[str, RecordedTurn]) -> Filled | RowRefusal:
        """As for suppression; an alternate has to answer the same prompt."""
        filled = super().fill(turns)
        if isinstance(filled, RowRefusal) or "alternate" not in turns:
            return filled
        if turns["alternate"].history != turns["answer"].history:
            return RowRefusal("context_differs", "the alternate answers another prompt")
        return {**filled, "alternate": turns["alternate"].answer}

    def unfit(self, recipe: Recipe, turns: Mapping[str, RecordedTurn]) -> RowRefusal | None:
        """Both answers have to be whole, and to say something."""
        refusal = super().unfit(recipe, turns)
        if refusal or "alternate" not in turns:
            return refusal
        if says_nothing(turns["alternate"].answer):
            return RowRefusal("no_answer", "the alternate is empty")
        return super().unfit(recipe, {"answer": turns["alternate"]})
