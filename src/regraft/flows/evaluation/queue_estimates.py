"""What the random samples of the review queue say of all paths."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from regraft.domain.evaluation.prevalence import Estimate, SampledStratum, estimate
from regraft.flows.evaluation.queue import ShareCount, queue_shares
from regraft.infra.postgres.evaluation import queue as store
from regraft.infra.postgres.pool import Source, reading_from


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A random sample: the probability of being in it, and how many there are to draw from."""

    scope: str
    kind: str
    rate: float
    population: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ThemeEstimate:
    """What the sample says of a theme's paths, None being all themes: how common a category is, or the mean rating
    (``what`` is "rating")."""

    theme: str | None
    what: str
    estimate: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueStatus:
    """The queue by tenant, kind, theme and share; its random samples; and what they say."""

    shares: tuple[ShareCount, ...]
    samples: tuple[Sample, ...]
    estimates: tuple[ThemeEstimate, ...]


def queue_samples(source: Source, scope: str | None = None) -> list[Sample]:
    """The random samples, by tenant and kind."""
    names = ("scope", "kind", "rate", "population")
    with reading_from(source) as connection:
        rows = store.rows(connection, "samples")
    return [Sample(**{name: row[name] for name in names}) for row in rows if scope in (None, row["scope"])]


def queue_status(source: Source, scope: str | None = None) -> QueueStatus:
    """How full the queue is, and what its random samples say of the paths of each theme and of all."""
    with reading_from(source) as connection:
        shares = tuple(queue_shares(connection, scope))
        samples = tuple(queue_samples(connection, scope))
        answers = store.rows(connection, "sample_answers", scope=scope)
    rates = {each.scope: each.rate for each in samples if each.kind == "unit"}
    return QueueStatus(
        shares=shares,
        samples=samples,
        estimates=tuple(_estimates(answers, rates)),
    )


def _estimates(rows: Sequence[Mapping[str, Any]], rates: Mapping[str, float]) -> Iterator[ThemeEstimate]:
    strata: dict[str, dict[str | None, list[SampledStratum]]] = defaultdict(lambda: defaultdict(list))
    parsed = [(row, json.loads(row["answers"])) for row in rows]
    categories = sorted({name for _, answers in parsed for _, shares in answers for name in shares})
    for row, answers in parsed:
        rate = rates.get(row["scope"], 0.0)
        for what in ("rating", *categories):
            values = [rating if what == "rating" else shares.get(what, 0.0) for rating, shares in answers]
            stratum = SampledStratum(rate=rate, drawn=row["drawn"], values=values)
            for theme in (None, row["theme"]):
                strata[what][theme].append(stratum)
    for what, by_theme in strata.items():
        bounds = (1.0, 5.0) if what == "rating" else (0.0, 1.0)
        for theme, those in by_theme.items():
            found = estimate(those, bounds)
            if found is not None:
                yield ThemeEstimate(theme=theme, what=what, estimate=found)
