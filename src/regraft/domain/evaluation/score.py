"""The explicit score of an answer or a path.

A score has four parts, each from 0 to 1 or unknown: ratings by people, reported outcomes, judgements of models, and
measured signals. An unknown part counts as 0.5, neither good nor bad. With the default weights (8, 4, 2, 1) each part
outweighs all that follow it together, which is "human > outcome > model judge > signals" as one number.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

from regraft.domain.capture.endings import ending_of
from regraft.domain.errors import ConfigError
from regraft.domain.evaluation.trajectory import AnswerSignals, UnitSignals
from regraft.domain.lineage.feedback import BEST_RATING, WORST_RATING

NEUTRAL = 0.5
PARTS = ("human", "outcome", "judge", "signals")
OVERLONG = 3.0  # times the median sibling


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreParts:
    """The parts of a score, each 0 to 1; None is unknown."""

    human: float | None = None
    outcome: float | None = None
    judge: float | None = None
    signals: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """The weight of each part. Raises ConfigError when a weight is negative or all are zero."""

    human: float = 8.0
    outcome: float = 4.0
    judge: float = 2.0
    signals: float = 1.0

    def __post_init__(self) -> None:
        values = [getattr(self, field.name) for field in fields(self)]
        if min(values) < 0 or sum(values) <= 0:
            raise ConfigError("Weights must not be negative and at least one must be above zero.")


def score(parts: ScoreParts, weights: Weights, allowed: Iterable[str] = PARTS) -> float:
    """The weighted mean of the parts, 0 to 1; parts that are unknown or not ``allowed`` count as neutral."""
    use = set(allowed)
    total = gained = 0.0
    for name in PARTS:
        weight = getattr(weights, name)
        value = getattr(parts, name) if name in use else None
        total += weight
        gained += weight * (NEUTRAL if value is None else value)
    return round(gained / total, 6)


def human_part(ratings: Iterable[int]) -> float | None:
    """Ratings from 1 to 5 as one part from 0 to 1: their mean; None without a rating."""
    values = list(ratings)
    if not values:
        return None
    return (sum(values) / len(values) - WORST_RATING) / (BEST_RATING - WORST_RATING)


def answer_quality(signals: AnswerSignals) -> float:
    """A cautious quality of an answer, 0 to 1, only from measured signals: a failed or empty answer has 0; being
    cut off by a limit costs 0.3, repetition up to 0.5, being three times as long as its siblings 0.1."""
    if signals.empty or signals.status not in {"ok", "refused"}:
        return 0.0
    worth = 1.0
    if ending_of(signals.finish_reason) == "cut":
        worth -= 0.3
    if signals.status == "refused":
        worth -= 0.3
    worth -= 0.5 * signals.repetition
    if signals.relative_length > OVERLONG:
        worth -= 0.1
    return round(max(0.0, worth), 6)


def unit_quality(signals: UnitSignals) -> float:
    """A cautious quality of a path: that of its last answer, minus up to 0.25 for failed and 0.2 for repeated tool
    calls."""
    worth = answer_quality(signals.answer)
    if signals.tool_calls:
        worth -= 0.25 * signals.tool_errors / signals.tool_calls
        worth -= 0.2 * signals.repeated_calls / signals.tool_calls
    return round(max(0.0, worth), 6)
