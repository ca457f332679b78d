"""Votes over more than two answers to one context, and the margins of pairs from their strengths.

One scale for all margins: twice the probability that the better answer wins a comparison, minus one. 0 is a toss-up, 1
a certainty; a tie counts as half a win of each side. It means the same whatever the source:

- votes over two answers: the share of wins less the share of defeats;
- strengths s of Bradley and Terry (1952, "Rank Analysis of Incomplete Block Designs"), where answers were compared with
  several others: P(a wins) = 1 / (1 + exp(s_b - s_a));
- values from 0 to 1 (ratings, outcomes, scores of models, measured signals), each read as the probability that its
  answer is good: the better answer wins where it alone is good, so that the difference of the values is the margin.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import tanh
from uuid import UUID

LEAST_ANSWERS = 3  # that votes connect; below that the share of the votes says all


@dataclass(frozen=True, slots=True)
class Comparison:
    """One vote over two answers: ``preference`` is a, b, equal or both_bad."""

    a: UUID
    b: UUID
    preference: str


@dataclass(frozen=True, slots=True)
class Contest:
    """Answers that votes connect, in the order of their ids. ``wins[i][j]``: how often answer i was preferred to answer
    j; a tie is half a win of each."""

    answers: tuple[UUID, ...]
    wins: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class Strength:
    """How strong an answer is, in the logarithm of odds; only strengths of one contest can be compared."""

    contest: int
    value: float


def contests(votes: Iterable[Comparison]) -> list[Contest]:
    """The answers of one context in groups that votes connect: those of three or more with at least a vote for each."""
    scores: dict[UUID, dict[UUID, float]] = defaultdict(lambda: defaultdict(float))
    counts: dict[UUID, int] = defaultdict(int)
    for vote in votes:
        share = {"a": 1.0, "b": 0.0}.get(vote.preference, 0.5)
        scores[vote.a][vote.b] += share
        scores[vote.b][vote.a] += 1.0 - share
        counts[vote.a] += 1
        counts[vote.b] += 1
    found = []
    waiting = set(scores)
    for answer in sorted(scores):
        if answer not in waiting:
            continue
        group = _connected(answer, scores)
        waiting -= group
        if len(group) >= LEAST_ANSWERS and sum(counts[one] for one in group) // 2 >= len(group):
            order = tuple(sorted(group))
            found.append(Contest(order, tuple(tuple(scores[i].get(j, 0.0) for j in order) for i in order)))
    return found


def _connected(answer: UUID, scores: dict[UUID, dict[UUID, float]]) -> set[UUID]:
    group, edge = {answer}, [answer]
    while edge:
        new = set(scores[edge.pop()]) - group
        group |= new
        edge.extend(new)
    return group


def numbered(strengths: Iterable[tuple[Contest, Sequence[float]]]) -> dict[UUID, Strength]:
    """The strengths of all answers of several contests over one context."""
    return {
        answer: Strength(number, value)
        for number, (contest, values) in enumerate(strengths)
        for answer, value in zip(contest.answers, values, strict=True)
    }


def margin(a: Strength | None, b: Strength | None) -> float | None:
    """The margin of ``a`` over ``b``, -1 to 1; None where they were not in one contest."""
    if a is None or b is None or a.contest != b.contest:
        return None
    return tanh((a.value - b.value) / 2)
