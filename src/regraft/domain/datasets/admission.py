"""The values that admitted a row to a dataset, with the limits of its recipe."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from regraft.domain.datasets.recipe import Recipe
from regraft.domain.datasets.rows import Row

_PAIRS = ("dpo", "reward")


@dataclass(frozen=True, slots=True)
class AdmissionFigure:
    """``value`` is that of the row, ``demanded`` the recipe's limit, '' where it has none."""

    name: str
    value: str
    demanded: str = ""


def admission(recipe: Recipe, row: Row) -> tuple[AdmissionFigure, ...]:
    """The label source of a row, its margin, and the agreement of a deciding judge."""
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
