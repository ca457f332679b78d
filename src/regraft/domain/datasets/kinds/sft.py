"""Supervised fine-tuning: the best path of each task or context, as one conversation that ends with an answer."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from regraft.domain.capture.endings import recorded_ending
from regraft.domain.datasets.fitness import unfit_ending
from regraft.domain.datasets.kinds.judged import (
    JUDGEMENTS,
    JudgedUnit,
    JudgeRating,
    JudgeTrust,
    judge_categories,
    judge_rating,
)
from regraft.domain.datasets.kinds.kind import (
    Candidates,
    Counts,
    Filled,
    Limit,
    PlannedRow,
    Record,
    mismatch,
    stratum_of,
)
from regraft.domain.datasets.messages import Message, RowRefusal, says_nothing
from regraft.domain.datasets.negatives import BY_PEOPLE, NamedCategory
from regraft.domain.datasets.recipe import Recipe
from regraft.domain.datasets.rows import Row
from regraft.domain.datasets.turns import RecordedTurn
from regraft.domain.evaluation.score import ScoreParts, human_part, score

_REMEMBERED = 10_000  # different judgements of paths whose worth is kept
_NOTHING_JUDGED = JudgeRating()
_NOTHING_NAMED: dict[str, NamedCategory] = {}
_judgements = itemgetter(*JUDGEMENTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredUnit:
    """A path that a recipe's filters let pass, with all known parts of its score. ``source`` is the label source of
    the best part that the recipe allows, ``outcome`` how the path ended, where it was judged. People gave it the
    ``categories``; ``named`` are those and what calibrated judges gave it, each with who did. ``agreement`` is that of
    the model behind the best part, where a model is. ``allowed`` are the parts that the recipe's labels allow."""

    unit: Record
    parts: ScoreParts
    allowed: ScoreParts
    score: float
    source: str
    categories: tuple[str, ...]
    named: Mapping[str, NamedCategory]
    outcome: float | None
    agreement: float | None

    @property
    def unit_id(self) -> str:
        """The id of the path's terminal node."""
        return str(self.unit["unit_id"])


def scored_units(recipe: Recipe, candidates: Candidates, counts: Counts) -> Iterator[ScoredUnit]:
    """The paths that pass the recipe's filters, each with its score; the others are counted."""
    rated = {row["unit_id"]: row for row in candidates.ratings()}
    trust = JudgeTrust.of(recipe, candidates.calibrations)
    judged_alike: dict[Any, _Worth] = {}  # most paths were judged as many others were, or not at all
    for unit in candidates.units():
        cause = _mismatch(recipe, unit)
        if cause:
            counts.passed_over[cause] += 1
            continue
        human, ours, people, named = None, _NOTHING_JUDGED, (), _NOTHING_NAMED
        if label := rated.get(str(unit["unit_id"])):
            human = human_part(json.loads(label["ratings"]))
            people = tuple(json.loads(label.get("categories") or "[]"))
            ours = judge_rating(trust, json.loads(label.get("judge_ratings") or "[]"))
            named = judge_categories(trust, json.loads(label.get("judge_categories") or "[]"))
            named |= dict.fromkeys(people, BY_PEOPLE)
        judgements = (human, ours, _judgements(unit))
        worth = judged_alike.get(judgements)
        if worth is None:
            worth = _worth(recipe, JudgedUnit(unit, human, trust=trust, judged=ours))
            if len(judged_alike) < _REMEMBERED:
                judged_alike[judgements] = worth
        yield ScoredUnit(
            unit=unit,
            parts=worth.parts,
            allowed=worth.allowed,
            score=worth.score,
            source=worth.source,
            categories=people,
            named=named,
            outcome=worth.outcome,
            agreement=worth.agreement,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Worth:
    """What follows from the judgements of a path: fields of a scored unit."""

    parts: ScoreParts
    allowed: ScoreParts
    score: float
    source: str
    outcome: float | None
    agreement: float | None


def _worth(recipe: Recipe, judged: JudgedUnit) -> _Worth:
    allowed, source = judged.allowed(recipe.labels)
    return _Worth(
        parts=judged.parts,
        allowed=allowed,
        score=score(allowed, recipe.weights),
        source=source,
        outcome=judged.outcome(recipe.labels),
        agreement=judged.agreement(recipe.labels),
    )


def _mismatch(recipe: Recipe, unit: Record) -> str:
    cause = mismatch(recipe, unit["theme"], [unit["model"]], [unit["purpose"]], [unit["started_at"]])
    if not cause and unit["fidelity"] is not None and unit["fidelity"] < recipe.min_fidelity:
        return "low_fidelity"
    return cause


class SftKind:
    """Rows fill ``messages``."""

    name = "sft"
    columns: tuple[str, ...] = ("messages",)

    def plan(self, recipe: Recipe, candidates: Candidates, counts: Counts) -> Iterator[PlannedRow]:
        """The paths that may win their task, or their context where calls named no task."""
        for one in scored_units(recipe, candidates, counts):
            refusal = _refusal(recipe, one.unit)
            if not refusal and one.outcome is not None and one.outcome < recipe.min_outcome:
                refusal = "outcome_below_minimum"  # it takes no other path's place, too
            if refusal:
                counts.refuse_unit(refusal, one.unit)
                continue
            yield planned_unit(recipe, one, self.name)

    def limits(self, recipe: Recipe) -> tuple[Limit, ...]:
        """``per_context`` is applied to whole paths while they compete."""
        return (Limit(lambda row: row.stratum, recipe.k_per_stratum),)

    def fill(self, turns: Mapping[str, RecordedTurn]) -> Filled | RowRefusal:
        """The history and its answer; refused when nothing should be learned from the answer."""
        answer = turns["answer"].answer
        if answer and answer[-1]["weight"] == 0.0:
            return RowRefusal("weight_zero", "the answer's weight is 0")
        return {"messages": turns["answer"].history + answer}

    def unfit(self, recipe: Recipe, turns: Mapping[str, RecordedTurn]) -> RowRefusal | None:
        """The answer has to be whole and to say something; a recipe may ask for cut ones."""
        answer = turns["answer"]
        if says_nothing(answer.answer):
            return RowRefusal("no_answer", "the answer is empty")
        return unfit_ending(answer.ending, recipe.endings)

    def illegal(self, row: Row) -> RowRefusal | None:
        """A row without an answer at its end has no target, one without a question no task."""
        if not row.messages or row.messages[-1]["role"] != "assistant":
            return RowRefusal("no_answer", "the last message is not an answer")
        if not any(message["role"] in {"user", "tool"} for message in row.messages):
            return RowRefusal("empty_prompt", "nothing was asked")
        return None

    def prompt(self, row: Row) -> tuple[Message, ...]:
        """All messages but the last."""
        return row.messages[:-1]


def planned_unit(recipe: Recipe, one: ScoredUnit, kind: str) -> PlannedRow:
    """The plan of a row whose answer is the last of a path.

    A path competes in each context that it passed through: an answer that was abandoned for a sibling with which the
    conversation continued is not the best of its context.
    """
    unit = one.unit
    task = unit["task_key"] or ""
    anchor = str(unit["anchor"]) if unit["anchor"] else None
    refusal = "score_below_minimum" if one.score < recipe.min_score else ""
    if one.outcome is not None and one.outcome < recipe.min_outcome:
        refusal = refusal or "outcome_below_minimum"
    return PlannedRow(
        row_id=one.unit_id,
        kind=kind,
        turns={"answer": str(unit["turn_id"])},
        theme=unit["theme"],
        stratum=stratum_of(
            recipe,
            theme=unit["theme"],
            model=unit["model"],
            purpose=unit["purpose"],
            task=task,
            category=one.categories[0] if one.categories else "",
            cluster=unit.get("cluster") or "",
        ),
        task=task,
        anchor=anchor,
        label_source=one.source,
        agreement=one.agreement,
        score=one.score,
        parts=one.parts,
        rank=one.score,
        length=unit["turns"],
        group=f"task {task}" if task else f"context {anchor}",
        groups=(f"task {task}",) if task else tuple(f"context {each}" for each in unit["path_anchors"]),
        refusal=refusal,
    )


def _refusal(recipe: Recipe, unit: Record) -> str:
    """Why a path does not compete, '' when it does: its last answer is empty, or of no ending that the recipe takes."""
    if unit["node_status"] == "error" or unit["answer_empty"]:
        return "no_answer"
    reasons = unit["finish_reasons"]
    unfit = unfit_ending(recorded_ending(unit["node_status"], reasons[-1] if reasons else None), recipe.endings)
    return unfit.reason if unfit else ""
