"""Facts of each room: one for each completed action, none for actions that did not happen."""

from __future__ import annotations

from collections import Counter

import pytest

from regraft.domain.evaluation.human_label import Rating
from regraft.domain.evaluation.judge import Judge
from regraft.domain.evaluation.review_queue import QueueFilter
from regraft.domain.replay.job import Variant
from regraft.flows.datasets.export import export
from regraft.flows.datasets.freeze import freeze
from regraft.flows.datasets.verify import verify
from regraft.flows.evaluation.desk import desk_at
from regraft.flows.evaluation.judging import run_judge
from regraft.flows.evaluation.queue import QueueSize, fill_queue
from regraft.flows.evaluation.review import rate_unit
from regraft.infra.postgres.pool import transaction
from regraft.infra.telemetry.emitter import publishing_facts
from regraft.infra.telemetry.facts import (
    CallsImported,
    CallsPublished,
    JobEnded,
    JudgementMade,
    LabelGiven,
    OrchestrationCallEnded,
    OrchestrationEnded,
    ReviewAnswered,
    RowsExported,
    SnapshotFrozen,
    SnapshotVerified,
)
from support.consumer import consuming
from support.facts import facts_told, forget_facts
from support.judge_model import JudgeModel
from support.orchestrator_crew import Crew, ask, running
from support.scripted_upstream import plain
from support.small_graph import SmallGraph, every_kind
from support.whole_path import Model, WholePath, gateway_before

SFT = 'name = "good"\nkind = "sft"\n[source]\nmin_outcome = 0.0\n'


@pytest.fixture
def facts_url(nats_url):
    forget_facts(nats_url)
    return nats_url


@pytest.fixture
def turns(truth):
    with transaction(truth) as connection:
        return every_kind(SmallGraph(connection))


def test_an_orchestrated_call_says_who_asked_whom_with_what_result(tmp_path, facts_url):
    crew = Crew()
    boom = plain(500, b'{"error":{"message":"out of memory"}}')
    crew.worker = lambda asked: boom if "do s1" in asked["messages"][1]["content"] else None

    with publishing_facts(lambda: facts_url), running(tmp_path, crew, retries=0) as (client, _):
        ask(client)
    told = facts_told(facts_url, 5)

    calls = [each for each in told if isinstance(each, OrchestrationCallEnded)]
    asked = Counter((each.caller, each.worker, each.step, each.result) for each in calls)
    model = next(each.worker for each in calls if each.step == "plan")
    assert asked == {
        ("client", model, "plan", "done"): 1,
        (model, "w", "work", "failed"): 1,
        (model, "w", "work", "done"): 1,
        ("client", model, "answer", "done"): 1,
    }
    (ended,) = [each for each in told if isinstance(each, OrchestrationEnded)]
    assert (ended.orchestrator, ended.result, ended.steps) == ("team", "done", 3)


def test_the_jobs_of_a_replay_tell_how_they_ended(truth, tmp_path, facts_url):
    with Model() as model, gateway_before(model, facts_url, tmp_path / "spool") as port, consuming(truth, facts_url):
        path = WholePath(truth, facts_url, port)
        turn, _, _ = path.call([{"role": "user", "content": "hi"}])
        node = path.node(turn)
        with publishing_facts(lambda: facts_url):
            path.replay([node], [Variant(sampling={"temperature": 1.5})], samples=2)
            model.refuse = True
            path.replay([node], [Variant(sampling={"temperature": 0.1})])
        jobs = facts_told(facts_url, 3, JobEnded)

    assert Counter((each.status, each.model) for each in jobs) == {("done", "small"): 2, ("failed", "small"): 1}
    assert all(each.seconds > 0 for each in jobs)


def test_a_gateway_tells_what_it_moved_to_the_stream(tmp_path, facts_url):
    with Model() as model, gateway_before(model, facts_url, tmp_path / "spool") as port:
        path = WholePath("", facts_url, port)
        for number in range(3):
            path.call([{"role": "user", "content": f"hi {number}"}])
        told = facts_told(facts_url, 1, CallsPublished)
    told += [] if sum(each.calls for each in told) == 3 else facts_told(facts_url, 1, CallsPublished)

    assert sum(each.calls for each in told) == 3
    assert all(each.bytes > 100 * each.calls for each in told)


def test_reviewers_tell_what_was_answered_and_not_what(truth, turns, tmp_path, facts_url):
    bench = tmp_path / "workbench.duckdb"
    fill_queue(truth, bench, QueueSize(reviewers=1, overlap=0), kinds=["unit"], seed=1)
    with publishing_facts(lambda: facts_url):
        (item,) = desk_at(truth, "ann").claim(QueueFilter(kind="unit"))
        desk_at(truth, "ann").submit(item.lease_id, Rating(rating=4, note="PRIVATE"))
        rate_unit(truth, turns["retry"].node_id, 5, "bob")
    told = facts_told(facts_url, 3)

    assert Counter(type(each) for each in told) == {LabelGiven: 2, ReviewAnswered: 1}
    assert {(each.source, each.kind) for each in told if isinstance(each, LabelGiven)} == {("person", "rating")}
    assert "PRIVATE" not in str(told)
    assert "ann" not in str(told)


def test_a_dataset_tells_its_rows_its_check_and_its_export(truth, turns, tmp_path, facts_url):
    places = {"dsn": truth, "warehouse": str(tmp_path / "warehouse"), "workbench": tmp_path / "workbench.duckdb"}
    with publishing_facts(lambda: facts_url):
        made = freeze(SFT, **places)
        again = freeze(SFT, **places)
        verify(made.snapshot_id, **places)
        export(made.snapshot_id, tmp_path / "out", dsn=truth, warehouse=places["warehouse"])
    told = facts_told(facts_url, 3)

    rows = sum(made.row_counts.values())
    assert not again.created  # nothing was frozen, so nothing is told
    (frozen,) = [each for each in told if isinstance(each, SnapshotFrozen)]
    assert (frozen.kind, frozen.rows, frozen.refused) == ("sft", rows, sum(made.refused.values()))
    assert SnapshotVerified(result="held") in told
    assert RowsExported(format="trl", rows=rows) in told
    assert len(told) == 3


def test_an_import_tells_its_format_and_what_was_new(truth, tmp_path, facts_url):
    from regraft.flows.capture.importing import import_files

    file = tmp_path / "talks.jsonl"
    message = '{"role": "user", "content": "q"}, {"role": "assistant", "content": "a %d"}'
    file.write_text("".join(f'{{"messages": [{message % number}]}}\n' for number in range(3)))
    with publishing_facts(lambda: facts_url):
        import_files(truth, [file])
        import_files(truth, [file])  # nothing is new
    imported = facts_told(facts_url, 1, CallsImported)

    assert [(each.format, each.calls) for each in imported] == [(imported[0].format, 3)]


def test_a_judge_tells_its_scores_and_what_could_not_be_read(truth, turns, tmp_path, facts_url):
    answers = iter([{"because": "fine", "rating": 5}, "no idea"])
    judge = Judge(name="careful", model="big", task="rating", rubric="How good is it?")
    with (
        JudgeModel(lambda shown: next(answers)) as model,
        gateway_before(model, facts_url, tmp_path / "spool") as port,
        publishing_facts(lambda: facts_url),
    ):
        run_judge(truth, tmp_path / "workbench.duckdb", judge, f"http://127.0.0.1:{port}", limit=2)
    told = facts_told(facts_url, 2, JudgementMade)

    assert {(each.judge, each.result, each.score) for each in told} == {
        ("careful", "valid", 1.0),
        ("careful", "unreadable", None),
    }
