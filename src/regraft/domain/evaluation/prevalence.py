"""Estimate how common something is from a random sample with known inclusion probabilities.

An item counts as the inverse of its probability of having been drawn and judged (D. Horvitz and D. Thompson, A
generalization of sampling without replacement from a finite universe, JASA 47, 1952); the share is the total over the
estimated size of the population (J. Hajek, 1971), so it does not depend on how many were drawn by chance. Within a
stratum the judged items are assumed to be a random part of those drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

Z95 = 1.959963984540054  # of the normal distribution, for intervals of 95 %


@dataclass(frozen=True, slots=True, kw_only=True)
class SampledStratum:
    """A stratum of the sample: ``rate`` is the probability of being drawn, ``drawn`` how many were, and ``values`` what
    was judged of some of them, each 0 to 1 (a share of the people who judged it) or a rating."""

    rate: float
    drawn: int
    values: Sequence[float]

    @property
    def inclusion(self) -> float:
        """The probability of being drawn and judged."""
        return self.rate * len(self.values) / self.drawn if self.drawn else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A mean over the population with its 95 % interval, from ``judged`` items that represent ``population``."""

    mean: float
    low: float
    high: float
    judged: int
    population: float


def estimate(strata: Sequence[SampledStratum], bounds: tuple[float, float] = (0.0, 1.0)) -> Estimate | None:
    """The mean of the population, None when nothing was judged. The interval is cut at ``bounds``.

    The variance is that of the Hajek estimator under Poisson sampling: the sum over the judged of
    (1 - p) / p^2 * (value - mean)^2, over the squared estimated size.
    """
    used = [each for each in strata if each.values and each.inclusion > 0]
    size = sum(len(each.values) / each.inclusion for each in used)
    if not size:
        return None
    mean = sum(math.fsum(each.values) / each.inclusion for each in used) / size
    variance = sum(
        (1 - each.inclusion) / each.inclusion**2 * math.fsum((value - mean) ** 2 for value in each.values)
        for each in used
    )
    half = Z95 * math.sqrt(max(0.0, variance)) / size
    judged = sum(len(each.values) for each in used)
    return Estimate(
        mean=mean, low=max(bounds[0], mean - half), high=min(bounds[1], mean + half), judged=judged, population=size
    )
