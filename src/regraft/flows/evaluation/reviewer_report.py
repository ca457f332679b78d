"""For each reviewer: work, speed, accuracy on gold items, and agreement with the others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from regraft.domain.evaluation.reviewers import JudgedSubject, agreement_by_reviewer, judged_twice, wilson
from regraft.flows.evaluation.reviewer_agreement import human_judgements
from regraft.infra.postgres.evaluation import reviewers as store
from regraft.infra.postgres.pool import Source, reading_from


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureAgreement:
    """How a reviewer agrees with the others by a measure: Krippendorff's alpha over ``subjects`` that others judged
    too; ``difference`` is by how many stars their ratings are above those of the others."""

    measure: str
    alpha: float | None
    subjects: int
    difference: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewerReport:
    """One reviewer. ``labels`` count today; ``first_share`` is the share of preferences for the answer shown first,
    near a half for who judges what is said; ``gold_low`` and ``gold_high`` bound the 95 % interval of the share of
    ``gold`` items that they got right."""

    reviewer: str
    labels: int
    skipped: int
    flagged: int
    changed: int
    undone: int
    expired: int
    held: int
    median_seconds: float | None
    first_share: float | None
    preferred: int
    gold: int
    gold_right: int
    gold_low: float | None
    gold_high: float | None
    agreement: tuple[MeasureAgreement, ...]


def reviewer_reports(source: Source, scope: str | None = None) -> list[ReviewerReport]:
    """Every reviewer, by number of judgements, the highest first."""
    with reading_from(source) as connection:
        rows = store.rows(connection, "reviewers", scope=scope)
        twice = judged_twice(human_judgements(connection, scope))
    by_measure: dict[str, list[JudgedSubject]] = defaultdict(list)
    for (_, _, measure), subjects in twice.items():
        by_measure[measure] += subjects
    agreements: dict[str, list[MeasureAgreement]] = defaultdict(list)
    for each in agreement_by_reviewer(by_measure):
        found = each.agreement
        agreements[each.reviewer].append(
            MeasureAgreement(
                measure=each.measure, alpha=found.alpha, subjects=found.subjects, difference=each.difference
            )
        )
    return [_report(row, agreements[row["reviewer"]]) for row in rows]


def _report(row: store.Record, agreement: Sequence[MeasureAgreement]) -> ReviewerReport:
    same = {name: row[name] for name in ("reviewer", "labels", "skipped", "flagged", "changed", "undone", "expired")}
    more = {name: row[name] for name in ("held", "median_seconds", "preferred", "gold", "gold_right")}
    interval = wilson(row["gold_right"], row["gold"])
    return ReviewerReport(
        **same,
        **more,
        first_share=row["first"] / row["preferred"] if row["preferred"] else None,
        gold_low=interval[0] if interval else None,
        gold_high=interval[1] if interval else None,
        agreement=tuple(agreement),
    )
