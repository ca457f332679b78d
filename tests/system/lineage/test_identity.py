"""Conversations whose trees are known stay one tree each, whatever clients do to their histories, and never merge."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))
from _lookalikes import groups
from _message_rewrites import CLOCKS
from _rewrites import CAUSES, LIMITS
from identity import (
    Clock,
    calls_of,
    distinct,
    golden,
    lookalikes,
    recorded,
    recorded_folders,
    replay,
    run,
    said,
    sample,
    together,
    under,
)

from regraft.flows.lineage import build as lineage
from regraft.infra.postgres.lineage import graph as store
from regraft.infra.postgres.pool import connect
from support.captured_graph import CapturedGraph


def right(figures, calls):
    """The figures of conversations that are all as they must be."""
    true = len({call.conversation for call in calls})
    return {
        "name": figures.name,
        "conversations": true,
        "calls": len(calls),
        "trees": true,
        "merged": 0,
        "misplaced": 0,
        "unplaced": 0,
        "equal": 0,
        "fracture_rate": 1.0,
        "false_merge_rate": 0.0,
        "compactions": figures.compactions,
    }


def test_golden_conversations_survive_every_cause_of_fracture(truth):
    sets = under(Clock(), CAUSES, golden())
    assert min(len(calls) for _, calls in sets) >= 5  # each cause changes something of some conversation
    found = run(truth, sets, shuffled=7)
    joining = {cause.name for cause in CAUSES if cause.joins}
    for figures, (name, calls) in zip(found, sets, strict=True):
        assert figures.json() == right(figures, calls)
        assert (figures.compactions > 0) == (name in joining), name


def test_conversations_that_look_alike_stay_apart(truth):
    sets = lookalikes(Clock())
    assert [len({call.conversation for call in calls}) for _, calls in sets] == [
        len(each) for each in groups().values()
    ]
    for figures, (_, calls) in zip(run(truth, sets, shuffled=7), sets, strict=True):
        assert figures.json() == right(figures, calls)
        assert figures.compactions == 0


def test_what_is_known_to_fracture_still_merges_nothing(truth):
    alone, defaults = run(truth, under(Clock(), LIMITS, golden()))
    assert (alone.merged, defaults.merged) == (0, 0)
    assert alone.trees > alone.conversations  # should this ever fail, a limit is gone: then it is a cause
    assert (defaults.trees, defaults.misplaced > 0) == (defaults.conversations, True)


def test_a_rebuild_gives_the_same_trees(truth):
    sets = under(Clock(), [cause for cause in CAUSES if cause.joins], golden())
    before = run(truth, sets, shuffled=7)
    lineage.rebuild(truth)
    assert run(truth, sets) == before


def as_one_and_as_three_build_it(dsn):
    """The tables that one builder makes of the log, and three."""
    with connect(dsn, autocommit=True) as connection:
        graph = CapturedGraph(dsn, connection)
        lineage.rebuild(dsn)
        alone = graph.dump()
        store.clear(connection)
        lineage.build(dsn, builders=3, chunk=100)
        graph.check()
        return alone, graph.dump()


def test_several_builders_make_the_same_tables_under_every_cause_of_fracture(truth):
    run(truth, [*under(Clock(), CAUSES, golden()), *lookalikes(Clock())])
    alone, by_three = as_one_and_as_three_build_it(truth)
    assert by_three == alone


@pytest.mark.corpus
def test_several_builders_make_the_same_tables_of_recorded_conversations(truth, recorded_corpus):
    few = [each for folder in recorded_folders(recorded_corpus) for each in sample(recorded(folder), 10, paths=4)]
    run(truth, [("all", together(Clock(), few))])
    alone, by_three = as_one_and_as_three_build_it(truth)
    assert by_three == alone


def test_every_golden_conversation_is_told_from_the_others_and_has_answers():
    conversations = golden()
    assert len(conversations) >= 12
    assert len({said(each.paths[0][:3]) for each in conversations}) == len(conversations)
    for number, each in enumerate(conversations):
        assert len(calls_of(Clock(), each, number, CAUSES[0])) >= 2


def test_the_measurement_sees_a_fracture_and_a_merge(truth):
    """Two conversations counted as one fracture; calls of one conversation counted as two share a tree."""
    clock = Clock()
    made = [calls_of(clock, each, 0, CAUSES[0]) for each in golden()[:2]]
    (figures,) = run(truth, [("two as one", [*made[0], *made[1]])])
    assert (figures.trees, figures.conversations, figures.fracture_rate) == (2, 1, 2.0)
    again = calls_of(clock, golden()[0], 1, CAUSES[0])
    replay(truth, again)
    (figures,) = run(truth, [("one as two", [*made[0], *again])])
    assert (figures.merged, figures.false_merge_rate, figures.trees) == (2, 1.0, 1)


@pytest.mark.corpus
def test_recorded_conversations_survive_what_clients_rewrite(truth, recorded_corpus):
    few = [each for folder in recorded_folders(recorded_corpus) for each in sample(recorded(folder), 1, paths=2)]
    few = distinct(few, "recorded")
    names = {*(f"system clock: {name}" for name in [*CLOCKS][1:]), *(cause.name for cause in CAUSES if cause.joins)}
    sets = [each for each in under(Clock(), [cause for cause in CAUSES if cause.name not in names], few) if each[1]]
    for figures, (_, calls) in zip(run(truth, sets), sets, strict=True):
        assert figures.json() == right(figures, calls)
        assert figures.compactions == 0


@pytest.mark.corpus
def test_recorded_conversations_of_one_tenant_are_as_many_trees_and_none_is_a_compaction(truth, recorded_corpus):
    few = [each for folder in recorded_folders(recorded_corpus) for each in sample(recorded(folder), 20, paths=4)]
    calls = together(Clock(), few)
    assert len({call.conversation for call in calls}) > 200
    (figures,) = run(truth, [("all", calls)])
    assert figures.json() == right(figures, calls)
    assert figures.compactions == 0
