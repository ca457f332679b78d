"""Values that are more frequent in a group of units than elsewhere, and whether that is due to chance."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import exp, lgamma


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureCount:
    """How many units have a ``value`` of a ``feature``: ``here`` of ``here_units`` in the group, ``elsewhere`` of
    ``elsewhere_units`` outside of it."""

    feature: str
    value: str
    here: int
    here_units: int
    elsewhere: int
    elsewhere_units: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OverRepresentation:
    """A value that is more frequent in a group: its shares ``here`` and ``elsewhere``, 0 to 1, the ``lift`` of one over
    the other (None: it is nowhere else), and ``p`` of Fisher's exact test, one-sided."""

    feature: str
    value: str
    here: float
    elsewhere: float
    lift: float | None
    p: float


def over_represented(
    counts: Iterable[FeatureCount], *, tests: int | None = None, rate: float = 0.05, limit: int = 5
) -> list[OverRepresentation]:
    """The values that are over-represented, the least likely by chance first, at most ``limit``.

    Of ``tests`` tests, or as many as there are counts, at most the share ``rate`` of those reported is expected to be
    chance (Benjamini and Hochberg 1995, "Controlling the false discovery rate").
    """
    found = []
    seen = 0
    for one in counts:
        seen += 1
        here = one.here / one.here_units if one.here_units else 0.0
        elsewhere = one.elsewhere / one.elsewhere_units if one.elsewhere_units else 0.0
        if here > elsewhere and one.elsewhere_units:
            lift = here / elsewhere if elsewhere else None
            p = fisher_greater(one.here, one.here_units, one.elsewhere, one.elsewhere_units)
            found.append(
                OverRepresentation(feature=one.feature, value=one.value, here=here, elsewhere=elsewhere, lift=lift, p=p)
            )
    found.sort(key=lambda each: (each.p, each.feature, each.value))
    of = max(tests or 0, seen)
    last = max((place for place, each in enumerate(found, 1) if each.p <= rate * place / of), default=0)
    return found[: min(last, limit)]


def fisher_greater(here: int, here_units: int, elsewhere: int, elsewhere_units: int) -> float:
    """The probability, 0 to 1, that ``here`` or more of those who have something are in a group of this size by chance
    (Fisher's exact test, alternative "greater")."""
    having, units = here + elsewhere, here_units + elsewhere_units
    most = min(having, here_units)
    least = max(0, having + here_units - units)
    if here <= least:
        return 1.0
    term = exp(_choices(having, here) + _choices(units - having, here_units - here) - _choices(units, here_units))
    total = term
    for at in range(here, most):
        term *= (having - at) * (here_units - at) / ((at + 1) * (units - having - here_units + at + 1))
        total += term
        if term < total * 1e-17:
            break
    return min(1.0, total)


def _choices(of: int, chosen: int) -> float:
    """The logarithm of the binomial coefficient."""
    return lgamma(of + 1) - lgamma(chosen + 1) - lgamma(of - chosen + 1)
