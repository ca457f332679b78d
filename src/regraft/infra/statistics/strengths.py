"""Strengths of answers by the model of Bradley and Terry (1952), by choix (Maystre and Grossglauser 2015)."""

from __future__ import annotations

from regraft.domain.evaluation.contest import Contest

_PRIOR = 0.5  # wins and defeats of each answer against an average one: what was always preferred stays finite
_ITERATIONS = 10_000
_TOLERANCE = 1e-6  # in the sum of changes of all strengths


def strengths(contest: Contest) -> list[float]:
    """The strength of each answer, in the logarithm of odds against an average answer (0)."""
    import choix
    import numpy as np

    size = len(contest.answers)
    wins = np.zeros((size + 1, size + 1))
    wins[:size, :size] = contest.wins
    wins[:size, size] = wins[size, :size] = _PRIOR
    found = choix.ilsr_pairwise_dense(wins, max_iter=_ITERATIONS, tol=_TOLERANCE)
    return [float(value) for value in found[:size] - found[size]]
