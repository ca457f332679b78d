"""Reward models: pairs as for preference optimization, and siblings whose continuations came to different outcomes.

A step of a long task is rarely judged itself. Its value is the mean outcome of the paths through it; where the values
of two siblings differ, the better one is preferred, and the row says from how many paths that is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from regraft.domain.datasets.kinds.dpo import DpoKind
from regraft.domain.datasets.kinds.judged import calibrated_pairs
from regraft.domain.datasets.kinds.kind import Candidates, Counts, PlannedRow, Record, mismatch
from regraft.domain.datasets.kinds.pair_plan import FILTERED, planned_pair
from regraft.domain.datasets.recipe import Recipe
from regraft.domain.evaluation.node_values import NodeValue, backed_up
from regraft.domain.evaluation.pairs import DEFAULT_MIN_MARGIN, UNDECIDED

_OPEN = UNDECIDED | {"judge_not_calibrated"}
_OUTCOMES = ("human_outcome", "outcome", "imported_human", "imported_outcome")  # the first that is known counts


class RewardKind(DpoKind):
    """Rows fill ``prompt``, ``chosen`` and ``rejected``."""

    name = "reward"

    def plan(self, recipe: Recipe, candidates: Candidates, counts: Counts) -> Iterator[PlannedRow]:
        """Decided pairs, and pairs that the outcomes of their continuations decide."""
        if "outcome" not in recipe.labels or recipe.sides == "continuations":
            yield from super().plan(recipe, candidates, counts)
            return
        values = backed_up(_outcomes(candidates.units()))
        valued: list[PlannedRow] = []

        def undecided(pairs: Iterable[Record]) -> Iterator[Record]:
            for pair in pairs:
                planned = self._by_value(recipe, pair, values) if _is_undecided(pair) else None
                if planned is None:
                    yield pair
                else:
                    valued.append(planned)

        rest = replace(candidates, pairs=lambda: undecided(calibrated_pairs(recipe, candidates)))
        for planned in super().plan(recipe, rest, counts):
            yield planned
            yield from valued
            valued.clear()
        yield from valued

    def _by_value(self, recipe: Recipe, pair: Record, values: Mapping[str, NodeValue]) -> PlannedRow | None:
        known = [values.get(str(pair[f"node_{side}"])) for side in "ab"]
        if known[0] is None or known[1] is None:
            return None
        one, other = known[0], known[1]
        margin = round(abs(one.mean - other.mean), 6)
        models, purposes, times = ([pair[f"{name}_{side}"] for side in "ab"] for name in FILTERED)
        if mismatch(recipe, pair["theme"], models, purposes, times):
            return None
        if margin < max(recipe.min_margin, DEFAULT_MIN_MARGIN):
            return None
        better = "a" if one.mean > other.mean else "b"
        planned = planned_pair(
            recipe, pair, better, kind=self.name, label_source="outcome", margin=margin, worth=max(one.mean, other.mean)
        )
        return replace(
            planned,
            evidence=f"mean outcome {one.mean:g} of {one.paths} paths through a, "
            f"{other.mean:g} of {other.paths} through b",
        )


def _is_undecided(pair: Record) -> bool:
    return pair["reason"] in _OPEN or (pair["verdict"] == "legal" and pair["source"] == "signals")


def _outcomes(units: Iterable[Record]) -> Iterator[tuple[list[str], float]]:
    for unit in units:
        known = (unit[name] for name in _OUTCOMES)
        outcome = next((value for value in known if value is not None), None)
        if outcome is not None:
            yield unit["path_nodes"], outcome
