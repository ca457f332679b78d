"""How well a judge agrees with people: figures of a confusion matrix.

A matrix counts items: ``counts[i][j]`` are those that people gave label ``i`` and the judge label ``j``. A figure that
is not defined (no items, or one label only) is None, never 0 or 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Counts = Sequence[Sequence[int]]
Weights = Literal["none", "linear", "quadratic"]


@dataclass(frozen=True, slots=True)
class ConfusionMatrix:
    """Items by the label of people (rows) and of the judge (columns), both in the order of ``labels``."""

    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]

    @property
    def items(self) -> int:
        """How many items were compared."""
        return sum(map(sum, self.counts))


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassFigures:
    """Precision, recall and F1 of one label, 0 to 1; 0 where nothing was or should have been given it."""

    precision: float
    recall: float
    f1: float


def confusion(pairs: Iterable[tuple[str, str]], labels: Sequence[str]) -> ConfusionMatrix:
    """The matrix of (label of people, label of the judge). Raises KeyError for a label that is not listed."""
    place = {label: index for index, label in enumerate(labels)}
    counts = [[0] * len(labels) for _ in labels]
    for theirs, judged in pairs:
        counts[place[theirs]][place[judged]] += 1
    return ConfusionMatrix(tuple(labels), tuple(map(tuple, counts)))


def disagreement(rows: int, weights: Weights) -> list[list[float]]:
    """The weight of each kind of disagreement: all alike, or growing with the distance of ordered labels."""
    if weights == "none":
        return [[float(i != j) for j in range(rows)] for i in range(rows)]
    power = 1 if weights == "linear" else 2
    return [[float(abs(i - j) ** power) for j in range(rows)] for i in range(rows)]


def cohens_kappa(counts: Counts, weights: Weights = "none") -> float | None:
    """Cohen's kappa, -1 to 1; weighted ones are for labels in an order.

    Cohen 1960, "A Coefficient of Agreement for Nominal Scales"; Cohen 1968, "Weighted kappa". None where both gave all
    items one and the same label, so that chance alone would agree always.
    """
    total = sum(map(sum, counts))
    if not total:
        return None
    theirs = [sum(row) for row in counts]
    judged = [sum(column) for column in zip(*counts, strict=True)]
    cost = disagreement(len(counts), weights)
    observed = expected = 0.0
    for i, row in enumerate(counts):
        for j, count in enumerate(row):
            observed += cost[i][j] * count
            expected += cost[i][j] * theirs[i] * judged[j] / total
    return 1.0 - observed / expected if expected else None


def accuracy(counts: Counts) -> float | None:
    """The share of items with the same label from both, 0 to 1."""
    total = sum(map(sum, counts))
    return sum(counts[i][i] for i in range(len(counts))) / total if total else None


def class_figures(counts: Counts, label: int) -> ClassFigures:
    """How well the judge finds one label."""
    hit = counts[label][label]
    given = sum(row[label] for row in counts)
    wanted = sum(counts[label])
    return ClassFigures(
        precision=hit / given if given else 0.0,
        recall=hit / wanted if wanted else 0.0,
        f1=2 * hit / (given + wanted) if given + wanted else 0.0,
    )


def macro_f1(counts: Counts) -> float | None:
    """The mean F1 of the labels that people or the judge gave; None without items."""
    given = [i for i, row in enumerate(counts) if sum(row) or sum(each[i] for each in counts)]
    return sum(class_figures(counts, i).f1 for i in given) / len(given) if given else None


def corrected_prevalence(apparent: float, sensitivity: float, specificity: float) -> float | None:
    """The prevalence of a category, 0 to 1, from the share to which a judge of known errors gives it.

    Rogan and Gladen 1978, "Estimating prevalence from the results of a screening test"; cut off at 0 and 1. None for a
    judge that is no better than chance, from whose labels nothing follows.
    """
    power = sensitivity + specificity - 1.0
    if power <= 1e-9:
        return None
    return min(1.0, max(0.0, (apparent + specificity - 1.0) / power))
