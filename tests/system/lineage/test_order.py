"""The graph is the same in whatever order and in whatever batches its calls arrive."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import permutations

import pytest

from regraft.domain.lineage.history import session_by_name
from regraft.flows.capture.ingest import SeenIds, ingest
from regraft.flows.lineage import build as lineage
from regraft.infra.nats.codec import encode_exchange
from support.captured_talks import story_of_branches
from support.messages import assistant, user


@pytest.mark.parametrize("seed", range(12))
def test_any_order_and_any_batching_of_the_same_calls_give_the_same_tables(graph, calls, seed):
    rnd = random.Random(seed)
    exchanges = story_of_branches(calls, rnd)
    graph.take(*exchanges)
    graph.check()
    expected = graph.graph()
    for _ in range(3):
        graph.forget()
        order = rnd.sample(exchanges, len(exchanges))
        while order:
            size = rnd.randint(1, 4)
            graph.take(*order[:size])
            order = order[size:]
        graph.check()
        assert graph.graph() == expected


def test_every_order_of_a_small_tree_gives_the_same_tables(graph, calls):
    trunk = [user("hi"), assistant("a"), user("more")]
    exchanges = [
        calls([user("hi")], "a"),
        calls(trunk, "b"),
        calls([*trunk, assistant("b"), user("on")], "c"),
        calls([user("hi")], "a", temperature=1),
    ]
    graph.take(*exchanges)
    expected = graph.graph()
    for order in permutations(exchanges):
        graph.forget()
        for each in order:
            graph.take(each)
        assert graph.graph() == expected


def test_building_sessions_one_by_one_gives_the_same_tables(graph, calls):
    exchanges = [calls([user("hi")], f"{n}", who={"session": f"s{n % 3}"}) for n in range(9)]
    graph.take(*exchanges)
    expected = graph.graph()
    graph.forget()
    ingest(graph.connection, [encode_exchange(each) for each in exchanges], SeenIds())
    for name in ("s2", "s0", "s1"):
        assert lineage.build(graph.dsn, [session_by_name("default", name)]).sessions == 1
    assert graph.graph() == expected


def test_calls_delivered_again_change_nothing(graph, calls):
    exchanges = story_of_branches(calls, random.Random(99))
    graph.take(*exchanges)
    before = graph.graph()
    for exchange in reversed(exchanges):
        graph.take(exchange)
    assert graph.graph() == before


def test_a_build_with_nothing_to_do_does_nothing(graph, calls):
    assert graph.take().build == 0
    graph.take(calls([user("hi")]))
    assert lineage.build(graph.dsn) == lineage.BuildCounts(0, 0, 0, 0)
    assert graph.ask("SELECT build FROM lineage_watermark") == [{"build": 1}]


def test_a_rebuild_gives_the_same_tables(graph, calls):
    for seed in range(3):
        graph.take(*(replace(each, scope=f"scope {seed}") for each in story_of_branches(calls, random.Random(seed))))
    before = graph.graph()
    lineage.rebuild(graph.dsn)
    graph.check()
    assert graph.graph() == before


def test_progress_counts_every_turn_once(graph, calls):
    ingest(graph.connection, [encode_exchange(each) for each in (calls(), calls(choices=["a", "b"]))], SeenIds())
    steps: list[int] = []
    assert lineage.build(graph.dsn, progress=steps.append).turns == sum(steps) == 3
