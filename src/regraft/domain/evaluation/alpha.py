"""Krippendorff's alpha: agreement of any number of people, on any scale, with any of their judgements missing.

1 is perfect agreement, 0 what chance gives, below 0 systematic disagreement. (K. Krippendorff, Content Analysis: An
Introduction to Its Methodology, 4th edition 2019, chapter 12. He takes .8 for reliable, and .667 for the least from
which tentative conclusions may be drawn.)
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Level = Literal["nominal", "ordinal", "interval"]
Value = str | int | float
Pattern = tuple[int, ...]  # how often each value was given to one subject


@dataclass(frozen=True, slots=True)
class Agreement:
    """``alpha`` is None where it is not defined: nothing was judged twice, or everything got one value. ``subjects``
    were judged by two or more, with ``labels`` judgements together."""

    alpha: float | None
    subjects: int
    labels: int


def domain_of(subjects: Iterable[Iterable[Value]]) -> list[Value]:
    """Every value that was given, in order."""
    return sorted({value for values in subjects for value in values}, key=lambda value: (isinstance(value, str), value))


def pattern_of(values: Iterable[Value], domain: Sequence[Value]) -> Pattern:
    """How often each value of the domain is among the values."""
    counts = Counter(values)
    return tuple(counts[value] for value in domain)


def alpha(subjects: Iterable[Sequence[Value]], level: Level) -> Agreement:
    """The agreement on subjects, each with the values that people gave it. Values of an interval scale are numbers."""
    given = [list(values) for values in subjects if len(values) > 1]
    domain = domain_of(given)
    return alpha_of_patterns(Counter(pattern_of(values, domain) for values in given), domain, level)


def alpha_of_patterns(patterns: Mapping[Pattern, int], domain: Sequence[Value], level: Level) -> Agreement:
    """The agreement on subjects that are given by how many there are of each pattern."""
    size = len(domain)
    observed = [[0.0] * size for _ in range(size)]  # coincidences: pairs of values within a subject
    subjects = labels = 0
    for pattern, times in patterns.items():
        judged = sum(pattern)
        if judged < 2:
            continue
        subjects += times
        labels += times * judged
        for row, first in enumerate(pattern):
            for column, second in enumerate(pattern):
                pairs = first * (second - (row == column))
                observed[row][column] += times * pairs / (judged - 1)
    totals = [math.fsum(row) for row in observed]
    distances = squared_distances(totals, domain, level)
    whole = math.fsum(totals)
    cells = [(row, column) for row in range(size) for column in range(size)]
    found = math.fsum(observed[row][column] * distances[row][column] for row, column in cells)
    expected = math.fsum(totals[row] * totals[column] * distances[row][column] for row, column in cells)
    value = 1.0 - (whole - 1.0) * found / expected if expected > 0 else None
    return Agreement(value, subjects, labels)


def squared_distances(totals: Sequence[float], domain: Sequence[Value], level: Level) -> list[list[float]]:
    """The squared difference of every two values; of an ordinal scale it depends on how often the values between them
    were given (``totals``)."""
    size = len(domain)
    squared = [[0.0] * size for _ in range(size)]
    for low in range(size):
        for high in range(low + 1, size):
            if level == "nominal":
                distance = 1.0
            elif level == "ordinal":
                distance = math.fsum(totals[low : high + 1]) - (totals[low] + totals[high]) / 2
            else:
                distance = float(domain[high]) - float(domain[low])
            squared[low][high] = squared[high][low] = distance * distance
    return squared
