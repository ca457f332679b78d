"""Many votes over several answers become strengths: the margins of all pairs, and verdicts on pairs that no one saw."""

from __future__ import annotations

import math
from itertools import combinations
from uuid import UUID

import numpy as np
import pytest
from scipy.optimize import minimize

from regraft.domain.evaluation.contest import Comparison, contests
from regraft.flows.capture.ingest import SeenIds, ingest
from regraft.flows.evaluation import reading
from regraft.flows.evaluation.pairs import propose_pairs
from regraft.flows.evaluation.review import record_preference
from regraft.flows.lineage import build as lineage
from regraft.infra.nats.codec import encode_exchange
from regraft.infra.postgres.pool import connect
from regraft.infra.statistics.strengths import strengths

A, B, C, D = (UUID(int=number) for number in range(1, 5))


def most_likely(wins):
    """The strengths of largest likelihood with half a win and half a defeat against an average answer: by scipy."""
    size = len(wins)
    full = np.full((size + 1, size + 1), 0.5)
    full[:size, :size] = wins
    full[size, size] = 0.0

    def loss(values):
        values = np.append(values, 0.0)
        return (full * np.log1p(np.exp(-(values[:, None] - values[None, :])))).sum()

    return minimize(loss, np.zeros(size), tol=1e-12, options={"gtol": 1e-9}).x


def votes(*said):
    return [Comparison(a, b, preference) for a, b, preference in said]


def test_strengths_are_those_of_largest_likelihood():
    said = votes(*[(A, B, "a")] * 5, *[(A, B, "b")] * 2, *[(B, C, "a")] * 4, (C, A, "b"), (A, C, "equal"), (C, D, "a"))
    (contest,) = contests(said)
    assert contest.answers == (A, B, C, D)
    assert contest.wins[0][2] == 1.5
    assert strengths(contest) == pytest.approx(most_likely(contest.wins).tolist(), abs=1e-4)


def test_planted_strengths_are_found_again():
    random = np.random.default_rng(5)
    planted = {A: 1.5, B: 0.5, C: -0.5, D: -1.5}
    said = []
    for a, b in combinations(planted, 2):
        won = random.random(2000) < 1 / (1 + math.exp(planted[b] - planted[a]))
        said += [Comparison(a, b, "a" if one else "b") for one in won]
    (contest,) = contests(said)
    assert strengths(contest) == pytest.approx(list(planted.values()), abs=0.15)


@pytest.fixture
def siblings(truth, calls, tmp_path):
    """Four answers to one question, by what they say; and a function that brings the pairs up to the votes."""
    exchanges = [calls([{"role": "user", "content": "Why?"}], answer) for answer in ("one", "two", "three", "four")]
    with connect(truth, autocommit=True) as connection:
        ingest(connection, [encode_exchange(each) for each in exchanges], SeenIds())
        lineage.build(truth)
        found = connection.execute("SELECT turn_id, node_id FROM session_turn").fetchall()
    nodes = {row["turn_id"]: row["node_id"] for row in found}
    bench = tmp_path / "bench.duckdb"

    def pairs():
        propose_pairs(truth, bench)
        return {frozenset((pair["node_a"], pair["node_b"])): pair for pair in reading.pairs(bench)}

    def prefer(better, worse, reviewer, preference=""):
        pair = pairs()[frozenset((better, worse))]
        side = "a" if pair["node_a"] == better else "b"
        record_preference(truth, bench, pair["pair_id"], preference or side, reviewer)

    return [nodes[each.event_id] for each in exchanges], pairs, prefer


def test_a_pair_that_nobody_compared_is_decided_by_its_answers_strengths(siblings):
    (one, two, three, four), pairs, prefer = siblings
    for reviewer in ("ann", "bo"):
        prefer(one, two, reviewer)
        prefer(two, three, reviewer)
    found = pairs()
    unseen = found[frozenset((one, three))]
    assert (unseen["source"], unseen["basis"], unseen["chosen"]) == ("human", "strengths", one)
    seen = found[frozenset((one, two))]
    assert seen["chosen"] == one
    assert 0 < seen["margin"] < unseen["margin"] < 1
    wins = np.array([[0, 2, 0], [0, 0, 2], [0, 0, 0]])
    expected = most_likely(wins)
    assert unseen["margin"] == pytest.approx(math.tanh((expected[0] - expected[2]) / 2), abs=1e-4)
    mine, other = ("strength_a", "strength_b") if unseen["node_a"] == one else ("strength_b", "strength_a")
    assert unseen[mine] - unseen[other] == pytest.approx(expected[0] - expected[2], abs=1e-3)
    assert (found[frozenset((one, four))]["reason"], found[frozenset((one, four))]["strength_a"]) == (
        "no_preference",
        None,
    )


def test_a_few_votes_over_two_answers_stay_shares(siblings):
    (one, two, _, _), pairs, prefer = siblings
    for reviewer, better, worse in (("ann", one, two), ("bo", one, two), ("cy", two, one)):
        prefer(better, worse, reviewer)
    pair = pairs()[frozenset((one, two))]
    assert (pair["chosen"], pair["basis"]) == (one, "")
    assert pair["margin"] == pytest.approx(1 / 3, abs=1e-6)


def test_votes_that_the_other_votes_contradict_decide_nothing(siblings):
    (one, two, three, four), pairs, prefer = siblings
    prefer(one, two, "ann")
    for reviewer in ("bo", "cy", "di"):
        for other in (three, four):
            prefer(two, other, reviewer)
            prefer(other, one, reviewer)
    found = pairs()
    assert found[frozenset((one, two))]["reason"] == "judged_equal"
    assert found[frozenset((two, three))]["chosen"] == two
