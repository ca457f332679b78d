"""The figures that admitted a row to a dataset, beside what its recipe demands of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from regraft.domain.datasets.recipe import Recipe
from regraft.domain.datasets.rows import Row

_PAIRS = ("dpo", "reward")


@dataclass(frozen=True, slots=True)
class AdmissionFigure:
    """``value`` is the row's, ``demanded`` what the recipe wants, '' where it wants nothing in particular."""

    name: str
    value: str
    demanded: str = ""


def admission(recipe: Recipe, row: Row) -> tuple[AdmissionFigure, ...]:
    """Who decided of a row, how clearly, and how far that is reliable."""
    return tuple(_figures(recipe, row))


def _figures(recipe: Recipe, row: Row) -> Iterator[AdmissionFigure]:
    yield AdmissionFigure("decided by", row.label_source or "nobody", f"one of {', '.join(recipe.labels)}")
    yield AdmissionFigure("score", f"{row.score:.3f}", f"at least {recipe.min_score:g}" if recipe.min_score else "")
    if row.kind in _PAIRS:
        least = f"at least {recipe.min_margin:g}" if recipe.min_margin else ""
        yield AdmissionFigure("margin between the sides", f"{row.margin:.3f}", least)
    if row.agreement is not None:
        least = f"at least {recipe.min_agreement:g} on {recipe.min_judged} items" if recipe.min_agreement else ""
        yield AdmissionFigure("agreement of the judge with people", f"{row.agreement:.2f}", least)
    if row.stratum:
        most = f"the best {recipe.k_per_stratum} of it" if recipe.k_per_stratum else ""
        yield AdmissionFigure("stratum", row.stratum, most)
    if row.negative:
        yield AdmissionFigure("negative of type", row.negative, f"one of {', '.join(recipe.negatives)}")
    if row.evidence:
        yield AdmissionFigure("shown by", row.evidence)
