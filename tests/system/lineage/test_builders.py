"""Several builders of the graph at once, some of them killed: the same tables as one builder makes."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from dataclasses import replace

import pytest

from regraft.domain.errors import UnavailableError
from regraft.flows.capture.ingest import ingest
from regraft.flows.lineage import build as lineage
from regraft.infra.nats.codec import encode_exchange
from regraft.infra.postgres.lineage import graph as store
from regraft.infra.postgres.lineage import queue
from regraft.infra.postgres.pool import transaction
from support.captured_talks import agent, chain, story_of_agents, story_of_branches, talk
from support.messages import user
from support.waiting import until

BUILDER = "import sys\nfrom regraft.flows.lineage.build import build\nbuild(sys.argv[1], chunk=int(sys.argv[2]))"


def stories(calls, seed):
    """Branches, agents, compactions and links of several tenants; and plain talks, which need no other session."""
    rnd = random.Random(seed)
    made = []
    for number in range(3):
        for story in (story_of_branches, story_of_agents, story_of_agents):
            made += [replace(each, scope=f"tenant {number}") for each in story(calls, rnd)]
    for number in range(6):
        made += chain(calls, 5, answer=f"chain {number} ")
        made += talk(calls, tag=f"{number}", who={"session": f"talk {number}"})[0]
        made += agent(calls, tag=f"{number % 3}")[0]
    rnd.shuffle(made)
    return made


def store_all(graph, exchanges):
    ingest(graph.connection, [encode_exchange(each) for each in exchanges], graph.stored)


def built_by_one(graph, exchanges):
    """The tables that one builder makes."""
    store_all(graph, exchanges)
    lineage.build(graph.dsn)
    graph.check()
    return graph.dump()


@pytest.mark.parametrize(("seed", "chunk"), [(0, 5), (1, 20), (2, 5), (3, 40), (4, 2)])
def test_three_builders_make_the_tables_of_one(graph, calls, seed, chunk):
    exchanges = stories(calls, seed)
    expected = built_by_one(graph, exchanges)
    joined = graph.ask(
        """SELECT count(*) AS n FROM conversation_branch_nodes
        WHERE parent_evidence IN ('returned_answer', 'compaction_anchor')"""
    )
    assert joined[0]["n"], "no session is joined with another, so that this proves little"
    graph.forget()
    store_all(graph, exchanges)
    counts = lineage.build(graph.dsn, builders=3, chunk=chunk)
    graph.check()
    assert graph.dump() == expected
    turns = graph.ask("SELECT count(*) AS n FROM session_turn")[0]["n"]
    assert (counts.turns, counts.failed) == (turns, 0)


def test_builders_beside_ingest_make_the_tables_of_one(graph, calls):
    exchanges = stories(calls, 100)
    expected = built_by_one(graph, exchanges)
    graph.forget()
    done = threading.Event()

    def build():
        while not done.is_set():
            lineage.build(graph.dsn, chunk=7)

    builders = [threading.Thread(target=build) for _ in range(3)]
    for builder in builders:
        builder.start()
    for start in range(0, len(exchanges), 4):
        store_all(graph, exchanges[start : start + 4])
    done.set()
    for builder in builders:
        builder.join()
    lineage.build(graph.dsn)
    graph.check()
    assert graph.dump() == expected


def test_a_builder_that_is_killed_leaves_its_turns_to_the_others(graph, calls):
    exchanges = [each for seed in range(4) for each in stories(calls, seed)]
    expected = built_by_one(graph, exchanges)
    graph.forget()
    store_all(graph, exchanges)
    waiting = lineage.waiting_turns(graph.dsn)
    builders = [subprocess.Popen([sys.executable, "-c", BUILDER, graph.dsn, "10"]) for _ in range(3)]
    try:
        until(lambda: lineage.waiting_turns(graph.dsn) < waiting)
        builders[0].kill()
        assert lineage.waiting_turns(graph.dsn), "the builders were done before one was killed"
        assert [builder.wait(120) for builder in builders] == [-9, 0, 0]
    finally:
        for builder in builders:
            builder.kill()
    graph.check()
    assert graph.dump() == expected


def test_a_rebuild_waits_for_every_builder_and_they_for_it(graph, calls):
    exchanges = stories(calls, 200)
    expected = built_by_one(graph, exchanges)
    builders = [threading.Thread(target=lineage.build, args=(graph.dsn,), kwargs={"chunk": 5}) for _ in range(2)]
    with transaction(graph.dsn) as connection:
        store.clear(connection)
    for builder in builders:
        builder.start()
    lineage.rebuild(graph.dsn)
    for builder in builders:
        builder.join()
    lineage.build(graph.dsn)
    graph.check()
    assert graph.dump() == expected


def test_a_turn_that_cannot_be_placed_stops_none_of_several_builders(graph, calls):
    exchanges = stories(calls, 300)
    graph.connection.execute("ALTER TABLE execution_run_records ADD CONSTRAINT no_theme CHECK (task_key <> 'bad')")
    bad = [calls([user(f"bad {number}")], who={"task": "bad"}) for number in range(3)]
    store_all(graph, [*exchanges, *bad])
    counts = lineage.build(graph.dsn, builders=3, chunk=16)
    assert counts.failed == 3
    failed = graph.ask("SELECT turn_id FROM lineage_queue WHERE strpos(failure, 'no_theme') > 0")
    assert {row["turn_id"] for row in failed} == {each.event_id for each in bad}
    assert lineage.waiting_turns(graph.dsn) == 0
    graph.connection.execute("ALTER TABLE execution_run_records DROP CONSTRAINT no_theme")
    assert lineage.retry(graph.dsn, builders=2).turns == 3
    graph.check()


def test_a_fault_of_the_system_is_raised_by_all_builders_and_loses_no_turn(graph, calls):
    store_all(graph, stories(calls, 400))
    waiting = lineage.waiting_turns(graph.dsn)
    with pytest.raises(UnavailableError):
        lineage.build("postgresql://regraft@127.0.0.1:1/none", builders=2)
    graph.connection.execute("ALTER TABLE execution_run_records RENAME COLUMN backend TO backend_before")
    with pytest.raises(Exception, match="backend"):
        lineage.build(graph.dsn, builders=2)
    assert lineage.waiting_turns(graph.dsn) == waiting
    graph.connection.execute("ALTER TABLE execution_run_records RENAME COLUMN backend_before TO backend")
    assert lineage.build(graph.dsn, builders=2).turns == waiting


def test_only_a_builder_that_is_alone_takes_what_may_join_sessions(graph, calls):
    first, history = agent(calls, tag="one")
    store_all(graph, first)
    lineage.build(graph.dsn)
    replaced = calls([user("a summary"), *history[-2:]], "on")
    store_all(graph, [replaced, *chain(calls, 2)])
    with transaction(graph.dsn) as connection:
        queue.share(connection)  # as another builder does for as long as its transaction takes
        thread = threading.Thread(target=lineage.build, args=(graph.dsn,))
        thread.start()
        until(lambda: lineage.waiting_turns(graph.dsn) == 1)
        assert thread.is_alive()
        (left,) = graph.ask("SELECT turn_id, joins FROM lineage_queue")
        assert left == {"turn_id": replaced.event_id, "joins": True}
    thread.join(30)
    assert lineage.waiting_turns(graph.dsn) == 0
    assert graph.node(replaced)["parent_evidence"] in ("returned_answer", "compaction_anchor")
    graph.check()


def test_given_sessions_are_built_beside_others(graph, calls):
    exchanges = [calls([user("hi")], f"{n}", who={"session": f"s{n % 3}"}) for n in range(9)]
    store_all(graph, exchanges)
    session = graph.session(exchanges[0])
    counts = lineage.build(graph.dsn, [session], builders=2)
    assert (counts.turns, counts.sessions) == (3, 1)
    assert lineage.waiting_turns(graph.dsn) == 6
