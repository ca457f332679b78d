"""The quality of the learned labeller: its results on held-out labels, compared with the majority class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

LEAST_LABELS = 30  # of a category, to be learned at all
LEAST_OF_A_CLASS = 5  # labels that say yes, and labels that say no
LEAST_COMPONENTS = 4  # conversations without a common session, task or text
SURE = 0.95  # share of resamples in which a labeller must beat the majority class

Reason = Literal["", "too_few_labels", "one_sided", "too_few_components", "not_better_than_majority"]
REASONS: tuple[Reason, ...] = get_args(Reason)
MEANINGS: Mapping[Reason, str] = {
    "": "it beats the majority class",
    "too_few_labels": f"fewer than {LEAST_LABELS} labels of people",
    "one_sided": f"fewer than {LEAST_OF_A_CLASS} labels that say yes, or that say no",
    "too_few_components": f"labels from fewer than {LEAST_COMPONENTS} unrelated conversations",
    "not_better_than_majority": "on labels that it was not trained on it does not surely beat the majority class",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LabellerFigures:
    """What the labeller of one category did on labels held out by component; None: it was not trained.

    ``majority`` is the accuracy of always giving the more frequent label. ``certainty``: the share of resamples of the
    components in which the labeller is more accurate than that. With a ``reason`` it decides nothing.
    """

    category: str
    labels: int
    positives: int
    components: int
    majority: float
    accuracy: float | None = None
    kappa: float | None = None
    precision: float | None = None
    recall: float | None = None
    f1: float | None = None
    auc: float | None = None
    certainty: float | None = None
    strength: float | None = None
    reason: Reason = ""

    @property
    def decides(self) -> bool:
        """Whether its labels count."""
        return not self.reason


def hindrance(labels: int, positives: int, components: int) -> Reason:
    """Why a category cannot be learned from so many labels of people; '' when it can be tried."""
    if labels < LEAST_LABELS:
        return "too_few_labels"
    if min(positives, labels - positives) < LEAST_OF_A_CLASS:
        return "one_sided"
    return "too_few_components" if components < LEAST_COMPONENTS else ""


def verdict(accuracy: float, majority: float, certainty: float) -> Reason:
    """Whether figures on held-out labels are enough to decide."""
    return "" if accuracy > majority and certainty >= SURE else "not_better_than_majority"
