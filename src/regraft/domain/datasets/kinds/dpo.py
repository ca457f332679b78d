"""Direct preference optimization: a prompt, an answer to prefer and an answer to avoid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from regraft.domain.datasets.fitness import says_nothing, unfit_ending
from regraft.domain.datasets.kinds.kind import (
    Candidates,
    Limit,
    PlannedRow,
    RecordedTurn,
    Selection,
    allowed_parts,
    mismatch,
)
from regraft.domain.datasets.recipe import Recipe
from regraft.domain.datasets.rows import Message, Row, RowRefusal
from regraft.domain.evaluation.score import PARTS, ScoreParts, score

_SOURCES = {
    "human": ("human", "ratings"),
    "imported": ("imported",),
    "outcome": ("outcome",),
    "model": ("model",),
    "signals": ("signals",),
}
_STRENGTH = {"human": 5.0, "imported": 4.0, "ratings": 3.0, "outcome": 2.0, "model": 1.0, "signals": 0.0}


class DpoKind:
    """Rows fill ``prompt``, ``chosen`` and ``rejected``."""

    name = "dpo"
    columns = ("prompt", "chosen", "rejected")

    def select(self, recipe: Recipe, candidates: Candidates) -> Selection:
        """The legal pairs that an allowed label source decides with a sufficient margin."""
        selection = Selection()
        sources = {source for label in recipe.labels for source in _SOURCES.get(label, ())}
        allowed = allowed_parts(recipe)
        for pair in candidates.pairs():
            models, purposes = ([pair[f"{name}_a"], pair[f"{name}_b"]] for name in ("model", "purpose"))
            if cause := mismatch(recipe, pair["theme"], models, purposes):
                selection.passed_over[cause] += 1
                continue
            if pair["verdict"] != "legal":
                selection.refused[pair["reason"]] += 1
                continue
            better, worse = ("a", "b") if pair["chosen"] == pair["node_a"] else ("b", "a")
            worth = score(ScoreParts(**{part: pair[f"{part}_{better}"] for part in PARTS}), recipe.weights, allowed)
            if pair["source"] not in sources:
                selection.refused["label_source_not_allowed"] += 1
            elif pair["margin"] < recipe.min_margin:
                selection.refused["margin_below_minimum"] += 1
            elif worth < recipe.min_score:
                selection.refused["score_below_minimum"] += 1
            else:
                selection.rows.append(
                    PlannedRow(
                        row_id=str(pair["pair_id"]),
                        kind=self.name,
                        turns={"chosen": str(pair[f"turn_{better}"]), "rejected": str(pair[f"turn_{worse}"])},
                        theme=pair["theme"],
                        anchor=str(pair["anchor_turn_id"]),
                        label_source=pair["source"],
                        margin=pair["margin"],
                        score=worth,
                        rank=_STRENGTH[pair["source"]] + pair["margin"] / 2,
                    )
                )
        return selection

    def limits(self, recipe: Recipe) -> tuple[Limit, ...]:
        """Pairs of one context first, then of one theme."""
        return (
            Limit(lambda row: row.anchor, recipe.per_context),
            Limit(lambda row: row.theme, recipe.k_per_theme),
        )

    def fill(self, row: Row, turns: Mapping[str, RecordedTurn]) -> Row | RowRefusal:
        """Both answers with their common history; refused when the two calls differ in more than the answer."""
        chosen, rejected = turns["chosen"], turns["rejected"]
        if chosen.history != rejected.history:
            return RowRefusal("context_differs")
        if chosen.weighted_answer or rejected.weighted_answer:
            return RowRefusal("message_weight", "an answer has a weight, which the row cannot say")
        if chosen.tools_digest != rejected.tools_digest:
            return RowRefusal("tools_differ")
        if chosen.answer == rejected.answer:
            return RowRefusal("identical_answer")
        return replace(row, prompt=chosen.history, chosen=chosen.answer, rejected=rejected.answer)

    def unfit(self, recipe: Recipe, turns: Mapping[str, RecordedTurn]) -> RowRefusal | None:
        """Both answers have to say something, and the one to prefer has to be whole; a recipe may ask for cut ones."""
        if says_nothing(turns["chosen"].answer) or says_nothing(turns["rejected"].answer):
            return RowRefusal("no_answer", "an answer is empty")
        return unfit_ending(turns["chosen"].ending, recipe.endings) or unfit_ending(
            turns["rejected"].ending, [*recipe.endings, "cut"]
        )

    def illegal(self, row: Row) -> RowRefusal | None:
        """Trainers accept these rows without an error and learn something else from them."""
        if not row.prompt:
            return RowRefusal("empty_prompt")
        if row.prompt[-1]["role"] == "assistant":
            return RowRefusal("prompt_ends_with_answer", "chat templates would open a second answer")
        for side, messages in (("chosen", row.chosen), ("rejected", row.rejected)):
            if [message["role"] for message in messages] != ["assistant"]:
                return RowRefusal("no_answer", f"{side} is not one answer")
        return None

    def prompt(self, row: Row) -> tuple[Message, ...]:
        """The history that both answers share."""
        return row.prompt
