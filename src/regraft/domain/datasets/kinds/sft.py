"""Supervised fine-tuning: the best path of each task or context, as one conversation that ends with an answer."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace

from regraft.domain.capture.endings import recorded_ending
from regraft.domain.datasets.fitness import says_nothing, unfit_ending
from regraft.domain.datasets.kinds.kind import (
    Candidates,
    Limit,
    PlannedRow,
    Record,
    RecordedTurn,
    Selection,
    allowed_parts,
    mismatch,
)
from regraft.domain.datasets.recipe import Recipe
from regraft.domain.datasets.rows import Message, Row, RowRefusal
from regraft.domain.evaluation.score import ScoreParts, human_part, score

_LABELS = (("human", "ratings"), ("outcome", "outcome"), ("judge", "model"), ("signals", "signals"))


class SftKind:
    """Rows fill ``messages``."""

    name = "sft"
    columns = ("messages",)

    def select(self, recipe: Recipe, candidates: Candidates) -> Selection:
        """The best paths of each task, or of each context where calls named no task."""
        selection = Selection()
        ratings = {row["unit_id"]: json.loads(row["ratings"]) for row in candidates.ratings()}
        allowed = allowed_parts(recipe)
        scored = []
        for unit in candidates.units():
            cause = mismatch(recipe, unit["theme"], [unit["model"]], [unit["purpose"]])
            if not cause and unit["fidelity"] is not None and unit["fidelity"] < recipe.min_fidelity:
                cause = "low_fidelity"
            if cause:
                selection.passed_over[cause] += 1
                continue
            refusal = _refusal(recipe, unit)
            if refusal:
                selection.refused[refusal] += 1
                continue
            human = human_part(ratings.get(str(unit["unit_id"]), []))
            parts = ScoreParts(
                human=unit["human_outcome"] if human is None else human,
                outcome=unit["outcome"],
                judge=unit["judge_outcome"],
                signals=unit["quality"],
            )
            source = next(
                (label for part, label in _LABELS if part in allowed and getattr(parts, part) is not None), "none"
            )
            scored.append((unit, score(parts, recipe.weights, allowed), source))
        best = _best_units([(unit, worth) for unit, worth, _ in scored], recipe.per_context)
        for unit, worth, source in scored:
            unit_id = str(unit["unit_id"])
            if unit_id not in best.get(_task(unit), {unit_id}):
                selection.passed_over["not_among_best"] += 1
            elif worth < recipe.min_score:
                selection.refused["score_below_minimum"] += 1
            else:
                selection.rows.append(
                    PlannedRow(
                        row_id=unit_id,
                        kind=self.name,
                        turns={"answer": str(unit["turn_id"])},
                        theme=unit["theme"],
                        anchor=str(unit["anchor"]) if unit["anchor"] else None,
                        label_source=source,
                        margin=0.0,
                        score=worth,
                        rank=worth,
                    )
                )
        return selection

    def limits(self, recipe: Recipe) -> tuple[Limit, ...]:
        """``per_context`` is applied to whole paths while they are selected."""
        return (Limit(lambda row: row.theme, recipe.k_per_theme),)

    def fill(self, row: Row, turns: Mapping[str, RecordedTurn]) -> Row | RowRefusal:
        """The history and its answer; refused when not all answers in them shall be learned from alike."""
        if turns["answer"].weighted_history or turns["answer"].weighted_answer:
            return RowRefusal("message_weight", "an answer in it has a weight, which the row cannot say")
        return replace(row, messages=turns["answer"].history + turns["answer"].answer)

    def unfit(self, recipe: Recipe, turns: Mapping[str, RecordedTurn]) -> RowRefusal | None:
        """The answer has to be whole and to say something; a recipe may ask for cut ones."""
        answer = turns["answer"]
        if says_nothing(answer.answer):
            return RowRefusal("no_answer", "the answer is empty")
        return unfit_ending(answer.ending, recipe.endings)

    def illegal(self, row: Row) -> RowRefusal | None:
        """A row without an answer at its end has no target."""
        if not row.messages or row.messages[-1]["role"] != "assistant":
            return RowRefusal("no_answer", "the last message is not an answer")
        return None

    def prompt(self, row: Row) -> tuple[Message, ...]:
        """All messages but the last."""
        return row.messages[:-1]


def _refusal(recipe: Recipe, unit: Record) -> str:
    """Why a path does not compete, '' when it does: nobody learns from how it ended."""
    if unit["node_status"] == "error" or unit["answer_empty"]:
        return "no_answer"
    reasons = unit["finish_reasons"]
    unfit = unfit_ending(recorded_ending(unit["node_status"], reasons[-1] if reasons else None), recipe.endings)
    return unfit.reason if unfit else ""


def _task(unit: Record) -> tuple[str, str]:
    return ("task", unit["task_key"]) if unit["task_key"] else ("context", str(unit["anchor"]))


def _best_units(scored: list[tuple[Record, float]], k: int) -> dict[tuple[str, str], set[str]]:
    """The ids of the best ``k`` units (all when ``k`` is 0) of each task or context."""
    groups: dict[tuple[str, str], list[tuple[float, int, str]]] = defaultdict(list)
    for unit, worth in scored:
        # A path competes in each context that it passed through: an answer that was abandoned for a sibling with which
        # the conversation continued is not the best of its context.
        entry = (-worth, -unit["turns"], str(unit["unit_id"]))
        keys = [_task(unit)] if unit["task_key"] else [("context", str(anchor)) for anchor in unit["path_anchors"]]
        for key in keys:
            groups[key].append(entry)
    return {key: {unit_id for _, _, unit_id in sorted(entries)[: k or None]} for key, entries in groups.items()}
