"""Estimate of a replay before any call: its jobs, tokens and cost, in total and by variant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from regraft.domain.replay.budget import Budget, Price, TokenSpend, estimate
from regraft.domain.replay.comparison import changes_in_words
from regraft.domain.replay.job import Job


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantPreview:
    """The estimate for one variant. ``words`` describe its changes; ``models`` are those that it calls."""

    words: str
    models: tuple[str, ...]
    jobs: int
    tokens: TokenSpend
    cost: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayPreview:
    """The estimate for all jobs. ``cost`` is None where a model has no price: then ``unpriced`` names it.

    ``prompts_estimated`` is the number of jobs whose prompt was never counted, so that its characters are; and
    ``answers_without_limit`` that of jobs without a longest answer, so that the original's length is taken.
    """

    jobs: int
    tokens: TokenSpend
    cost: float | None
    unpriced: tuple[str, ...]
    prompts_estimated: int
    answers_without_limit: int
    variants: tuple[VariantPreview, ...]


def preview(jobs: Sequence[Job], prices: Mapping[str, Price]) -> ReplayPreview:
    """Estimate these jobs, with variants in the order of their first job."""
    estimates = [estimate(job) for job in jobs]
    by_model: dict[str, TokenSpend] = {}
    by_variant: dict[int, dict[str, TokenSpend]] = {}
    counts: dict[int, int] = {}
    firsts: dict[int, Job] = {}
    for job, one in zip(jobs, estimates, strict=True):
        place = job.variant_index
        firsts.setdefault(place, job)
        counts[place] = counts.get(place, 0) + 1
        for spent in (by_model, by_variant.setdefault(place, {})):
            spent[job.model] = spent.get(job.model, TokenSpend()) + one.spent
    variants = tuple(
        VariantPreview(
            words=changes_in_words(job.variant.describe()),
            models=tuple(sorted(by_variant[place])),
            jobs=counts[place],
            tokens=sum(by_variant[place].values(), TokenSpend()),
            cost=_cost(by_variant[place], prices),
        )
        for place, job in firsts.items()
    )
    return ReplayPreview(
        jobs=len(jobs),
        tokens=sum(by_model.values(), TokenSpend()),
        cost=_cost(by_model, prices),
        unpriced=tuple(sorted(by_model.keys() - prices.keys())),
        prompts_estimated=sum(not one.counted for one in estimates),
        answers_without_limit=sum(not one.bounded for one in estimates),
        variants=variants,
    )


def _cost(spent: Mapping[str, TokenSpend], prices: Mapping[str, Price]) -> float | None:
    """Money for the tokens of each model; None: a price is missing, or there is nothing to pay for."""
    return Budget(prices=prices).cost(spent) if spent and spent.keys() <= prices.keys() else None
