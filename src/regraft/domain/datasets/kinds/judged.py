"""What was judged of a path, by the parts of a score and by the label sources that may use each."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from regraft.domain.capture.judges import MODEL
from regraft.domain.datasets.kinds.kind import Record
from regraft.domain.datasets.recipe import Recipe
from regraft.domain.evaluation.score import ScoreParts

_NAMES = {"human": "ratings"}  # of label sources, in rows
_Values = Sequence[tuple[float | None, str]]  # each with the label source that may use it, the weightiest first


class JudgedUnit:
    """The judgements of one path. ``rating`` is the mean of the ratings that people gave it here, 0 to 1; without
    ``judges`` what models said of it decides nothing."""

    def __init__(self, unit: Record, rating: float | None, *, judges: bool = True) -> None:
        self._judges = judges
        self._said: Mapping[str, _Values] = {
            "human": [(rating, "human"), (unit["human_outcome"], "human"), (unit["imported_human"], "imported")],
            "outcome": [
                (unit["outcome"], "outcome"),
                (unit["imported_outcome"], "imported"),
                (unit["imported_outcome"], "outcome"),
            ],
            "judge": [(unit["judge_outcome"], "model"), (unit["imported_judge"], "imported")],
            "signals": [(unit["quality"], "signals")],
        }
        self._rank: _Values = [(unit["imported_rank"], "imported")]

    @property
    def parts(self) -> ScoreParts:
        """All that is known."""
        found = {
            part: next((value for value, _ in said if value is not None), None) for part, said in self._said.items()
        }
        return ScoreParts(**found)

    def allowed(self, labels: Collection[str]) -> tuple[ScoreParts, str]:
        """What a recipe's labels allow, and the label source of the weightiest part. A rank counts as an outcome where
        there is no other."""
        found = {part: _first(said, labels) for part, said in self._said.items()}
        if not self._judges:
            found["judge"] = (None, "none")
        if found["outcome"][0] is None:
            found["outcome"] = _first(self._rank, labels)
        source = next((label for value, label in found.values() if value is not None), "none")
        return ScoreParts(**{part: value for part, (value, _) in found.items()}), source

    def outcome(self, labels: Collection[str]) -> float | None:
        """The outcome of the path by its weightiest judgement; None without a judgement. What models
        say counts where the labels allow it; a rank never does: it only says that another answer is better."""
        known = [value for part in ("human", "outcome") for value, _ in self._said[part] if value is not None]
        if self._judges:
            known += [value for value, label in self._said["judge"] if value is not None and label in labels]
        return known[0] if known else None


def _first(said: _Values, labels: Collection[str]) -> tuple[float | None, str]:
    return next(
        ((value, _NAMES.get(label, label)) for value, label in said if value is not None and label in labels),
        (None, "none"),
    )


def is_calibrated(recipe: Recipe, pair: Record) -> bool:
    """Whether the label of a pair may decide for a recipe: a model's label does only where the recipe asks for no
    agreement with people, since the agreement of a model is not recorded with its labels."""
    by_model = pair["source"] == "model" or (pair["source"] == "imported" and pair["given_by"] == MODEL)
    return not by_model or recipe.min_agreement == 0


def calibrated_pairs(recipe: Recipe, pairs: Iterable[Record]) -> Iterator[Record]:
    """The pairs whose labels may decide."""
    return (pair for pair in pairs if is_calibrated(recipe, pair))
