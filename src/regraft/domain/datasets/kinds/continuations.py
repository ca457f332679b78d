"""Pairs whose sides are whole continuations: from two answers to one context on to the ends of their paths.

What came of the paths decides: the values of all leaves below an answer, by one source, are its value, and the better
answer's best path is preferred to the worse one's worst path.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from regraft.domain.datasets.kinds.judged import calibrated_pairs
from regraft.domain.datasets.kinds.kind import Candidates, Counts, Filled, PlannedRow, Record
from regraft.domain.datasets.kinds.pair_plan import planned_pair, unweighted
from regraft.domain.datasets.kinds.sft import ScoredUnit, scored_units
from regraft.domain.datasets.messages import RowRefusal
from regraft.domain.datasets.recipe import Recipe
from regraft.domain.datasets.turns import RecordedTurn
from regraft.domain.evaluation.pairs import DEFAULT_MIN_MARGIN, UNDECIDED
from regraft.domain.ids import digest, uuid_of

CONTEXT = "context"  # the part of a row that names the turn whose history both sides continue
_COMPARABLE = UNDECIDED | {
    "judge_not_calibrated"
}  # the contexts are the same; only the verdict on the answers is missing
_PARTS = ("human", "outcome", "judge")


@dataclass(frozen=True, slots=True)
class _Leaf:
    """The end of a path, and its value by one source, 0 to 1."""

    value: float
    unit_id: str
    turn_id: str
    label_source: str
    score: float
    agreement: float | None


@dataclass(slots=True)
class _Below:
    """The leaves below an answer, by one source."""

    best: _Leaf
    worst: _Leaf
    total: float = 0.0
    leaves: int = 0

    @property
    def mean(self) -> float:
        return self.total / self.leaves

    def add(self, leaf: _Leaf) -> None:
        self.total += leaf.value
        self.leaves += 1
        self.best = max(self.best, leaf, key=lambda one: (one.value, one.unit_id))
        self.worst = min(self.worst, leaf, key=lambda one: (one.value, one.unit_id))


_Source = tuple[str, str]  # a part of the score, and of an outcome who reported it


def plan_continuations(recipe: Recipe, candidates: Candidates, counts: Counts, kind: str) -> Iterator[PlannedRow]:
    """A row for each two answers to one context whose paths led to different outcomes by a source that the recipe
    allows.

    The recipe's filters apply to the ends of the paths.
    """
    every = calibrated_pairs(recipe, candidates)
    wanted = {str(pair[f"node_{side}"]) for pair in every if _is_comparable(pair) for side in "ab"}
    below = _values(wanted, scored_units(recipe, candidates, counts))
    for pair in calibrated_pairs(recipe, candidates):  # once more, rather than kept: there may be millions
        if not _is_comparable(pair):
            counts.refuse_pair(pair["reason"], pair)
            continue
        found = _decided(recipe, below.get(str(pair["node_a"]), {}), below.get(str(pair["node_b"]), {}))
        if isinstance(found, str):
            counts.refuse_pair(found, pair)
        else:
            yield _planned(recipe, pair, *found, kind=kind)


def _is_comparable(pair: Record) -> bool:
    return pair["verdict"] == "legal" or pair["reason"] in _COMPARABLE


def _values(wanted: set[str], units: Iterable[ScoredUnit]) -> Mapping[str, Mapping[_Source, _Below]]:
    found: dict[str, dict[_Source, _Below]] = {}
    for one in units:
        nodes = wanted.intersection(str(node) for node in one.unit["path_nodes"])
        for part in _PARTS:
            value = getattr(one.allowed, part)
            if value is None or not nodes:
                continue
            source = (part, str(one.unit["outcome_source"] or "") if part == "outcome" else "")
            turn = str(one.unit["turn_id"])
            leaf = _Leaf(value, one.unit_id, turn, one.source, one.score, one.agreement)
            for node in nodes:
                found.setdefault(node, {}).setdefault(source, _Below(leaf, leaf)).add(leaf)
    return found


def _decided(
    recipe: Recipe, a: Mapping[_Source, _Below], b: Mapping[_Source, _Below]
) -> tuple[str, _Below, _Below] | str:
    """The better side (a or b) by the best source that knows both, and what is below the better and the worse one; or
    why there is none."""
    shared = sorted(a.keys() & b.keys(), key=lambda source: (_PARTS.index(source[0]), source))
    if not shared:
        return "no_preference"
    one, other = a[shared[0]], b[shared[0]]
    if one.mean == other.mean:
        return "judged_equal"
    if abs(one.mean - other.mean) < max(recipe.min_margin, DEFAULT_MIN_MARGIN):
        return "margin_below_minimum"
    side, better, worse = ("a", one, other) if one.mean > other.mean else ("b", other, one)
    return "score_below_minimum" if better.best.score < recipe.min_score else (side, better, worse)


def _planned(recipe: Recipe, pair: Record, side: str, better: _Below, worse: _Below, *, kind: str) -> PlannedRow:
    chosen, rejected = better.best, worse.worst
    other = "b" if side == "a" else "a"
    ends = sorted((chosen.unit_id, rejected.unit_id))
    identity = uuid_of(digest(b"continuations", *(end.encode() for end in ends)))
    planned = planned_pair(
        recipe,
        {
            **pair,
            "pair_id": identity,
            f"turn_{side}": chosen.turn_id,
            f"turn_{other}": rejected.turn_id,
            "agreement": chosen.agreement,
        },
        side,
        kind=kind,
        label_source=chosen.label_source,
        margin=round(chosen.value - rejected.value, 6),
        worth=chosen.score,
    )
    return replace(
        planned,
        turns={**planned.turns, CONTEXT: str(pair["turn_a"])},
        evidence=f"mean value {better.mean:.4g} of {better.leaves} paths through the preferred answer,"
        f" {worse.mean:.4g} of {worse.leaves} through the other",
    )


def fill_continuations(turns: Mapping[str, RecordedTurn]) -> Filled | RowRefusal:
    """The common history as the prompt, and on each side all that follows it, to the end of the path."""
    context = turns[CONTEXT]
    start = len(context.history)
    prompt = unweighted(context.history)
    sides = {}
    for name in ("chosen", "rejected"):
        said = turns[name].history + turns[name].answer
        if unweighted(said[:start]) != prompt or len(said) == start:
            return RowRefusal("context_differs", f"the history was rewritten on the way to the end of {name}")
        if any(message["weight"] is not None for message in said[start:]):
            return RowRefusal("message_weight", "an answer has a weight, which a pair cannot say")
        if turns[name].tools_digest != context.tools_digest:
            return RowRefusal("tools_differ", f"the tools changed on the way to the end of {name}")
        sides[name] = said[start:]
    if sides["chosen"] == sides["rejected"]:
        return RowRefusal("identical_answer")
    return {"prompt": prompt, **sides}
