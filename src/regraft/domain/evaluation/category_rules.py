"""Rules that sort paths into categories by what was measured on them and their siblings.

A rule says how clearly a category holds (0 to 1) and names its evidence, or says nothing. No rule reads what people or
models think: outcomes are those that tests, graders and benchmarks reported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import erf, log, sqrt

from regraft.domain.capture.endings import WHOLE, recorded_ending
from regraft.domain.evaluation.score import OVERLONG
from regraft.domain.evaluation.taxonomy import Category, RuleName, SignalBound, SignalName, Taxonomy

VERSION = 1  # of the rules: another number is another version of every label that they make
LONG = 400  # characters from which an answer can be overlong
QUESTION_LENGTH = 600  # characters up to which an answer that asks back is a question and not a report
GOOD = 0.75  # outcome from which an answer is good
BAD = 0.5  # outcome below which it is not


@dataclass(frozen=True, slots=True, kw_only=True)
class Counterfactual:
    """Sibling answers with and without a tool call under one anchor, with the outcomes of the paths below each side.

    ``calls``: whether the path in question goes through a side with a call. Means are 0 to 1.
    """

    anchor: str
    calls: bool
    mean_with: float
    leaves_with: int
    mean_without: float
    leaves_without: int

    def advantage(self) -> float:
        """How sure it is that paths with the call end better: -1 (surely worse) to 1 (surely better).

        Both sides are taken as success rates with a uniform prior, and their Beta posteriors as normal: the result is
        2 P(with > without) - 1.
        """
        one = _posterior(self.mean_with, self.leaves_with)
        other = _posterior(self.mean_without, self.leaves_without)
        return erf((one[0] - other[0]) / sqrt(2.0 * (one[1] + other[1])))


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitFacts:
    """What rules know of a path. ``signals`` hold those that are known; ``tail`` is the end of the last answer, at most
    ``QUESTION_LENGTH`` characters and one; ``sibling_outcomes`` are those of the answers to the last context, its own
    included."""

    unit_id: str
    node_status: str
    finish_reason: str | None
    answer_empty: bool
    signals: Mapping[SignalName, float]
    tail: str = ""
    sibling_outcomes: Sequence[float] = ()
    counterfactuals: Sequence[Counterfactual] = ()

    @property
    def ended_well(self) -> bool:
        """Whether its last answer is whole, and nothing that was measured says that it failed."""
        whole = not self.answer_empty and recorded_ending(self.node_status, self.finish_reason) in WHOLE
        return whole and self.signals.get("outcome", 1.0) >= BAD


@dataclass(frozen=True, slots=True)
class Finding:
    """How clearly a category holds, how sure that is (each 0 to 1), and what shows it."""

    value: float
    confidence: float
    evidence: str


@dataclass(frozen=True, slots=True)
class RuleLabel:
    """What the rules say of one path and category. ``decided``: the value reaches the category's threshold."""

    unit_id: str
    category: str
    finding: Finding
    decided: bool


def rule_labels(taxonomy: Taxonomy, unit: UnitFacts) -> list[RuleLabel]:
    """What the rules of a taxonomy say of a path; nothing of categories that they cannot tell."""
    labels = []
    for category in taxonomy.categories:
        finding = _finding(category, unit)
        if finding is not None:
            labels.append(RuleLabel(unit.unit_id, category.name, finding, finding.value >= category.threshold))
    return labels


def _finding(category: Category, unit: UnitFacts) -> Finding | None:
    if category.bounds:
        within = [_within(bound, unit.signals.get(bound.signal)) for bound in category.bounds]
        said = ", ".join(f"{bound.signal} {_figure(unit.signals.get(bound.signal))}" for bound in category.bounds)
        return Finding(1.0, 1.0, said) if all(within) else None
    return RULES[category.rule](unit) if category.rule else None


def _within(bound: SignalBound, value: float | None) -> bool:
    if value is None:
        return False
    return (bound.low is None or value >= bound.low) and (bound.high is None or value <= bound.high)


def _figure(value: float | None) -> str:
    return "unknown" if value is None else f"{value:g}"


def _tool_helped(unit: UnitFacts) -> Finding | None:
    """The strongest counterfactual: with the call, paths from the same context end better than without."""
    return _counterfactual(unit, better=True)


def _tool_misuse(unit: UnitFacts) -> Finding | None:
    """Calls that failed permanently or were repeated, as shares of all; or siblings without a call that ended
    better."""
    calls = unit.signals.get("tool_calls", 0.0)
    found = _counterfactual(unit, better=False)
    if not calls:
        return found
    failed = max(0.0, unit.signals.get("tool_errors", 0.0) - unit.signals.get("recovered_calls", 0.0))
    repeated = unit.signals.get("repeated_calls", 0.0)
    value = 1.0 - (1.0 - min(1.0, failed / calls)) * (1.0 - min(1.0, repeated / calls))
    if value <= (found.value if found else 0.0):
        return found
    return Finding(value, 1.0, f"{failed:g} of {calls:g} calls failed for good, {repeated:g} repeat an earlier one")


def _good_recovery(unit: UnitFacts) -> Finding | None:
    """Failed calls whose tool succeeded later on the path, as a share of all failed ones, where it ended well."""
    failed, recovered = unit.signals.get("tool_errors", 0.0), unit.signals.get("recovered_calls", 0.0)
    if not failed:
        return None
    if not unit.ended_well:
        return Finding(0.0, 1.0, f"{failed:g} calls failed, and the path came to no good end")
    return Finding(
        min(1.0, recovered / failed), 1.0, f"the tools of {recovered:g} of {failed:g} failed calls succeeded later"
    )


def _overlong(unit: UnitFacts) -> Finding | None:
    """The last answer over the median of its siblings, on a scale of logarithms: 0.5 is three times as long."""
    times, length = unit.signals.get("relative_length", 1.0), unit.signals.get("answer_length", 0.0)
    if times <= 1.0 or length < LONG:
        return None
    value = min(1.0, log(times) / (2.0 * log(OVERLONG)))
    return Finding(value, 1.0, f"{length:g} characters, {times:.1f} times the median of its siblings")


def _underspecified(unit: UnitFacts) -> Finding | None:
    """A short last answer that asks back, by the share of its sentences that are questions. A weak sign."""
    text = unit.tail.strip()
    if (
        unit.answer_empty
        or unit.signals.get("tool_calls", 0.0)
        or len(text) > QUESTION_LENGTH
        or not text.endswith(("?", "\uff1f", "\u061f"))
    ):
        return None
    questions = sum(text.count(mark) for mark in "?\uff1f\u061f")
    others = sum(text.count(mark) for mark in (". ", "! ", ".\n", "!\n", "\u3002"))
    value = questions / (questions + others)
    return Finding(value, 0.5, f"the answer asks back: {questions} questions, {others} other sentences")


def _stable_high_quality(unit: UnitFacts) -> Finding | None:
    """Several answers to the last context, all with good outcomes: the worst of them counts."""
    own = unit.signals.get("outcome")
    if own is None or len(unit.sibling_outcomes) < 2 or not unit.ended_well:
        return None
    worst = min(*unit.sibling_outcomes, own)
    value = worst * unit.signals.get("quality", 1.0) if worst >= GOOD else 0.0
    count = len(unit.sibling_outcomes)
    return Finding(value, count / (count + 2.0), f"outcomes of {count} answers to one context, the worst {worst:g}")


def _counterfactual(unit: UnitFacts, *, better: bool) -> Finding | None:
    through = [each for each in unit.counterfactuals if each.calls]
    if not through:
        return None
    sign = 1.0 if better else -1.0
    best = max(through, key=lambda each: (sign * each.advantage(), each.anchor))
    value = max(0.0, sign * best.advantage())
    evidence = (
        f"under anchor {best.anchor}: mean outcome {best.mean_with:.2f} of {best.leaves_with} paths with a tool call, "
        f"{best.mean_without:.2f} of {best.leaves_without} without"
    )
    return Finding(value, value, evidence)


def _posterior(mean: float, count: int) -> tuple[float, float]:
    """Mean and variance of a success rate after ``count`` tries with this mean, from a uniform prior."""
    rate = (mean * count + 1.0) / (count + 2.0)
    return rate, rate * (1.0 - rate) / (count + 3.0)


RULES: Mapping[RuleName, Callable[[UnitFacts], Finding | None]] = {
    "tool_helped": _tool_helped,
    "tool_misuse": _tool_misuse,
    "good_recovery": _good_recovery,
    "overlong": _overlong,
    "underspecified": _underspecified,
    "stable_high_quality": _stable_high_quality,
}
