"""Rewards and ratings find their turn or session, whichever came first, and never another tenant's."""

from __future__ import annotations

import json
from uuid import UUID

import pytest

from regraft.flows.capture.ingest import SeenIds, ingest
from regraft.infra.nats.codec import encode_exchange
from regraft.infra.postgres.pool import connect


@pytest.fixture
def connection(truth):
    with connect(truth, autocommit=True) as opened:
        yield opened


def store(connection, *exchanges):
    return ingest(connection, [encode_exchange(each) for each in exchanges], SeenIds())


@pytest.fixture
def judged(calls):
    def make(document, **circumstances):
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        return calls(request=body, response=b"{}", circumstances={"endpoint": "/v1/feedback", **circumstances})

    return make


def outcomes(connection, view="turn_outcome"):
    target = view.replace("outcome", "id")
    found = connection.execute(f"SELECT * FROM {view}".encode()).fetchall()
    return {row[target]: (row["name"], row["reward"]) for row in found}


@pytest.mark.parametrize("first", ["call", "feedback"])
def test_a_reward_finds_its_turn_whichever_comes_first(connection, calls, judged, first):
    call = calls()
    said = judged({"turn_id": str(call.event_id), "reward": 0.25, "comment": "so \0so", "source": "grader"})
    for each in (call, said) if first == "call" else (said, call):
        store(connection, each)
    assert outcomes(connection) == {call.event_id: ("reward", 0.25)}
    (row,) = connection.execute("SELECT * FROM feedback").fetchall()
    assert (row["comment"], row["source"]) == ("so \ufffdso", "grader")
    assert connection.execute("SELECT count(*) AS n FROM pipeline_event_inbox").fetchone() == {"n": 1}


def test_a_node_is_as_good_a_target_as_its_turn(connection, calls, judged):
    call = calls()
    store(connection, call)
    node = connection.execute("SELECT node_id FROM session_turn").fetchone()["node_id"]
    store(connection, judged({"turn_id": str(node), "reward": 1}))
    assert outcomes(connection) == {call.event_id: ("reward", 1.0)}


def test_the_latest_reward_counts_and_wins_over_a_rating(connection, calls, judged):
    call = calls()
    target = {"turn_id": str(call.event_id)}
    said = [judged({**target, "reward": 0.5}), judged({**target, "reward": 0.75}), judged({**target, "rating": 5})]
    said.append(judged({**target, "value": 9, "name": "seconds"}))
    store(connection, call, *reversed(said))
    assert outcomes(connection) == {call.event_id: ("reward", 0.75)}
    assert connection.execute("SELECT count(*) AS n FROM feedback").fetchone() == {"n": 4}


def test_a_rating_counts_where_there_is_no_reward(connection, calls, judged):
    call = calls()
    store(connection, call, judged({"turn_id": str(call.event_id), "rating": 4}))
    assert outcomes(connection) == {call.event_id: ("rating", 4.0)}


@pytest.mark.parametrize("name", ["mine", "00000000-0000-4000-8000-000000000009"])
def test_a_session_is_found_by_its_name(connection, calls, judged, name):
    store(connection, judged({"session": name, "reward": 1}), calls(who={"session": name}))
    session = connection.execute("SELECT session_id FROM session").fetchone()["session_id"]
    assert outcomes(connection, "session_outcome") == {session: ("reward", 1.0)}
    assert outcomes(connection) == {}


@pytest.mark.parametrize("prefix", ["", "regraft:"])
def test_a_session_is_found_by_our_own_id(connection, calls, judged, prefix):
    store(connection, calls())
    session = connection.execute("SELECT session_id FROM session").fetchone()["session_id"]
    store(connection, judged({"session": f"{prefix}{session}", "reward": 1}))
    assert outcomes(connection, "session_outcome") == {session: ("reward", 1.0)}


def test_another_tenant_judges_nothing_of_mine(connection, calls, judged):
    call = calls(who={"session": "mine"})
    strange = {"scope": "other"}
    store(connection, call, judged({"turn_id": str(call.event_id), "reward": 0}, **strange))
    session = connection.execute("SELECT session_id FROM session").fetchone()["session_id"]
    store(connection, judged({"session": "mine", "reward": 0}, **strange))
    store(connection, judged({"session": str(session), "reward": 0}, **strange))
    assert (outcomes(connection), outcomes(connection, "session_outcome")) == ({}, {})
    assert connection.execute("SELECT count(*) AS n FROM feedback").fetchone() == {"n": 3}


def test_feedback_delivered_twice_is_stored_once(connection, judged):
    said = judged({"turn_id": str(UUID(int=1)), "reward": 1})
    store(connection, said, said)
    store(connection, said)
    assert connection.execute("SELECT count(*) AS n FROM feedback").fetchone() == {"n": 1}


def test_feedback_that_says_nothing_is_set_aside_with_a_reason_and_stops_nothing(connection, calls, judged):
    counts = store(connection, judged(b"{"), judged({"reward": 1}), judged({"session": "s"}), calls())
    assert (counts.quarantined, counts.new_turns) == (3, 1)
    reasons = connection.execute("SELECT reason FROM quarantine ORDER BY reason").fetchall()
    assert [row["reason"].split(":")[0] for row in reasons] == [
        "the feedback holds no finite reward, rating or value",
        "the feedback names neither a turn_id nor a session",
        "the request is not JSON",
    ]
