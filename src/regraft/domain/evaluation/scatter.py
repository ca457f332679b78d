"""Points of a map as text: a letter for each cluster, for terminals and Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_NOISE = "·"


@dataclass(frozen=True, slots=True)
class MapPoint:
    """A point with ``x`` and ``y`` from -1 to 1 and the place of its cluster in the legend; None: noise, or a cluster
    that has no letter."""

    x: float
    y: float
    cluster: int | None


def scatter(points: Iterable[MapPoint], *, width: int = 72, height: int = 24) -> list[str]:
    """The points in lines of ``width`` characters. A cell shows the letter of the cluster with most points in it, and
    noise only where nothing else is."""
    cells: dict[tuple[int, int], Counter[int]] = {}
    for point in points:
        row = round((1 - max(-1.0, min(1.0, point.y))) / 2 * (height - 1))
        column = round((max(-1.0, min(1.0, point.x)) + 1) / 2 * (width - 1))
        known = point.cluster is not None and 0 <= point.cluster < len(LETTERS)
        cell = cells.setdefault((row, column), Counter())
        if known and point.cluster is not None:
            cell[point.cluster] += 1
    return ["".join(_letter(cells.get((row, column))) for column in range(width)).rstrip() for row in range(height)]


def _letter(cell: Counter[int] | None) -> str:
    if cell is None:
        return " "
    if not cell:
        return _NOISE
    return LETTERS[min(cell, key=lambda cluster: (-cell[cluster], cluster))]
