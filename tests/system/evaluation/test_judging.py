"""Judges through a real gateway: votes are kept unchanged, never asked for twice, and decide pairs as a model's."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from regraft.domain.errors import UpstreamError, UsageError
from regraft.domain.evaluation.judge import Judge, JudgedCategory
from regraft.domain.replay.experiment import Experiment, Query
from regraft.flows.capture.importing import import_files
from regraft.flows.capture.waiting import wait_until_stored
from regraft.flows.datasets.assembly import assemble
from regraft.flows.datasets.erase_truth import erase_truth
from regraft.flows.evaluation.calibration import figures
from regraft.flows.evaluation.judging import judge_versions, run_judge, votes_on
from regraft.flows.evaluation.pairs import propose_pairs
from regraft.flows.evaluation.trajectories import materialise_units
from regraft.flows.lineage import build as lineage
from regraft.flows.lineage import reading
from regraft.flows.replay.plans import prepare_experiment
from regraft.infra.duckdb.evaluation.workbench import Workbench
from regraft.infra.embedded.nats import EmbeddedNats
from regraft.infra.files.recipes import parse_recipe
from regraft.infra.postgres.evaluation import judges as store
from regraft.infra.postgres.pool import connect
from support.consumer import consuming
from support.judge_model import JudgeModel, preferring
from support.whole_path import WholePath, gateway_before

PAIRS = Judge(name="careful", model="big", task="preference", rubric="Which is better?")
CATEGORIES = (JudgedCategory(name="overlong", definition="Too long."), JudgedCategory(name="rude", definition="Rude."))
SORTS = Judge(name="sorts", model="big", task="categories", rubric="Sort.", categories=CATEGORIES, votes=3)


def hh(number: int, chosen: str, rejected: str) -> dict[str, str]:
    question = f"\n\nHuman: Question {number}?\n\nAssistant: "
    return {"chosen": question + chosen, "rejected": question + rejected}


@pytest.fixture
def model():
    """A judge that prefers the good answer, wherever it stands."""
    with JudgeModel(lambda shown: preferring("first" if "good" in shown["first answer"] else "second")) as running:
        yield running


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    return tmp_path / "workbench.duckdb"


@pytest.fixture
def path(truth, model, tmp_path):
    """A gateway before the judge's model, ingest, and six imported pairs of which people prefer one answer each."""
    lines = [hh(number, "a good one", "a bad one") for number in range(6)]
    file = tmp_path / "hh.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    import_files(truth, [file])
    server = EmbeddedNats(tmp_path / "nats")
    url = server.start().url
    with gateway_before(model, url, tmp_path / "spool") as port, consuming(truth, url):
        yield WholePath(truth, url, port)
    server.stop()


def stored(path: WholePath) -> None:
    """Every call of a vote is in the log and in the graph."""
    wait_until_stored(path.dsn, [row["turn_id"] for row in path.ask("SELECT turn_id FROM judge_votes")])
    lineage.build(path.dsn)


def test_votes_are_kept_as_they_came_and_never_asked_for_twice(path, model, bench):
    done = run_judge(path.dsn, bench, PAIRS, path.url, limit=2)
    assert (done.items, done.asked, done.kept, done.unparseable, done.preferences, done.waiting) == (2, 4, 0, 0, 2, 4)
    rows = path.ask("SELECT * FROM judge_votes ORDER BY pair_id, shown_first")
    assert [row["shown_first"] for row in rows] == ["a", "b", "a", "b"]
    assert {row["model_snapshot"] for row in rows} == {"big@fp1"}
    assert json.loads(rows[0]["answer"])["preference"] in ("first", "second")
    assert rows[0]["value"] == rows[1]["value"]
    rest = run_judge(path.dsn, bench, PAIRS, path.url, limit=0)
    assert (rest.items, rest.asked, rest.kept, rest.waiting) == (4, 8, 4, 0)
    again = run_judge(path.dsn, bench, PAIRS, path.url, limit=0)
    assert (again.items, again.asked, again.preferences) == (0, 0, 0)
    assert len(model.asked) == 12
    more = run_judge(path.dsn, bench, replace(PAIRS, votes=2), path.url, limit=0)
    assert (more.asked, more.preferences) == (12, 6)
    assert len(path.ask("SELECT FROM current_preference_labels")) == 6
    (version,) = judge_versions(path.dsn)
    assert (version["votes"], version["items"], version["current"]) == (24, 6, True)


def test_a_judge_decides_pairs_as_a_model_and_never_over_people(path, bench):
    run_judge(path.dsn, bench, PAIRS, path.url, limit=0)
    propose_pairs(path.dsn, bench)
    assert {(pair["source"], pair["margin"]) for pair in Workbench(bench).pairs()} == {("imported", 1.0)}
    with connect(path.dsn, autocommit=True) as connection:
        connection.execute("DELETE FROM feedback")
    bench.unlink()
    propose_pairs(path.dsn, bench)
    assert {(pair["source"], pair["margin"]) for pair in Workbench(bench).pairs()} == {("model", 1.0)}


def test_a_judge_that_always_takes_the_first_prefers_none(path, model, bench):
    model.rule = lambda shown: preferring("first")
    run_judge(path.dsn, bench, PAIRS, path.url, limit=0)
    rows = path.ask("SELECT preference, source, decided_by, judge_version FROM current_preference_labels")
    assert {tuple(row.values()) for row in rows} == {("equal", "model", "careful", PAIRS.version)}


def test_what_a_judge_says_is_captured_and_is_in_no_unit_pair_or_row(path, bench):
    run_judge(path.dsn, bench, replace(PAIRS, votes=2), path.url, limit=2)
    stored(path)
    purposes = path.ask("SELECT purpose, count(*) AS n FROM execution_run_records GROUP BY purpose ORDER BY purpose")
    assert purposes[-1] == {"purpose": "judge", "n": 8}
    materialise_units(path.dsn, bench)
    propose_pairs(path.dsn, bench)
    assert {unit["purpose"] for unit in Workbench(bench).units()} == {"import"}
    assert len(Workbench(bench).pairs()) == 6
    recipe = parse_recipe('name = "x"\nkind = "sft"\n[source]\npurposes = ["judge"]\nmodels = ["big"]\n')
    with assemble(recipe, path.dsn, bench) as made:
        assert len(made) == 0


def test_categories_are_voted_on_and_what_is_no_answer_counts_as_unparseable(path, model, bench):
    said = iter([True, False, True])

    def rule(shown: dict[str, str]) -> Any:
        if "Question 0" not in shown["conversation"] or "good" not in shown["conversation"]:
            return "I would say it is fine."
        both = {"because": "it rambles", "holds": next(said)}
        return {"overlong": both, "rude": {**both, "holds": False}}

    model.rule = rule
    done = run_judge(path.dsn, bench, SORTS, path.url, limit=0)
    assert (done.items, done.asked, done.unparseable, done.problems) == (12, 36, 33, {"no JSON": 33})
    labels = path.ask("SELECT * FROM current_judge_labels ORDER BY value DESC NULLS LAST, category")
    assert len(labels) == 24
    first, second, *rest = labels
    assert (first["category"], first["value"], first["votes"], first["unparseable"]) == (
        "overlong",
        pytest.approx(2 / 3),
        3,
        0,
    )
    assert (second["category"], second["value"], second["evidence"]) == ("rude", 0.0, ["it rambles"] * 3)
    assert {(row["value"], row["votes"], row["unparseable"]) for row in rest} == {(None, 0, 3)}
    assert {vote["problem"] for vote in votes_on(path.dsn, rest[0]["unit_id"])} == {"no JSON"}


def test_another_rubric_is_another_version_and_the_last_used_one_counts(path, model, bench):
    model.rule = lambda shown: {"because": "so", "rating": 4}
    rates = Judge(name="rates", model="big", task="rating", rubric="How good?")
    run_judge(path.dsn, bench, rates, path.url, limit=0)
    model.rule = lambda shown: {"because": "so", "rating": 2}
    stricter = replace(rates, rubric="How good? Be strict.")
    run_judge(path.dsn, bench, stricter, path.url, limit=3)
    ratings = path.ask("SELECT judge_version, rating FROM current_judge_ratings")
    assert [tuple(row.values()) for row in ratings] == [(stricter.version, 2.0)] * 3
    run_judge(path.dsn, bench, rates, path.url, limit=1)
    assert len(path.ask("SELECT FROM current_judge_ratings")) == 12


def test_a_model_that_is_not_there_ends_the_run_and_leaves_no_vote(path, model, bench):
    model.status = 404
    with pytest.raises(UpstreamError, match="no such model"):
        run_judge(path.dsn, bench, PAIRS, path.url)
    assert path.ask("SELECT FROM judge_votes") == []
    model.status = 200
    assert run_judge(path.dsn, bench, PAIRS, path.url, limit=1).asked == 2


def test_two_runs_of_one_judge_do_not_ask_side_by_side(path, bench):
    with connect(path.dsn, autocommit=True) as other:
        assert store.lock(other, PAIRS.version)
        with pytest.raises(UsageError, match="run by another process"):
            run_judge(path.dsn, bench, PAIRS, path.url)


def test_an_erasure_reaches_what_judges_were_shown_and_wrote(path, model, bench):
    model.rule = lambda shown: {**preferring("first"), "because": f"It says {shown['first answer']}"}
    run_judge(path.dsn, bench, PAIRS, path.url, limit=0)
    stored(path)
    (one,) = path.ask("SELECT session_id FROM judge_votes LIMIT 1")
    held = "SELECT count(*) AS n FROM message WHERE body::text LIKE '%%<<first answer%%'"
    before = path.ask(held)[0]["n"]
    assert before == 12
    erased = path.ask("SELECT vote_id FROM judge_votes WHERE session_id = %(s)s", s=one["session_id"])
    assert len(erased) == 2
    with connect(path.dsn) as connection:
        begun = {"id": uuid4(), "now": datetime.now(UTC)}
        connection.execute(
            "INSERT INTO erasure (erasure_id, kind, started_at) VALUES (%(id)s, 'session', %(now)s)", begun
        )
        found = erase_truth(connection, begun["id"], "session", str(one["session_id"]), begun["now"])
    assert found.found["votes of judges"] == 2
    assert path.ask(held)[0]["n"] == 10
    rows = path.ask("SELECT answer, evidence, value FROM judge_votes WHERE session_id = %(s)s", s=one["session_id"])
    assert {(row["answer"], str(row["evidence"])) for row in rows} == {("[erased]", "{}")}
    assert all(row["value"] for row in rows)
    again = run_judge(path.dsn, bench, replace(PAIRS, rubric="Again?"), path.url, limit=0)
    assert (again.left_out, again.asked) == (1, 10)


def test_calls_of_judges_are_listed_with_side_calls_and_never_chosen_for_a_replay(path, bench):
    run_judge(path.dsn, bench, PAIRS, path.url, limit=2)
    stored(path)
    listed = reading.sessions(path.dsn, 50, side=False)
    assert {purpose for row in listed for purpose in row["purposes"]} == {"import"}
    assert len(reading.sessions(path.dsn, 50, side=True)) == 2
    assert prepare_experiment(path.dsn, Experiment(query=Query(models=("big",)))).jobs == []


def test_planted_judges_are_admitted_or_refused_by_how_they_judge_what_people_judged(path, model, bench, tmp_path):
    """From imported annotations to rows: a good judge decides what no one judged; those of place and length do not."""
    long, short = "word " * 20, "word " * 5
    annotated, chats = [], []
    for number in range(66):
        good, bad = f"a good one {(long, short)[number % 2]}", f"a bad one {(short, long)[number % 2]}"
        asked = f"Do {number}."
        if number < 60:
            votes = {f"annotator{place}": 1 for place in (1, 2, 3)}
            annotated.append({"instruction": asked, "input": "", "response1": good, "response2": bad, **votes})
        else:
            for text in (good, bad):
                said = [{"role": "user", "content": asked}, {"role": "assistant", "content": text}]
                chats.append({"messages": said})
    for name, lines in (("annotated", annotated), ("chats", chats)):
        file = tmp_path / f"{name}.jsonl"
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))
        import_files(path.dsn, [file])
    rules = {
        "good": lambda shown: preferring("first" if "good" in shown["first answer"] else "second"),
        "first": lambda shown: preferring("first"),
        "longer": lambda shown: preferring(
            "first" if len(shown["first answer"]) > len(shown["second answer"]) else "second"
        ),
    }
    recipe = parse_recipe('name = "judged"\nkind = "dpo"\n[source]\nlabels = ["model"]\npurposes = ["import"]\n')
    made, decided = {}, {}
    for name in ("longer", "first", "good"):
        model.rule = rules[name]
        run_judge(path.dsn, bench, replace(PAIRS, name=name), path.url, limit=0, concurrency=8)
        with assemble(recipe, path.dsn, bench) as assembly:
            made[name] = [(row.chosen[0]["content"][:10], row.agreement) for row in assembly.rows.rows()]
        with assemble(replace(recipe, min_agreement=0.0), path.dsn, bench) as assembly:
            decided[name] = dict(assembly.labels)
    assert made == {"longer": [], "first": [], "good": [("a good one", 1.0)] * 6}
    assert decided["longer"] == {"model (uncalibrated)": 6}
    known = {one.judge: one for one in figures(bench) if one.is_whole and one.task == "preference"}
    assert (known["first"].flips, known["first"].first_share) == (1.0, 1.0)
    assert (known["longer"].longer_share, known["longer"].flips) == (1.0, 0.0)
    assert known["longer"].people_longer_share == pytest.approx(0.5, abs=0.05)
    assert [known[name].items for name in rules] == [60, 60, 60]
