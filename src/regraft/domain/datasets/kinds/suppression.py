"""Suppression: answers that are wanted and answers that are not, each with its prompt (Ethayarajh et al. 2024, KTO)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from regraft.domain.datasets.kinds.judged import calibrated_pairs
from regraft.domain.datasets.kinds.kind import Candidates, Counts, Filled, Limit, PlannedRow
from regraft.domain.datasets.kinds.pair_plan import unweighted
from regraft.domain.datasets.kinds.sft import ScoredUnit, SftKind, planned_unit, scored_units
from regraft.domain.datasets.messages import Message, RowRefusal
from regraft.domain.datasets.negatives import NOISE, PathFlaw, SiblingFacts, findings_of, sibling_facts
from regraft.domain.datasets.recipe import Recipe
from regraft.domain.datasets.rows import Row
from regraft.domain.datasets.turns import RecordedTurn
from regraft.domain.evaluation.score import NEUTRAL

WANTED, UNWANTED = "true", "false"


class SuppressionKind(SftKind):
    """Rows fill ``prompt`` and ``completion``; ``label`` says whether the completion is wanted."""

    name = "suppression"
    columns: tuple[str, ...] = ("prompt", "completion")

    def plan(self, recipe: Recipe, candidates: Candidates, counts: Counts) -> Iterator[PlannedRow]:
        """Paths of a named type of negative are unwanted; judged paths of at least neutral score are wanted."""
        facts = sibling_facts(calibrated_pairs(recipe, candidates))
        for one in scored_units(recipe, candidates, counts):
            finding = negative(recipe, one, facts)
            if finding is not None and finding.type == NOISE:
                counts.refuse_unit(NOISE, one.unit)
            elif finding is not None:
                yield unwanted(recipe, one, finding, self.name, UNWANTED)
            elif one.source in ("none", "signals") or one.score < NEUTRAL:
                only_judged = recipe.min_agreement > 0 and one.source == "none" and one.parts.judge is not None
                counts.passed_over["judge_not_calibrated" if only_judged else "not_judged_good"] += 1
            else:
                yield replace(planned_unit(recipe, one, self.name), label=WANTED)

    def limits(self, recipe: Recipe) -> tuple[Limit, ...]:
        """Wanted and unwanted rows of a stratum are counted apart."""
        return (Limit(lambda row: f"{row.label} {row.stratum}", recipe.k_per_stratum),)

    def fill(self, turns: Mapping[str, RecordedTurn]) -> Filled | RowRefusal:
        """The history as the prompt, the answer as the completion."""
        turn = turns["answer"]
        if any(message["weight"] is not None for message in turn.answer):
            return RowRefusal("message_weight", "the answer has a weight, which the row cannot say")
        return {"prompt": unweighted(turn.history), "completion": turn.answer}

    def illegal(self, row: Row) -> RowRefusal | None:
        """A row without a question, or whose completion is not an answer, teaches something else."""
        if not any(message["role"] in {"user", "tool"} for message in row.prompt):
            return RowRefusal("empty_prompt", "nothing was asked")
        if row.prompt[-1]["role"] == "assistant":
            return RowRefusal("prompt_ends_with_answer", "chat templates would open a second answer")
        if not row.completion or row.completion[-1]["role"] != "assistant":
            return RowRefusal("no_answer", "the completion is not an answer")
        return None

    def prompt(self, row: Row) -> tuple[Message, ...]:
        """The history."""
        return row.prompt


def negative(recipe: Recipe, one: ScoredUnit, facts: SiblingFacts) -> PathFlaw | None:
    """What is wrong with a path, as far as the recipe asks for it; noise comes first, since it is never trained on."""
    found = findings_of(one.unit, human=one.parts.human, categories=one.named, facts=facts)
    if found and found[0].type == NOISE:
        return found[0]
    return next((each for each in found if each.type in recipe.negatives), None)


def unwanted(recipe: Recipe, one: ScoredUnit, finding: PathFlaw, kind: str, label: str) -> PlannedRow:
    """The plan of a row that is not wanted: it competes with no other, and the worst comes first."""
    return replace(
        planned_unit(recipe, one, kind),
        label=label,
        label_source=one.source,
        agreement=one.agreement if finding.agreement is None else finding.agreement,
        rank=2.0 - one.score,  # before every wanted row, whose rank is its score
        group="",
        groups=(),
        refusal="",
        negative=finding.type,
        evidence=finding.evidence,
    )
