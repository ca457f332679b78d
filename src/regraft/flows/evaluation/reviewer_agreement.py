"""Agreement of people: measured per theme whenever labels change, with the themes that are contested."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from regraft.domain.evaluation.alpha import alpha_of_patterns
from regraft.domain.evaluation.reviewers import (
    HumanJudgement,
    JudgedSubject,
    is_contested,
    is_disputed,
    judged_twice,
    level_of,
    patterns_of,
    with_categories,
)
from regraft.infra.postgres.evaluation import agreement as store
from regraft.infra.postgres.pool import Connection, Source, reading_from, transaction

DEFAULT_MIN_AGREEMENT = 0.4
DEFAULT_MIN_JUDGED = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ThemeAgreement:
    """How far people agree on a theme. ``measure`` is preference (nominal), rating (ordinal), or ``category:`` and its
    name (nominal); ``subjects`` were judged by two people or more, ``labels`` is of those; ``disputed`` ones wait for
    an adjudication. ``low`` and ``high`` bound the 95 % bootstrap interval of ``alpha``."""

    scope: str
    theme: str
    measure: str
    alpha: float | None
    low: float | None
    high: float | None
    subjects: int
    labels: int
    reviewers: int
    disputed: int
    contested: bool
    measured_at: datetime


def refresh_agreement(
    dsn: str, min_agreement: float | None = None, min_judged: int | None = None, *, now: datetime | None = None
) -> bool:
    """Measure the agreement of people again if labels or the threshold changed; whether that was so.

    A threshold that is not given is the one of the last time. Fewer than ``min_judged`` subjects of a theme that two
    people judged are too few to contest it.
    """
    now = now or datetime.now(UTC)
    with transaction(dsn, name="regraft-agreement") as connection:
        if not _needs(connection, min_agreement, min_judged):
            return False
    with transaction(dsn, name="regraft-agreement") as connection:
        store.run(connection, "lock")
        before = next(iter(store.rows(connection, "measured_state")), {})
        if not _needs(connection, min_agreement, min_judged):
            return False
        limit = before.get("min_agreement", DEFAULT_MIN_AGREEMENT) if min_agreement is None else min_agreement
        least = before.get("min_judged", DEFAULT_MIN_JUDGED) if min_judged is None else min_judged
        state = store.rows(connection, "label_state")[0]["state"]
        adjudicated = {row["subject_id"] for row in store.rows(connection, "adjudicated")}
        grouped = judged_twice(human_judgements(connection))
        found = []
        for (scope, theme, measure), subjects in grouped.items():
            open_disputes = sum(
                is_disputed(measure, each.values) and each.subject_id not in adjudicated for each in subjects
            )
            row = _measured(measure, subjects)
            contested = is_contested(row.pop("agreement"), open_disputes, limit, least)
            named = {"scope": scope, "theme": theme, "measure": measure, "now": now}
            reviewers = len({name for each in subjects for name in each.reviewers})
            found.append({**named, **row, "reviewers": reviewers, "disputed": open_disputes, "contested": contested})
        store.add(connection, found)
        store.run(connection, "save_state", state=state, min_agreement=limit, min_judged=least, now=now)
    return True


def themes_agreement(source: Source, scope: str | None = None) -> list[ThemeAgreement]:
    """The agreement on each theme as it was last measured: contested ones first, then by rising alpha."""
    with reading_from(source) as connection:
        return [ThemeAgreement(**row) for row in store.rows(connection, "themes", scope=scope)]


def human_judgements(connection: Connection, scope: str | None = None) -> Iterator[HumanJudgement]:
    """Everything that people said and that counts, adjudications left out. A category that a rater did not name is one
    that they found not to hold; categories that no reviewer named are left out."""
    rows = store.rows(connection, "judgements", scope=scope)
    known = sorted({name for row in rows for name in row["categories"] or ()})
    for row in rows:
        rated = row["measure"] == "rating"
        judgement = HumanJudgement(
            measure=row["measure"],
            scope=row["scope"],
            theme=row["theme"],
            subject_id=row["subject_id"],
            session_id=row["session_id"],
            reviewer=row["reviewer"],
            value=int(row["value"]) if rated else row["value"],
        )
        yield from with_categories(judgement, row["categories"], known) if rated else (judgement,)


def _needs(connection: Connection, min_agreement: float | None, min_judged: int | None) -> bool:
    state = store.rows(connection, "label_state")[0]["state"]
    before = next(iter(store.rows(connection, "measured_state")), None)
    if before is None:
        return True
    same = min_agreement in (None, before["min_agreement"]) and min_judged in (None, before["min_judged"])
    return not same or before["state"] != state


def _measured(measure: str, subjects: Sequence[JudgedSubject]) -> dict[str, Any]:
    from regraft.infra.statistics.alpha_interval import alpha_interval

    patterns, domain = patterns_of(subjects)
    level = level_of(measure)
    agreement = alpha_of_patterns(Counter(patterns), domain, level)
    interval = None
    if agreement.alpha is not None:
        interval = alpha_interval([each.session_id for each in subjects], patterns, domain, level)
    return {
        "agreement": agreement,
        "alpha": agreement.alpha,
        "low": interval.low if interval else None,
        "high": interval.high if interval else None,
        "subjects": agreement.subjects,
        "labels": agreement.labels,
    }
