"""Gold items, statistics of reviewers, and the commands and routes that show them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from regraft.domain.errors import ConflictError, NotFoundError, UsageError
from regraft.domain.evaluation.human_label import Preference, Rating
from regraft.domain.evaluation.review_queue import QueueFilter
from regraft.flows.access import AccessControl
from regraft.flows.evaluation.desk import desk_at
from regraft.flows.evaluation.desk_records import ReviewPolicy
from regraft.flows.evaluation.gold import KnownAnswer, add_gold, gold_items, withdraw_gold
from regraft.flows.evaluation.queue import QueueSize, fill_queue, queue_age, queue_items, release_leases
from regraft.flows.evaluation.reviewer_report import reviewer_reports
from regraft.infra.postgres.pool import transaction
from regraft.presentation.cli.main import app
from regraft.presentation.web.app import make_app
from support.small_graph import SmallGraph, every_kind

UNIT, PAIR = QueueFilter(kind="unit"), QueueFilter(kind="pair")
GOLD_ONLY = ReviewPolicy(gold_share=0.999999, random_share=0)
NO_GOLD = ReviewPolicy(gold_share=0, random_share=0)


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    return tmp_path / "workbench.duckdb"


@pytest.fixture
def queue(truth: str, bench: Path) -> str:
    with transaction(truth) as connection:
        every_kind(SmallGraph(connection))
    fill_queue(truth, bench, QueueSize(reviewers=2, overlap=0, random_share=0), seed=1)
    return truth


def test_everybody_is_given_a_gold_item_once_and_cannot_tell_it(queue: str) -> None:
    item = queue_items(queue, UNIT)[0].item_id
    add_gold(queue, item, KnownAnswer(rating_low=1, rating_high=2), "lead", note="it is wrong")
    for name, rating in (("ann", 2), ("bob", 5), ("cyd", 1)):
        desk = desk_at(queue, name, policy=GOLD_ONLY)
        (shown,) = desk.claim(UNIT)
        assert shown.item_id == item
        assert "gold" not in repr(shown)
        desk.submit(shown.lease_id, Rating(rating=rating))
        assert desk.claim(UNIT)[0].item_id != item
        release_leases(queue, name)
    (gold,) = gold_items(queue)
    assert (gold.answered, gold.right, gold.made_by) == (3, 2, "lead")
    reports = {each.reviewer: each for each in reviewer_reports(queue)}
    assert {name: (each.gold_right, each.gold) for name, each in reports.items()} == {
        "ann": (1, 1),
        "bob": (0, 1),
        "cyd": (1, 1),
    }
    assert reports["bob"].gold_high == pytest.approx(0.793, abs=1e-3)
    withdraw_gold(queue, item, "lead")
    assert gold_items(queue) == []
    assert item not in {each.item_id for each in desk_at(queue, "dan", policy=GOLD_ONLY).claim(UNIT, limit=10)}


def test_the_answer_to_a_gold_pair_is_a_side(queue: str) -> None:
    item = queue_items(queue, PAIR)[0].item_id
    add_gold(queue, item, KnownAnswer(preference="b"), "lead")
    desk = desk_at(queue, "ann", policy=GOLD_ONLY)
    (shown,) = desk.claim(PAIR)
    assert shown.item_id == item
    with transaction(queue) as connection:
        (lease,) = connection.execute("SELECT shown_first FROM review_leases").fetchall()
    desk.submit(shown.lease_id, Preference(preference="first" if lease["shown_first"] == "b" else "second"))
    assert [each.right for each in gold_items(queue)] == [1]


def test_what_cannot_be_gold_says_why(queue: str, bench: Path) -> None:
    pair, unit = queue_items(queue, PAIR)[0].item_id, queue_items(queue, UNIT)[0].item_id
    with pytest.raises(UsageError, match="Of a pair a preference"):
        add_gold(queue, pair, KnownAnswer(rating_low=1, rating_high=1), "lead")
    with pytest.raises(UsageError, match="and not both"):
        KnownAnswer()
    with pytest.raises(UsageError, match="from 1 to 5"):
        KnownAnswer(rating_low=4, rating_high=2)
    with pytest.raises(NotFoundError):
        withdraw_gold(queue, unit, "lead")
    fill_queue(queue, bench, QueueSize(random_share=1.0), seed=1)
    (random, *_) = queue_items(queue, UNIT, share="random")
    with pytest.raises(ConflictError, match="random sample"):
        add_gold(queue, random.item_id, KnownAnswer(rating_low=1, rating_high=2), "lead")


def test_a_reviewer_is_described_by_what_they_did(queue: str) -> None:
    for name, rating, seconds in (("ann", 2, 10.0), ("bob", 4, 30.0)):
        desk = desk_at(queue, name, policy=NO_GOLD)
        for item in desk.claim(UNIT, limit=4):
            desk.submit(item.lease_id, Rating(rating=rating, seconds=seconds))
        for item in desk.claim(PAIR, limit=2):
            desk.submit(item.lease_id, Preference(preference="first"))
    desk_at(queue, "bob").undo()
    (item,) = desk_at(queue, "ann", policy=NO_GOLD).claim(UNIT)
    desk_at(queue, "ann").flag(item.lease_id)
    desk_at(queue, "ann").skip(item.lease_id, "unclear")
    ann, bob = reviewer_reports(queue)
    assert (ann.reviewer, ann.labels, ann.skipped, ann.flagged, ann.undone, ann.held) == ("ann", 6, 1, 1, 0, 0)
    assert (bob.labels, bob.undone, bob.held) == (5, 1, 1)
    assert (ann.median_seconds, bob.median_seconds) == (10.0, 30.0)
    assert (ann.first_share, ann.preferred) == (1.0, 2)
    rated = {each.measure: each for each in ann.agreement}["rating"]
    assert (rated.subjects, rated.difference) == (4, -2.0)
    assert rated.alpha is not None
    assert rated.alpha < 0
    assert reviewer_reports(queue, "elsewhere") == []


def test_old_items_are_counted(queue: str) -> None:
    from datetime import UTC, datetime, timedelta

    found = queue_age(queue, timedelta(days=30))
    assert (found.old, found.open) == (0, len(queue_items(queue, limit=100)))
    later = queue_age(queue, timedelta(days=30), now=datetime.now(UTC) + timedelta(days=31))
    assert later.old == later.open
    assert later.oldest


@pytest.fixture
def regraft(queue: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    monkeypatch.setenv("REGRAFT_POSTGRES__DSN", queue)
    monkeypatch.setenv("REGRAFT_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("REGRAFT_REVIEW__MIN_JUDGED", "2")
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, typed: str = "") -> Any:
        done = CliRunner().invoke(app, list(arguments), input=typed, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout) if "--json" in arguments else done.output

    return run


def test_the_queue_on_the_command_line(regraft: Callable[..., Any], queue: str) -> None:
    assert regraft("queue", "fill", "--json")["added"] == 0
    assert "priority" in regraft("queue", "status")
    assert sum(each["open"] for each in regraft("queue", "status", "--json")["shares"]) == 14
    items = regraft("queue", "show", "--kind", "unit", "--theme", "tools", "--json")
    assert {each["theme"] for each in items} == {"tools"}
    item = items[0]["item_id"]
    assert regraft("queue", "gold", item, "--rating", "1-2", "--reviewer", "lead", "--json")[0]["item_id"] == item
    assert "1-2" in regraft("queue", "gold")
    assert regraft("queue", "gold", item, "--withdraw", "--reviewer", "lead", "--json") == []
    assert regraft("queue", "requeue", item, "--reviewer", "lead", "--json") == {"requeued": 1, "released": 0}
    acts = regraft("queue", "show", item[:13], "--json")["acts"]
    assert [each["act"] for each in acts] == ["withdrawn", "requeued"]
    assert "lead: requeued" in regraft("queue", "show", item[:13])
    assert "subject" in regraft("queue", "show")


def test_disputes_are_adjudicated_on_the_command_line(regraft: Callable[..., Any], queue: str) -> None:
    for name, rating in (("ann", 1), ("bob", 5)):
        desk = desk_at(queue, name, policy=NO_GOLD)
        for item in desk.claim(QueueFilter(kind="unit", theme="tools"), limit=2):
            desk.submit(item.lease_id, Rating(rating=rating, note=f"so says {name}"))
    (before,) = [each for each in regraft("queue", "agreement", "--json") if each["measure"] == "rating"]
    assert (before["contested"], before["disputed"], before["subjects"]) == (True, 2, 2)
    assert "contested" in regraft("queue", "agreement")
    told = regraft("label", "--adjudicate", "--kind", "unit", "--reviewer", "lead", typed="s\n3 overlong\nq\n")
    assert "1 by 1, 5 by 1" in told
    assert "so says ann" in told
    assert "1 adjudicated." in told
    told = regraft("label", "--adjudicate", "--kind", "unit", "--reviewer", "lead", typed="2\n")
    assert "Nothing is disputed." in told
    (after,) = [each for each in regraft("queue", "agreement", "--json") if each["measure"] == "rating"]
    assert (after["contested"], after["disputed"]) == (False, 0)
    assert {each["reviewer"] for each in regraft("queue", "reviewers", "--json")} == {"ann", "bob"}
    assert "ann" in regraft("queue", "reviewers")


def test_agreement_disputes_and_selections_in_the_api(queue: str) -> None:
    for name, rating in (("ann", 1), ("bob", 5)):
        desk = desk_at(queue, name, policy=NO_GOLD)
        for item in desk.claim(QueueFilter(kind="unit", theme="tools"), limit=2):
            desk.submit(item.lease_id, Rating(rating=rating))
    shown = {"X-Regraft-Reviewer": "lead", "Authorization": "Bearer a-token-of-sixteen-signs"}
    with TestClient(make_app(queue, access=AccessControl("a-token-of-sixteen-signs")), headers=shown) as client:
        disputes = client.get("/api/review/disputes", params={"kind": "unit"}).json()["disputes"]
        assert [each["said"] for each in disputes] == [["1", "5"], ["1", "5"]]
        assert disputes[0]["answers"][0]["role"] == "assistant"
        reply = client.post(f"/api/review/disputes/{disputes[0]['subject_id']}", json={"rating": 2})
        assert reply.status_code == 200, reply.text
        assert client.post(f"/api/review/disputes/{disputes[0]['subject_id']}", json={"rating": 2}).status_code == 404
        assert len(client.get("/api/review/disputes").json()["disputes"]) == 1
        reports = client.get("/api/review/reviewers").json()["reviewers"]
        assert {each["reviewer"]: each["labels"] for each in reports} == {"ann": 2, "bob": 2}
        assert client.get("/api/review/agreement").json() == {"themes": []}  # measured by the queue's commands
        chosen = queue_items(queue, UNIT, limit=100)[-1].subject_id
        nodes = [str(chosen), "00000000-0000-0000-0000-000000000000"]
        done = client.post("/api/review/items", json={"nodes": nodes, "reviewers": 3}).json()
        assert done == {"queued": 0, "again": 1, "unknown": 1}
        assert queue_items(queue, UNIT)[0].subject_id == chosen
        assert queue_items(queue, UNIT)[0].needed == 3
