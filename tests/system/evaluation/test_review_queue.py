"""The review queue: what is queued, leases, answers, corrections, and many reviewers at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from regraft.domain.errors import ConflictError, NotFoundError, UsageError
from regraft.domain.evaluation.human_label import Preference, Rating
from regraft.domain.evaluation.review_queue import QueueFilter
from regraft.flows.evaluation.categories import label_units
from regraft.flows.evaluation.clusters import materialise_clusters
from regraft.flows.evaluation.desk import desk_at
from regraft.flows.evaluation.desk_records import ReviewPolicy
from regraft.flows.evaluation.embeddings import materialise_embeddings
from regraft.flows.evaluation.pivots import materialise_pivots
from regraft.flows.evaluation.queue import (
    QueueSize,
    fill_queue,
    item_acts,
    queue_items,
    release_leases,
    requeue,
    resolve_item,
)
from regraft.flows.evaluation.queue_estimates import queue_status
from regraft.flows.evaluation.review import rate_unit
from regraft.flows.evaluation.trajectories import materialise_units
from regraft.infra.embedding.static import StaticEmbedder
from regraft.infra.files.taxonomies import default_taxonomy
from regraft.infra.postgres.pool import transaction
from support.small_graph import SmallGraph, Turn, every_kind, many_choices

UNIT, PAIR = QueueFilter(kind="unit"), QueueFilter(kind="pair")
NOW = datetime(2026, 2, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
ALONE = QueueSize(reviewers=1, overlap=0)


@pytest.fixture
def turns(truth: str) -> dict[str, Turn]:
    with transaction(truth) as connection:
        return every_kind(SmallGraph(connection))


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    return tmp_path / "workbench.duckdb"


@pytest.fixture
def queue(truth: str, turns: dict[str, Turn], bench: Path) -> str:
    """A queue with every path and pair, each for one reviewer."""
    fill_queue(truth, bench, ALONE, seed=1)
    return truth


def rows(dsn: str, query: str, **parameters: Any) -> list[dict[str, Any]]:
    with transaction(dsn) as connection:
        return connection.execute(query.encode(), parameters).fetchall()


def test_every_path_and_pair_that_may_be_judged_is_queued_once(truth: str, turns: dict[str, Turn], bench: Path) -> None:
    first = fill_queue(truth, bench, QueueSize(size=100), seed=1)
    again = fill_queue(truth, bench, QueueSize(size=100), seed=2)
    kinds = Counter(item.kind for item in queue_items(truth, limit=1000))
    assert first.added == first.candidates == first.open == kinds.total()
    assert again.added == 0
    assert kinds["unit"] == 9  # every leaf
    subjects = [item.subject_id for item in queue_items(truth, UNIT, limit=1000)]
    assert turns["second"].node_id in subjects
    assert turns["first"].node_id not in subjects  # it grew a child


def test_a_full_queue_takes_the_most_useful_of_each_theme_and_a_random_sample(truth: str, bench: Path) -> None:
    with transaction(truth) as connection:
        graph = SmallGraph(connection)
        every_kind(graph)
        many_choices(graph, 150)
    filled = fill_queue(truth, bench, QueueSize(size=40, random_share=0.25), kinds=["unit"], seed=3)
    items = queue_items(truth, limit=1000)
    assert {item.theme for item in items} == {"fruit", "tools", "choices"}
    assert Counter(item.share for item in items)["priority"] == 40
    sample = queue_status(truth).samples[0]
    assert sample.population == filled.candidates == 309
    assert sample.rate == pytest.approx(0.25 * 40 / 309)
    drawn = [item for item in items if item.share == "random"]
    assert all(item.place < sample.rate for item in drawn)
    wider = fill_queue(truth, bench, QueueSize(size=200, random_share=0.5), kinds=["unit"])
    wide = queue_status(truth).samples[0]
    assert wider.added > 0
    assert wide.rate > sample.rate
    kept = {item.item_id for item in queue_items(truth, share="random", limit=1000)}
    assert {item.item_id for item in drawn} < kept  # a wider sample holds the narrower one


def test_a_claim_is_blind_and_an_answer_reveals_the_models(queue: str) -> None:
    (item,) = desk_at(queue, "ann").claim(PAIR)
    assert item.kind == "pair"
    assert len(item.answers) == 2
    assert "large" not in repr(item)
    done = desk_at(queue, "ann").submit(item.lease_id, Preference(preference="first", note="clear"))
    assert len(done.revealed) == 2
    (label,) = rows(queue, "SELECT * FROM preference_labels")
    chosen = done.revealed[0].node_id
    assert label[f"node_{label['preference']}"] == chosen
    assert label["shown_first"] == label["preference"]
    assert (label["decided_by"], label["note"], label["item_id"]) == ("ann", "clear", item.item_id)
    (row,) = [each for each in queue_items(queue, PAIR, state="closed") if each.item_id == item.item_id]
    assert (row.done, row.leased, row.closed_because) == (1, 0, "complete")


def test_a_reload_shows_the_same_item_with_its_draft_and_a_prefetch_one_more(queue: str) -> None:
    desk = desk_at(queue, "ann")
    (item,) = desk.claim(UNIT)
    desk.renew(item.lease_id, {"rating": 3, "note": "so far"})
    again = desk.claim(UNIT, limit=2)
    assert again[0].lease_id == item.lease_id
    assert again[0].draft == {"rating": 3, "note": "so far"}
    assert len({each.item_id for each in again}) == 2
    assert again[0].expires_at > item.expires_at
    with pytest.raises(UsageError, match="from 1 to 10"):
        desk.claim(UNIT, limit=11)


def test_the_same_answer_again_changes_nothing_and_another_one_corrects_it(queue: str) -> None:
    desk = desk_at(queue, "ann")
    (item,) = desk.claim(UNIT)
    first = desk.submit(item.lease_id, Rating(rating=2, categories=("overlong",)))
    assert desk.submit(item.lease_id, Rating(rating=2, categories=("overlong",))).label_id == first.label_id
    second = desk.submit(item.lease_id, Rating(rating=4))
    assert second.changed
    assert not first.changed
    (current,) = rows(queue, "SELECT * FROM current_human_eval_labels")
    assert (current["label_id"], current["supersedes"], current["rating"]) == (second.label_id, first.label_id, 4)
    assert [act.act for act in item_acts(queue, item.item_id)] == ["submitted", "changed"]


def test_undo_takes_back_and_keeps_everything(queue: str) -> None:
    desk = desk_at(queue, "ann")
    (item,) = desk.claim(UNIT)
    desk.submit(item.lease_id, Rating(rating=2, note="hasty"))
    desk.submit(item.lease_id, Rating(rating=5))
    assert desk.undo().item is None  # the correction: the first answer counts again
    assert [row["rating"] for row in rows(queue, "SELECT rating FROM current_human_eval_labels")] == [2]
    undone = desk.undo()
    assert undone.item is not None
    assert undone.item.lease_id == item.lease_id
    assert undone.item.draft == {"rating": 2, "categories": [], "note": "hasty"}
    assert rows(queue, "SELECT * FROM current_human_eval_labels") == []
    assert len(rows(queue, "SELECT * FROM human_eval_labels")) == 2
    with pytest.raises(NotFoundError, match="nothing to undo"):
        desk.undo()
    desk.submit(item.lease_id, Rating(rating=1))
    assert [row["rating"] for row in rows(queue, "SELECT rating FROM current_human_eval_labels")] == [1]
    acts = [(act.act, act.undone) for act in item_acts(queue, item.item_id)]
    assert acts == [("submitted", True), ("changed", True), ("undone", False), ("undone", False), ("submitted", False)]


def test_a_skipped_item_goes_to_others_and_is_closed_when_nobody_wants_it(queue: str) -> None:
    in_order = ReviewPolicy(random_share=0, gold_share=0)
    seen = set()
    for name in ("ann", "bob", "cyd"):
        desk = desk_at(queue, name, policy=in_order)
        (item,) = desk.claim(UNIT)
        with pytest.raises(UsageError, match="A reason is one of"):
            desk.skip(item.lease_id, "boring")
        desk.skip(item.lease_id, "unclear", "what is asked?")
        seen.add(item.item_id)
        assert item.item_id not in {each.item_id for each in desk.claim(UNIT, limit=9)}
        release_leases(queue, name)
    (skipped,) = seen
    (closed,) = queue_items(queue, UNIT, state="closed")
    assert (closed.item_id, closed.closed_because, closed.skips) == (skipped, "skipped", 3)
    assert requeue(queue, [skipped], "lead") == 1
    assert queue_items(queue, UNIT, state="closed") == []


def test_an_undone_skip_is_held_again(queue: str) -> None:
    desk = desk_at(queue, "ann")
    (item,) = desk.claim(UNIT)
    desk.skip(item.lease_id, "too_long")
    undone = desk.undo()
    assert undone.act == "skipped"
    assert undone.item is not None
    assert [each.lease_id for each in desk.claim(UNIT)] == [item.lease_id]


def test_flags_are_seen_by_others_and_can_be_taken_away(queue: str) -> None:
    desk = desk_at(queue, "ann")
    (item,) = desk.claim(UNIT)
    desk.flag(item.lease_id, "look at the tool")
    desk.flag(item.lease_id)
    assert [each.flags for each in queue_items(queue, state="flagged")] == [1]
    assert desk.claim(UNIT)[0].flagged
    desk.flag(item.lease_id, on=False)
    assert queue_items(queue, state="flagged") == []
    assert [act.act for act in item_acts(queue, item.item_id)] == ["flagged", "unflagged"]


def test_a_lease_that_ran_out_returns_its_item(queue: str) -> None:
    ann, bob = desk_at(queue, "ann"), desk_at(queue, "bob")
    held = ann.claim(UNIT, limit=9, now=NOW)
    assert len(held) == 9
    assert bob.claim(UNIT, now=NOW) == []  # everything is held
    (item,) = bob.claim(UNIT, now=LATER)
    assert item.item_id in {each.item_id for each in held}
    ended = Counter(row["ended"] for row in rows(queue, "SELECT ended FROM review_leases"))
    assert ended == {"expired": 9, None: 1}
    lease = next(each for each in held if each.item_id == item.item_id)
    ann.submit(lease.lease_id, Rating(rating=3))  # late, but work that was done is not thrown away
    bob.submit(item.lease_id, Rating(rating=4))
    assert len(rows(queue, "SELECT * FROM current_human_eval_labels WHERE unit_id IS NOT NULL")) == 2


def test_an_answer_to_a_lease_that_ran_out_is_refused_when_the_item_was_claimed_again(queue: str) -> None:
    desk = desk_at(queue, "ann")
    first = {each.item_id: each.lease_id for each in desk.claim(UNIT, limit=9, now=NOW)}
    (again,) = desk.claim(UNIT, now=LATER)
    assert again.lease_id != first[again.item_id]
    with pytest.raises(ConflictError, match="given the item again"):
        desk.submit(first[again.item_id], Rating(rating=3))
    with pytest.raises(ConflictError, match="not held any more"):
        desk.renew(first[again.item_id])


def test_a_lease_of_somebody_else_is_not_there(queue: str) -> None:
    (item,) = desk_at(queue, "ann").claim(UNIT)
    other = desk_at(queue, "bob")
    for act in (
        lambda: other.submit(item.lease_id, Rating(rating=3)),
        lambda: other.skip(item.lease_id, "other"),
        lambda: other.renew(item.lease_id),
        lambda: desk_at(queue, "ann", scope="elsewhere").renew(item.lease_id),
    ):
        with pytest.raises(NotFoundError, match="You have no lease"):
            act()
    with pytest.raises(UsageError, match="A path is rated"):
        desk_at(queue, "ann").submit(item.lease_id, Preference(preference="first"))


def test_filters_narrow_what_is_claimed(queue: str, turns: dict[str, Turn]) -> None:
    desk = desk_at(queue, "ann")
    assert {item.theme for item in desk.claim(QueueFilter(theme="tools"), limit=10)} == {"tools"}
    session = rows(queue, "SELECT session_id FROM session_turn WHERE turn_id = %(t)s", t=turns["first"].turn_id)
    found = desk.claim(QueueFilter(session_id=session[0]["session_id"]), limit=3)
    assert {item.theme for item in found} == {"fruit"}
    assert desk.claim(QueueFilter(cluster_id="none")) == []
    assert desk_at(queue, "bob", scope="elsewhere").claim() == []


def test_a_rating_by_id_counts_in_the_queue(queue: str, turns: dict[str, Turn]) -> None:
    rate_unit(queue, turns["retry"].node_id, 4, "ann")
    item = resolve_item(queue, str(turns["retry"].node_id)[:12])
    closed = {each.item_id: each.closed_because for each in queue_items(queue, state="closed")}
    assert closed == {item: "complete"}
    assert requeue(queue, [item], "lead", more=1) == 1
    claimed = {each.item_id for each in desk_at(queue, "ann").claim(UNIT, limit=10)}
    assert item not in claimed  # ann judged it
    release_leases(queue, None)
    assert item in {each.item_id for each in desk_at(queue, "bob").claim(UNIT, limit=10)}


def test_items_of_paths_that_are_gone_are_closed_and_return_with_them(
    truth: str, turns: dict[str, Turn], bench: Path
) -> None:
    fill_queue(truth, bench, ALONE, seed=1)
    with transaction(truth) as connection:
        graph = SmallGraph(connection, build=2, clock=500)
        session = connection.execute(
            b"SELECT session_id FROM session_turn WHERE turn_id = %s", (turns["second"].turn_id,)
        ).fetchone()
        assert session
        second = turns["second"]
        assert second.answer
        more = [*second.history, second.answer, {"role": "user", "content": "And a blue one?"}]
        graph.turn(session["session_id"], more, {"role": "assistant", "content": "A plum."}, parent=second)
    filled = fill_queue(truth, bench, ALONE)
    assert filled.gone == 1
    gone = [item for item in queue_items(truth, state="closed") if item.closed_because == "gone"]
    assert [item.subject_id for item in gone] == [turns["second"].node_id]


def test_estimates_come_from_the_random_sample_alone(truth: str, bench: Path) -> None:
    with transaction(truth) as connection:
        many_choices(SmallGraph(connection), 100)
    fill_queue(truth, bench, QueueSize(size=60, random_share=1.0, overlap=0), kinds=["unit"], seed=5)
    desk = desk_at(truth, "ann", policy=ReviewPolicy(gold_share=0))
    cut = 0
    for item in iter(lambda: next(iter(desk.claim(UNIT)), None), None):
        overlong = "maybe" in item.answers[0]
        share = queue_items(truth, UNIT, state="leased")[0].share
        cut += overlong and share == "random"
        desk.submit(item.lease_id, Rating(rating=1 if overlong else 5, categories=("overlong",) if overlong else ()))
    status = queue_status(truth)
    random = next(row for row in status.shares if row.share == "random")
    whole = {each.what: each.estimate for each in status.estimates if each.theme is None}
    assert whole["overlong"].mean == pytest.approx(cut / random.complete)
    assert whole["overlong"].judged == random.complete
    assert whole["overlong"].low <= 0.5 <= whole["overlong"].high  # half of the 200 paths are
    assert whole["overlong"].population == pytest.approx(random.items / status.samples[0].rate)


def test_no_item_is_lost_or_given_twice_to_one_of_eight_reviewers(truth: str, bench: Path) -> None:
    with transaction(truth) as connection:
        many_choices(SmallGraph(connection), 40)
    fill_queue(truth, bench, QueueSize(size=1000, reviewers=3, overlap=0.5), kinds=["unit"], seed=6)
    needed = {item.item_id: item.needed for item in queue_items(truth, UNIT, limit=1000)}
    names = [f"reviewer {number}" for number in range(8)]

    def review(name: str) -> list[UUID]:
        desk, got = desk_at(truth, name), []
        while found := desk.claim(UNIT, limit=2):
            for item in found:
                desk.submit(item.lease_id, Rating(rating=3))
                got.append(item.item_id)
        return got

    with ThreadPoolExecutor(len(names)) as pool:
        got = dict(zip(names, pool.map(review, names), strict=True))
    assert all(len(set(items)) == len(items) for items in got.values())
    times = Counter(item for items in got.values() for item in items)
    assert times == needed
    assert queue_items(truth, UNIT) == []


def test_two_pages_of_one_reviewer_are_not_given_the_same_item(truth: str, bench: Path) -> None:
    with transaction(truth) as connection:
        many_choices(SmallGraph(connection), 20)
    fill_queue(truth, bench, QueueSize(reviewers=5), kinds=["unit"], seed=6)

    def page(_: int) -> int:
        judged = 0
        desk = desk_at(truth, "ann")
        while found := desk.claim(UNIT):
            with suppress(ConflictError, NotFoundError):
                judged += not desk.submit(found[0].lease_id, Rating(rating=3)).changed
        return judged

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(page, range(4)))
    twice = rows(truth, "SELECT FROM human_eval_labels GROUP BY unit_id HAVING count(*) > 1")
    assert twice == []
    assert len(rows(truth, "SELECT FROM human_eval_labels")) == 40


KILLED = """
import sys, time
from datetime import UTC, datetime, timedelta
from regraft.flows.evaluation.desk import desk_at
from regraft.flows.evaluation.desk_records import ReviewPolicy
items = desk_at(sys.argv[1], "ann", policy=ReviewPolicy(lease=timedelta(minutes=5))).claim(limit=10)
print(len(items), flush=True)
time.sleep(600)
"""


def test_the_leases_of_a_killed_process_return(queue: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, queue], stdout=subprocess.PIPE, env={**os.environ}, text=True
    ) as process:
        assert process.stdout
        held = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert held == 10
    bob = desk_at(queue, "bob")
    before = bob.progress().waiting
    assert before == len(queue_items(queue, limit=1000)) - held
    later = datetime.now(UTC) + timedelta(minutes=6)
    bob.claim(now=later)
    assert bob.progress().waiting == before + held - 1


def test_strata_have_clusters_and_categories_and_pivots_come_first(
    truth: str, turns: dict[str, Turn], bench: Path
) -> None:
    with transaction(truth) as connection:
        graph = SmallGraph(connection, clock=500)
        many_choices(graph, 20)
        for turn, value in (("answered", 1.0), ("worse", 0.0)):
            graph.put(
                "feedback",
                feedback_id=uuid4(),
                scope="test",
                name="reward",
                value=value,
                source="tests",
                given_at=NOW,
                turn_id=turns[turn].turn_id,
            )
    materialise_units(truth, bench)
    assert materialise_pivots(truth, bench).pivots
    materialise_embeddings(bench, StaticEmbedder())
    assert materialise_clusters(truth, bench, StaticEmbedder().model).clusters
    taxonomy = default_taxonomy()
    label_units(truth, bench, taxonomy)
    fill_queue(truth, bench, QueueSize(random_share=0), seed=1)
    first = queue_items(truth, PAIR)[0]
    assert {first.session_id} == {
        row["session_id"]
        for row in rows(truth, "SELECT session_id FROM session_turn WHERE turn_id = %(t)s", t=turns["worse"].turn_id)
    }
    units = queue_items(truth, UNIT, limit=100)
    assert {item.subject_id for item in units[:2]} == {turns["answered"].node_id, turns["worse"].node_id}
    assert units[1].priority > 100 > units[2].priority
    assert {item.category for item in units} - {None} <= set(taxonomy.names)
    assert {item.category for item in units} - {None}
    assert any(item.cluster_id for item in units)
    cluster = next(item.cluster_id for item in units if item.cluster_id)
    found = desk_at(truth, "ann").claim(QueueFilter(kind="unit", cluster_id=cluster[:8]), limit=10)
    assert found
    assert {item.cluster_id for item in found} == {cluster}
