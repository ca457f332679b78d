"""Direct preference optimization: a prompt, an answer to prefer and an answer to avoid."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from regraft.domain.datasets.fitness import unfit_ending
from regraft.domain.datasets.kinds.continuations import CONTEXT, fill_continuations, plan_continuations
from regraft.domain.datasets.kinds.judged import calibrated_pairs
from regraft.domain.datasets.kinds.kind import (
    Candidates,
    Counts,
    Filled,
    Limit,
    PlannedRow,
    allowed_parts,
    mismatch,
)
from regraft.domain.datasets.kinds.pair_plan import FILTERED, planned_pair, unweighted
from regraft.domain.datasets.messages import Message, RowRefusal, says_nothing
from regraft.domain.datasets.recipe import Recipe
from regraft.domain.datasets.rows import Row
from regraft.domain.datasets.turns import RecordedTurn
from regraft.domain.evaluation.score import PARTS, ScoreParts, score

_SOURCES = {
    "human": ("human", "ratings"),
    "imported": ("imported",),
    "outcome": ("outcome",),
    "model": ("model",),
    "signals": ("signals",),
}


class DpoKind:
    """Rows fill ``prompt``, ``chosen`` and ``rejected``."""

    name = "dpo"
    columns: tuple[str, ...] = ("prompt", "chosen", "rejected")

    def plan(self, recipe: Recipe, candidates: Candidates, counts: Counts) -> Iterator[PlannedRow]:
        """The legal pairs that an allowed label source decides with a sufficient margin."""
        if recipe.sides == "continuations":
            yield from plan_continuations(recipe, candidates, counts, self.name)
            return
        sources = {source for label in recipe.labels for source in _SOURCES.get(label, ())}
        allowed = allowed_parts(recipe)
        for pair in calibrated_pairs(recipe, candidates):
            models, purposes, times = ([pair[f"{name}_{side}"] for side in "ab"] for name in FILTERED)
            if cause := mismatch(recipe, pair["theme"], models, purposes, times):
                counts.passed_over[cause] += 1
                continue
            if pair["verdict"] != "legal":
                counts.refuse_pair(pair["reason"], pair)
                continue
            better = "a" if pair["chosen"] == pair["node_a"] else "b"
            worth = score(ScoreParts(**{part: pair[f"{part}_{better}"] for part in PARTS}), recipe.weights, allowed)
            # A reward that was imported is an outcome, too.
            outcome = "outcome" in recipe.labels and pair["basis"] == "rating"
            if pair["source"] not in sources and not outcome:
                counts.refuse_pair("label_source_not_allowed", pair)
            elif pair["margin"] < recipe.min_margin:
                counts.refuse_pair("margin_below_minimum", pair)
            elif worth < recipe.min_score:
                counts.refuse_pair("score_below_minimum", pair)
            else:
                yield planned_pair(
                    recipe,
                    pair,
                    better,
                    kind=self.name,
                    label_source=pair["source"],
                    margin=pair["margin"],
                    worth=worth,
                )

    def limits(self, recipe: Recipe) -> tuple[Limit, ...]:
        """Pairs of one context first, then of one stratum."""
        return (
            Limit(lambda row: row.anchor, recipe.per_context),
            Limit(lambda row: row.stratum, recipe.k_per_stratum),
        )

    def fill(self, turns: Mapping[str, RecordedTurn]) -> Filled | RowRefusal:
        """Both answers with their common history; refused when the two calls differ in more than the answer.

        Weights of the history say nothing here: a preference is learned from the two answers alone.
        """
        if CONTEXT in turns:
            return fill_continuations(turns)
        chosen, rejected = turns["chosen"], turns["rejected"]
        if chosen.history != rejected.history:
            return RowRefusal("context_differs")
        if any(message["weight"] is not None for message in chosen.answer + rejected.answer):
            return RowRefusal("message_weight", "an answer has a weight, which a pair cannot say")
        if chosen.tools_digest != rejected.tools_digest:
            return RowRefusal("tools_differ")
        if chosen.answer == rejected.answer:
            return RowRefusal("identical_answer")
        return {"prompt": unweighted(chosen.history), "chosen": chosen.answer, "rejected": rejected.answer}

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
            if not messages or messages[-1]["role"] != "assistant":
                return RowRefusal("no_answer", f"{side} does not end with an answer")
            if messages[0]["role"] != "assistant":
                return RowRefusal("no_answer", f"{side} does not begin with an answer")
        return None

    def prompt(self, row: Row) -> tuple[Message, ...]:
        """The history that both answers share."""
        return row.prompt
