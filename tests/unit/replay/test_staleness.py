"""What a change makes stale: the result and its descendants, and nothing else, in an executable order."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from regraft.domain.replay.staleness import (
    AFTER,
    CONDITIONS,
    FOLLOW,
    KEEP,
    MODEL,
    REPLAY,
    RULE,
    RUNS,
    TASKIFICATIONS,
    TASKIFY,
    Artifact,
    ModelSnapshot,
    current,
    model_changes,
    rule_changes,
    stale,
    steps,
)

START = datetime(2026, 1, 1, tzinfo=UTC)
OLD, NEW = ("main", "m", "m@one"), ("main", "m", "m@two")


def at(seconds):
    return START + timedelta(seconds=seconds)


def snapshot(name, first, last, *, pinned_by="fingerprint", model="m", backend="main"):
    return ModelSnapshot(
        backend=backend,
        model=model,
        model_snapshot_id=name,
        pinned_by=pinned_by,
        first_seen=at(first),
        last_seen=at(last),
        runs=1,
    )


def run(number, parent=0, depth=1, *, made_with=NEW, replay=False, ours=None, node=None, made_by=None, when=None):
    """A run with an id, which gave a node of the same number unless another is said."""
    return Artifact(
        id=UUID(int=1000 + number),
        stage=RUNS,
        node_id=UUID(int=node or number),
        parent_node_id=UUID(int=parent) if parent else None,
        depth=depth,
        made_with=made_with,
        made_at=at(number if when is None else when),
        made_by=made_by,
        replay=replay,
        ours=replay if ours is None else ours,
    )


def plan(number, version="default@1-a", *, node=None, parent=0, depth=1):
    return Artifact(
        id=UUID(int=5000 + number),
        stage=TASKIFICATIONS,
        node_id=UUID(int=node) if node else None,
        parent_node_id=UUID(int=parent) if parent else None,
        depth=depth,
        made_with=version,
        made_at=at(number),
        ours=True,
    )


MODELS = model_changes([snapshot("m@one", 0, 1), snapshot("m@two", 2, 3)])
RULES = rule_changes(["default@1-a"], ["default@1-b"])


def told(found):
    return {made_id.int: each.cause for made_id, each in found.items()}


# What is current


def test_a_snapshot_that_was_not_seen_since_another_came_is_replaced_by_it():
    one, two = snapshot("m@one", 0, 10), snapshot("m@two", 11, 20)
    assert current([one, two]) == {one.key: two.key, two.key: two.key}


def test_snapshots_that_are_served_side_by_side_are_both_current():
    one, two = snapshot("m@one", 0, 15), snapshot("m@two", 11, 20)
    assert model_changes([one, two]) == {}


def test_models_and_servers_do_not_replace_one_another():
    assert model_changes([snapshot("a", 0, 1, model="a"), snapshot("b", 5, 6, model="b")]) == {}
    assert model_changes([snapshot("m@1", 0, 1), snapshot("m@2", 5, 6, backend="other")]) == {}


def test_a_name_alone_replaces_nothing_and_is_not_replaced():
    bare = snapshot("m", 5, 30, pinned_by="name")
    early = snapshot("m", 0, 1, pinned_by="name")
    assert model_changes([snapshot("m@one", 2, 3), bare]) == {}
    assert model_changes([snapshot("m@one", 2, 3), early]) == {}


def test_of_many_snapshots_all_old_ones_lead_to_the_one_seen_last():
    changes = model_changes([snapshot("m@one", 0, 1), snapshot("m@two", 2, 3), snapshot("m@three", 4, 5)])
    assert {was[2]: change.now for was, change in changes.items()} == {"m@one": "m@three", "m@two": "m@three"}


def test_another_version_of_a_rule_replaces_the_old_one_and_a_rule_that_is_gone_replaces_none():
    changes = rule_changes(["default@1-a", "default@1-b", "mine@1-x"], ["default@1-b"])
    assert {was: change.now for was, change in changes.items()} == {"default@1-a": "default@1-b"}


# The three rules


def test_a_new_rule_version_makes_its_plans_and_all_after_them_stale():
    facts = [
        plan(1, node=10),
        plan(2, "default@1-b", node=11),
        run(10),
        run(20, made_by=UUID(int=5001), ours=True),
        run(21, parent=20, depth=2),
        run(22, made_by=UUID(int=5002), ours=True),
    ]
    found = stale(facts, RULES, {}, ())
    assert told(found) == {5001: RULE, 1020: AFTER, 1021: AFTER}
    assert [(step.what, step.stale.made.id.int) for step in steps(found)] == [
        (TASKIFY, 5001),
        (FOLLOW, 1020),
        (KEEP, 1021),
    ]
    assert all(step.after == {UUID(int=5001)} for step in steps(found)[1:])


def test_a_new_model_snapshot_makes_replays_of_the_old_one_and_all_after_them_stale():
    facts = [
        run(1, made_with=OLD),
        run(2, made_with=OLD, replay=True),
        run(3, parent=2, depth=2, made_with=NEW, replay=True),
        run(4, parent=2, depth=2, made_with=NEW),
        run(5, made_with=NEW, replay=True),
    ]
    found = stale(facts, MODELS, {}, ())
    assert told(found) == {1002: MODEL, 1003: AFTER, 1004: AFTER}
    assert [(step.what, step.stale.made.id.int) for step in steps(found)] == [
        (REPLAY, 1002),
        (FOLLOW, 1003),
        (KEEP, 1004),
    ]


def test_what_a_client_was_told_by_an_old_snapshot_is_not_stale():
    assert stale([run(1, made_with=OLD), run(2, parent=1, depth=2, made_with=OLD)], MODELS, {}, ()) == {}


def test_changed_conditions_of_a_node_make_its_subtree_stale_and_nothing_else():
    facts = [
        run(1),
        run(2, parent=1, depth=2, replay=True),
        run(3, parent=2, depth=3),
        run(4, parent=1, depth=2),
        run(5),
    ]
    found = stale(facts, {}, {UUID(int=2): (at(60), "the tool lied")}, ())
    assert told(found) == {1002: CONDITIONS, 1003: AFTER}
    assert found[UUID(int=1002)].reason == "the tool lied"


def test_a_run_that_is_younger_than_the_change_of_its_node_holds_the_place():
    facts = [run(1, replay=True, when=0), run(2, node=1, replay=True, when=90), run(3, parent=1, depth=2)]
    assert told(stale(facts, {}, {UUID(int=1): (at(60), "x")}, ())) == {1001: CONDITIONS}


def test_a_place_that_an_original_gave_too_is_not_lost_with_a_stale_replay():
    facts = [run(1, made_with=OLD), run(2, node=1, made_with=OLD, replay=True), run(3, parent=1, depth=2)]
    assert told(stale(facts, MODELS, {}, ())) == {1002: MODEL}


def test_what_grew_from_a_superseded_run_is_stale_and_the_run_itself_is_not():
    facts = [run(1, made_with=OLD, replay=True), run(2, parent=1, depth=2), run(3, made_with=NEW, replay=True)]
    assert told(stale(facts, MODELS, {}, {UUID(int=1001)})) == {1002: AFTER}


def test_what_carries_out_a_superseded_plan_is_stale():
    facts = [plan(1), run(2, made_by=UUID(int=5001), ours=True)]
    assert told(stale(facts, {}, {}, {UUID(int=5001)})) == {1002: AFTER}


def test_a_plan_for_a_place_below_a_lost_one_is_stale_with_all_that_it_planned():
    facts = [
        run(1, made_with=OLD, replay=True),
        run(2, parent=1, depth=2),
        plan(1, "default@1-b", node=2, parent=1, depth=2),
        run(30, made_by=UUID(int=5001), ours=True),
    ]
    found = stale(facts, {**MODELS, **RULES}, {}, ())
    assert told(found) == {1001: MODEL, 1002: AFTER, 5001: AFTER, 1030: AFTER}
    assert found[UUID(int=1030)].roots == {UUID(int=1001)}


# Whatever the facts are


@st.composite
def forests(draw):
    """Runs in a forest, several to a place, with plans that some of them carry out; and what has changed."""
    size = draw(st.integers(1, 25))
    depth = {0: 0}
    parents = {}
    for number in range(1, size + 1):
        parents[number] = draw(st.sampled_from(sorted(depth)))
        depth[number] = depth[parents[number]] + 1
    plans = [
        plan(number, draw(st.sampled_from(["default@1-a", "default@1-b"])), node=place, parent=parents[place])
        for number, place in enumerate(draw(st.lists(st.sampled_from(sorted(parents)), max_size=4)))
    ]
    facts = [replace(each, depth=depth[each.node_id.int]) for each in plans]
    for number, parent in parents.items():
        for extra in range(draw(st.integers(1, 2))):
            replay = draw(st.booleans())
            made = run(
                number + 100 * extra,
                parent,
                depth[number],
                node=number,
                made_with=draw(st.sampled_from([OLD, NEW])),
                replay=replay,
                made_by=draw(st.sampled_from([None, *(each.id for each in plans)])) if not replay else None,
            )
            facts.append(made)
    changed = draw(st.lists(st.sampled_from(sorted(parents)), max_size=2))
    gone = draw(st.sets(st.sampled_from([each.id for each in facts]), max_size=3))
    return facts, {UUID(int=node): (at(10_000), "changed") for node in changed}, gone


CHANGES = {**MODELS, **RULES}


@given(forests())
def test_only_what_changed_and_what_came_after_it_is_stale(forest):
    facts, conditions, gone = forest
    by_id = {each.id: each for each in facts}
    found = stale(facts, CHANGES, conditions, gone)
    assert not found.keys() & gone
    for made_id, each in found.items():
        assert each.roots <= by_id.keys()
        for root in each.roots - {made_id}:
            cause = found[root].cause if root in found else None
            assert root in gone or cause in (RULE, MODEL, CONDITIONS)
        own = made_id in each.roots
        assert own == (each.cause != AFTER)


@given(forests())
def test_all_below_a_lost_place_is_stale_and_a_place_with_a_run_that_holds_is_not_lost(forest):
    facts, conditions, gone = forest
    found = stale(facts, CHANGES, conditions, gone)
    holds = {each.node_id for each in facts if each.stage == RUNS and each.id not in found and each.id not in gone}
    places = {each.node_id for each in facts if each.stage == RUNS}
    for each in facts:
        if each.id in gone or each.parent_node_id is None:
            continue
        if each.parent_node_id in places - holds:
            assert each.id in found
        elif each.stage == RUNS and each.made_by is None and each.id in found:
            assert found[each.id].cause in (MODEL, CONDITIONS)


@given(forests(), st.randoms())
def test_the_order_of_the_facts_does_not_matter(forest, random):
    facts, conditions, gone = forest
    shuffled = list(facts)
    random.shuffle(shuffled)
    assert stale(facts, CHANGES, conditions, gone) == stale(shuffled, CHANGES, conditions, gone)
    assert steps(stale(facts, CHANGES, conditions, gone)) == steps(stale(shuffled, CHANGES, conditions, gone))


@given(forests())
def test_steps_name_each_stale_thing_once_and_no_step_is_before_one_that_it_is_after(forest):
    facts, conditions, gone = forest
    found = stale(facts, CHANGES, conditions, gone)
    ordered = steps(found)
    assert sorted(step.stale.made.id for step in ordered) == sorted(found)
    seen = set(gone)
    for step in ordered:
        assert step.after <= seen | {step.stale.made.id}
        seen.add(step.stale.made.id)


@given(forests())
def test_once_all_that_is_stale_and_ours_was_superseded_only_what_clients_were_told_is_left(forest):
    facts, conditions, gone = forest
    found = stale(facts, CHANGES, conditions, gone)
    done = {step.stale.made.id for step in steps(found) if step.what != KEEP}
    assert {step.what for step in steps(stale(facts, CHANGES, conditions, gone | done))} <= {KEEP}


@given(forests())
def test_when_nothing_changed_nothing_is_stale(forest):
    facts, _, _ = forest
    assert stale(facts, {}, {}, ()) == {}
