"""Whether a judge is reliable: its agreement with people on the same items, and the requirements of a recipe."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from regraft.domain.evaluation.agreement import accuracy, cohens_kappa
from regraft.domain.evaluation.judge import Task

PEOPLE = "people"  # the judge that each person is, against the others: what a model can hope for
LABELS: dict[Task, tuple[str, ...]] = {
    "preference": ("a", "b", "equal", "both_bad"),
    "categories": ("no", "yes"),
    "rating": ("1", "2", "3", "4", "5"),
}
MIN_AGREEMENT = 0.6  # Cohen's kappa from which agreement is called substantial (Landis and Koch 1977)
MIN_JUDGED = 50
_CONTRASTED = ("judge", "judge_version", "other", "other_version", "task", "category", "scope")
_FAMILY = re.compile(r"[a-z]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeFigures:
    """The agreement of one judge with people on one task, one category, one theme and one tenant (None: all of them).

    ``judge_version`` is '' for a source that was imported or reported. The columns are those of the workbench's table
    ``judge_calibration``, which says what each means; a figure that is not defined is None.
    """

    judge: str
    judge_version: str
    source: str
    given_by: str
    model: str
    task: Task
    category: str
    theme: str | None
    scope: str | None
    items: int
    components: int
    kappa: float | None
    kappa_low: float | None
    kappa_high: float | None
    agreement: float | None
    accuracy: float | None
    precision: float | None
    recall: float | None
    f1: float | None
    f1_low: float | None
    f1_high: float | None
    labels: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]
    flips: float | None
    first_share: float | None
    longer_share: float | None
    people_longer_share: float | None
    own_pairs: int
    own_share: float | None
    people_own_share: float | None
    judged: int | None
    prevalence: float | None
    corrected_prevalence: float | None
    kappa_early: float | None
    kappa_late: float | None
    snapshots: tuple[str, ...]
    stale: str

    @property
    def is_whole(self) -> bool:
        """Whether it is over all themes and tenants."""
        return self.theme is None and self.scope is None

    def is_calibrated(self, min_agreement: float, min_judged: int) -> bool:
        """Whether this judge may decide where a recipe asks for so much agreement on so many items."""
        return (
            not self.stale
            and self.items >= min_judged
            and self.agreement is not None
            and self.agreement >= min_agreement
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeContrast:
    """Two judges on the items that both judged, of one tenant or of all (``scope`` None): their kappa, and the share of
    items with the ``same`` label."""

    judge: str
    judge_version: str
    other: str
    other_version: str
    task: Task
    category: str
    scope: str | None
    items: int
    kappa: float | None
    same: float


def contrasts(counts: Iterable[Mapping[str, Any]]) -> list[JudgeContrast]:
    """Each two judges, from how many items they gave which labels: rows that name both, the ``label`` of the one, the
    ``other_label`` and the number of ``items``."""
    tables: dict[tuple[str, ...], list[list[int]]] = {}
    first: dict[tuple[str, ...], Mapping[str, Any]] = {}
    for row in counts:
        labels = LABELS[row["task"]]
        key = tuple(row[name] for name in _CONTRASTED)
        first.setdefault(key, row)
        table = tables.setdefault(key, [[0] * len(labels) for _ in labels])
        table[labels.index(row["label"])][labels.index(row["other_label"])] += row["items"]
    return [
        JudgeContrast(
            **{name: first[key][name] for name in _CONTRASTED},
            items=sum(map(sum, table)),
            kappa=cohens_kappa(table, "quadratic" if first[key]["task"] == "rating" else "none"),
            same=accuracy(table) or 0.0,
        )
        for key, table in tables.items()
    ]


def family_of(model: str) -> str:
    """The family of a model's name, such as ``gpt`` of ``openai/gpt-4o``; '' where the name has no letters."""
    found = _FAMILY.search(model.casefold().rpartition("/")[2])
    return found.group() if found else ""


@dataclass(frozen=True, slots=True)
class Admission:
    """Whether a judge may decide, and its agreement with people as far as it is known and not outdated."""

    admitted: bool
    agreement: float | None = None


@dataclass(frozen=True, slots=True)
class Requirement:
    """What a recipe asks of models that decide: agreement with people of at least ``agreement`` on at least ``judged``
    items. An ``agreement`` of 0 asks for nothing."""

    agreement: float = MIN_AGREEMENT
    judged: int = MIN_JUDGED


def standing(found: JudgeFigures | None, asked: Requirement | None = None) -> str:
    """Whether a judge is calibrated, in words: ``calibrated``, or ``uncalibrated`` with the reason."""
    asked = asked or Requirement()
    if found is None:
        return "uncalibrated: no item that people judged too"
    if found.stale:
        return f"uncalibrated: its {found.stale} changed since"
    if found.items < asked.judged:
        return f"uncalibrated: {found.items} of {asked.judged} items"
    if found.agreement is None or found.agreement < asked.agreement:
        return f"uncalibrated: agreement below {asked.agreement:g}"
    return "calibrated"


class Calibrations:
    """The figures of all judges over all themes and tenants, by what a label says of itself."""

    def __init__(self, figures: Iterable[JudgeFigures]) -> None:
        self._of = {(one.judge, one.judge_version, one.task, one.category): one for one in figures if one.is_whole}

    def figures(self, judge: str, version: str, task: Task, category: str = "") -> JudgeFigures | None:
        """The figures of one judge; None where it shares no item with people."""
        return self._of.get((judge, version, task, category))

    def admit(self, asked: Requirement, judge: str, version: str, task: Task, category: str = "") -> Admission:
        """Whether a judge may decide. It may not if too few items were compared, its agreement with people is too low,
        or its rubric or model has changed since."""
        found = self.figures(judge, version, task, category)
        known = found.agreement if found is not None and not found.stale else None
        enough = found is not None and found.is_calibrated(asked.agreement, asked.judged)
        return Admission(enough or asked.agreement <= 0.0, known)
