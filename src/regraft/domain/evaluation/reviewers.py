"""Agreement of reviewers: by theme and measure, and of each one with the others."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from regraft.domain.evaluation.alpha import Agreement, Level, Pattern, Value, alpha_of_patterns, domain_of, pattern_of
from regraft.domain.evaluation.prevalence import Z95

LEVELS: dict[str, Level] = {"preference": "nominal", "rating": "ordinal"}  # of a category: nominal
DISPUTED_RATINGS = 2  # stars apart


@dataclass(frozen=True, slots=True, kw_only=True)
class HumanJudgement:
    """One person's judgement: ``measure`` is preference, rating, or ``category:`` and its name."""

    measure: str
    scope: str
    theme: str
    subject_id: UUID
    session_id: UUID
    reviewer: str
    value: Value


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedSubject:
    """A subject with all judgements of it by one measure."""

    subject_id: UUID
    session_id: UUID
    values: tuple[Value, ...]
    reviewers: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewerAgreement:
    """How one reviewer agrees with the others by a measure: ``alpha`` over the subjects that both judged, each other's
    judgement paired with theirs, and ``difference``, the mean of their ratings over that of the others (0 for
    words)."""

    reviewer: str
    measure: str
    agreement: Agreement
    difference: float


def level_of(measure: str) -> Level:
    """The scale of a measure."""
    return LEVELS.get(measure, "nominal")


def with_categories(judgement: HumanJudgement, named: Collection[str], known: Iterable[str]) -> list[HumanJudgement]:
    """A rating, and for each known category whether its reviewer named it."""
    found = [judgement]
    for category in known:
        found.append(
            HumanJudgement(
                measure=f"category:{category}",
                scope=judgement.scope,
                theme=judgement.theme,
                subject_id=judgement.subject_id,
                session_id=judgement.session_id,
                reviewer=judgement.reviewer,
                value=int(category in named),
            )
        )
    return found


def judged_twice(judgements: Iterable[HumanJudgement]) -> dict[tuple[str, str, str], list[JudgedSubject]]:
    """By scope, theme and measure: the subjects that two people or more judged."""
    by_subject: dict[tuple[str, str, str], dict[UUID, list[HumanJudgement]]] = defaultdict(lambda: defaultdict(list))
    for each in judgements:
        by_subject[each.scope, each.theme, each.measure][each.subject_id].append(each)
    return {
        key: [
            JudgedSubject(
                subject_id=subject,
                session_id=those[0].session_id,
                values=tuple(each.value for each in those),
                reviewers=tuple(each.reviewer for each in those),
            )
            for subject, those in subjects.items()
            if len(those) > 1
        ]
        for key, subjects in by_subject.items()
    }


def is_disputed(measure: str, values: Sequence[Value]) -> bool:
    """Whether people differ so much that it should be adjudicated."""
    if measure == "rating":
        numbers = [float(value) for value in values]
        return max(numbers) - min(numbers) >= DISPUTED_RATINGS
    return len(set(values)) > 1


def is_contested(agreement: Agreement, disputed: int, min_agreement: float, min_judged: int) -> bool:
    """Whether people agree too little for their labels to decide: enough was judged twice, alpha is below the limit,
    and something is left to adjudicate."""
    if agreement.alpha is None or agreement.subjects < min_judged:
        return False
    return disputed > 0 and agreement.alpha < min_agreement


def patterns_of(subjects: Sequence[JudgedSubject]) -> tuple[list[Pattern], list[Value]]:
    """The pattern of each subject, and the values that they count."""
    domain = domain_of(each.values for each in subjects)
    return [pattern_of(each.values, domain) for each in subjects], domain


def agreement_by_reviewer(subjects_by_measure: dict[str, list[JudgedSubject]]) -> list[ReviewerAgreement]:
    """How each reviewer agrees with all others together, by measure."""
    found = []
    for measure, subjects in sorted(subjects_by_measure.items()):
        pairs: dict[str, list[tuple[Value, Value]]] = defaultdict(list)
        judged: Counter[str] = Counter()
        for each in subjects:
            for place, reviewer in enumerate(each.reviewers):
                judged[reviewer] += 1
                others = [value for other, value in enumerate(each.values) if other != place]
                pairs[reviewer] += [(each.values[place], other) for other in others]
        for reviewer, those in sorted(pairs.items()):
            domain = domain_of(those)
            counts = Counter(pattern_of(pair, domain) for pair in those)
            value = alpha_of_patterns(counts, domain, level_of(measure)).alpha
            numbers = measure == "rating"
            difference = math.fsum(float(own) - float(other) for own, other in those) / len(those) if numbers else 0.0
            found.append(
                ReviewerAgreement(
                    reviewer=reviewer,
                    measure=measure,
                    agreement=Agreement(value, judged[reviewer], len(those)),
                    difference=difference,
                )
            )
    return found


def wilson(right: int, judged: int) -> tuple[float, float] | None:
    """The 95 % interval of a share (E. Wilson, Probable inference, JASA 22, 1927); None of nothing."""
    if not judged:
        return None
    share, square = right / judged, Z95 * Z95
    middle = (share + square / (2 * judged)) / (1 + square / judged)
    half = Z95 * math.sqrt(share * (1 - share) / judged + square / (4 * judged * judged)) / (1 + square / judged)
    return max(0.0, middle - half), min(1.0, middle + half)
