"""Reported outcomes of an answer or a conversation: rewards and ratings, by who gave them.

People, models and everything else (graders, test suites, benchmarks) are kept separate: each is its own part of a
score, and none overwrites another."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from regraft.domain.capture.judges import MODEL, PERSON, judge_of
from regraft.domain.lineage.feedback import BEST_RATING, WORST_RATING


@dataclass(frozen=True, slots=True)
class OutcomeReport:
    """One report: ``name`` is ``reward`` or ``rating``, ``source`` what the reporter called itself."""

    name: str
    value: float
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Verdicts as parts of a score, each 0 to 1 or None; ``source`` gave the ``outcome``, ``judge_source`` the word of
    the ``judge``."""

    human: float | None = None
    outcome: float | None = None
    judge: float | None = None
    source: str | None = None
    judge_source: str | None = None


def worth(verdict: OutcomeReport) -> float:
    """A reward from 0 to 1 as it is, cut off beyond; a rating from 1 to 5 on the scale of our own ratings."""
    value = verdict.value
    if verdict.name == "rating":
        value = (value - WORST_RATING) / (BEST_RATING - WORST_RATING)
    return min(1.0, max(0.0, value))


def part_of(source: str) -> str:
    """``human``, ``judge`` or ``outcome``: the kind of the source, recognised by words in its name."""
    return {MODEL: "judge", PERSON: "human"}.get(judge_of(source), "outcome")


def outcome_of(verdicts: Iterable[OutcomeReport]) -> Outcome:
    """The first verdict of each kind counts, so pass the one with the most weight first."""
    first: dict[str, OutcomeReport] = {}
    for verdict in verdicts:
        first.setdefault(part_of(verdict.source), verdict)
    parts = {part: worth(verdict) for part, verdict in first.items()}
    said, judged = first.get("outcome"), first.get("judge")
    return Outcome(
        human=parts.get("human"),
        outcome=parts.get("outcome"),
        judge=parts.get("judge"),
        source=said.source if said else None,
        judge_source=judged.source if judged else None,
    )
