"""A call whose past is not known yet waits, whole, and finds its place whenever that arrives; no call stops another."""

from __future__ import annotations

import json
import random
from datetime import timedelta

import pytest
from typer.testing import CliRunner

from regraft.flows.capture import quarantine
from regraft.flows.capture.ingest import SeenIds, ingest
from regraft.flows.lineage import build as lineage
from regraft.flows.lineage import reading
from regraft.infra.nats.codec import encode_exchange
from regraft.infra.postgres.pool import connect

RESPONSES = "/v1/responses"


def user(text):
    return {"role": "user", "content": text}


@pytest.fixture
def connection(truth):
    with connect(truth, autocommit=True) as opened:
        yield opened


def store(connection, *exchanges, **how):
    return ingest(connection, [encode_exchange(each) for each in exchanges], SeenIds(), **how)


def rows(connection, query):
    return connection.execute(query.encode()).fetchall()


def waiting(connection):
    found = rows(connection, "SELECT reason FROM quarantine WHERE resolved_at IS NULL ORDER BY event_id")
    return [row["reason"].split(" ")[0] for row in found]


def asked(calls, question, number, previous=None, instructions="be brief", **circumstances):
    """A call of the Responses API whose answer is ``answer NUMBER`` with the id ``resp_NUMBER``."""
    more = {} if previous is None else {"previous_response_id": f"resp_{previous}"}
    request = {"model": "m", "input": question, "instructions": instructions, **more}
    part = {"type": "output_text", "text": f"answer {number}", "annotations": []}
    item = {"type": "message", "id": f"msg_{number}", "role": "assistant", "status": "completed", "content": [part]}
    response = {"id": f"resp_{number}", "model": "m", "status": "completed", "output": [item]} | {
        "usage": {"input_tokens": 5, "output_tokens": 3}
    }
    return calls(
        request=json.dumps(request).encode(),
        response=json.dumps(response).encode(),
        circumstances={"endpoint": RESPONSES, **circumstances},
    )


def history(connection, event_id):
    row = connection.execute(
        "SELECT context_messages(context_id) AS messages FROM session_turn WHERE turn_id = %s", (event_id,)
    ).fetchone()
    return [message["content"] for message in row["messages"]]


def tree(connection):
    return sorted(
        (str(row["node_id"]), str(row["parent_node_id"]), row["depth"], row["branch_kind"])
        for row in rows(connection, "SELECT * FROM conversation_branch_nodes")
    )


# Earlier responses


def test_a_call_that_goes_on_from_a_response_has_its_whole_history(connection, calls, truth):
    first, second, third = asked(calls, "one", 1), asked(calls, "two", 2, 1), asked(calls, "three", 3, 2)
    store(connection, first)
    store(connection, second, third)
    assert history(connection, third.event_id) == ["be brief", "one", "answer 1", "two", "answer 2", "three"]
    assert len(rows(connection, "SELECT * FROM session")) == 1
    lineage.build(truth)
    nodes = rows(
        connection,
        "SELECT n.depth, p.turn_id AS parent FROM conversation_branch_nodes n"
        " JOIN conversation_branch_nodes p ON p.node_id = n.parent_node_id ORDER BY n.depth",
    )
    assert [row["parent"] for row in nodes] == [None, first.event_id, second.event_id]


def test_other_instructions_do_not_carry_over_and_the_parent_is_still_the_earlier_turn(connection, calls, truth):
    first, second = asked(calls, "one", 1), asked(calls, "two", 2, 1, instructions="be long")
    store(connection, first, second)
    assert history(connection, second.event_id) == ["be long", "one", "answer 1", "two"]
    lineage.build(truth)
    (row,) = rows(connection, "SELECT * FROM conversation_branch_nodes WHERE depth = 2")
    assert row["turn_id"] == second.event_id


def test_a_conversation_gives_one_tree_in_whatever_order_and_batches_its_calls_arrive(connection, calls, truth):
    made = [asked(calls, f"question {n}", n, previous=None if n == 0 else (n - 1) // 2) for n in range(12)]
    store(connection, *made)
    lineage.build(truth)
    expected = tree(connection)
    assert len(expected) == 13
    for seed in range(4):
        tables = "pipeline_event_inbox, session, session_turn, quarantine, response_alias, conversation_branch_nodes"
        connection.execute(f"TRUNCATE {tables}, message, context, lineage_watermark CASCADE".encode())
        shuffled = random.Random(seed).sample(made, len(made))
        size = 1 + seed
        for start in range(0, len(shuffled), size):
            store(connection, *shuffled[start : start + size])
        lineage.build(truth)
        assert waiting(connection) == []
        assert tree(connection) == expected


def test_the_worst_order_needs_no_more_batches_than_calls(connection, calls):
    made = [asked(calls, "q", 0), *(asked(calls, "q", n, n - 1) for n in range(1, 6))]
    for exchange in reversed(made[1:]):
        counts = store(connection, exchange)
        assert (counts.waiting, counts.new_turns, counts.quarantined) == (1, 0, 0)
    assert waiting(connection) == ["waiting:previous_response"] * 5
    counts = store(connection, made[0])
    assert (counts.new_turns, counts.resumed, waiting(connection)) == (6, 5, [])


def test_a_response_of_another_tenant_is_not_known(connection, calls):
    store(connection, asked(calls, "one", 1))
    assert store(connection, asked(calls, "two", 2, 1, scope="other")).waiting == 1


def test_a_call_that_waited_and_is_delivered_again_is_stored_once(connection, calls):
    first, second = asked(calls, "one", 1), asked(calls, "two", 2, 1)
    for batch in ([second], [second], [first], [second], [first]):
        store(connection, *batch)
    assert len(rows(connection, "SELECT * FROM session_turn")) == 2
    assert [row["resolved_at"] is not None for row in rows(connection, "SELECT resolved_at FROM quarantine")] == [True]


def test_a_call_that_waited_too_long_is_placed_by_its_opening(connection, calls):
    late = asked(calls, "two", 2, 1)
    store(connection, late)
    connection.execute("UPDATE quarantine SET next_try_at = now()")
    assert store(connection, calls(), patience=timedelta(hours=1)).new_turns == 1
    assert waiting(connection) == ["waiting:previous_response"]
    connection.execute("UPDATE quarantine SET next_try_at = now(), received_at = now() - interval '2 hours'")
    assert store(connection, calls(), patience=timedelta(hours=1)).new_turns == 2
    assert waiting(connection) == []
    assert history(connection, late.event_id) == ["be brief", "two"]
    evidence = connection.execute(
        "SELECT s.evidence FROM session s JOIN session_turn USING (session_id) WHERE turn_id = %s", (late.event_id,)
    ).fetchone()
    assert evidence == {"evidence": "opening"}


def test_each_try_in_vain_makes_the_next_one_later(connection, calls):
    store(connection, asked(calls, "two", 2, 1))
    pauses = []
    for _ in range(3):
        connection.execute("UPDATE quarantine SET next_try_at = now()")
        store(connection, calls())
        pauses += rows(connection, "SELECT tries, next_try_at - now() AS pause FROM quarantine")
    assert [row["tries"] for row in pauses] == [1, 2, 3]
    assert pauses[0]["pause"] < pauses[1]["pause"] < pauses[2]["pause"]


# Claimed parents


def test_a_claimed_parent_that_is_not_known_is_waited_for(connection, calls, truth):
    parent = calls([user("hi")], who={"session": "mine"})
    child = calls([user("unrelated")], who={"parent_node": str(parent.event_id)})
    assert store(connection, child).waiting == 1
    assert waiting(connection) == ["waiting:parent"]
    assert store(connection, parent).new_turns == 2
    assert len(rows(connection, "SELECT * FROM session")) == 1
    lineage.build(truth)
    (row,) = rows(connection, "SELECT * FROM conversation_branch_nodes WHERE depth = 2")
    assert (row["turn_id"], row["parent_evidence"]) == (child.event_id, "explicit_header")


def test_a_child_before_its_parent_in_one_batch_does_not_wait(connection, calls):
    parent = calls([user("hi")], who={"session": "mine"})
    child = calls([user("unrelated")], who={"parent_node": str(parent.event_id)})
    counts = store(connection, child, parent)
    assert (counts.new_turns, counts.waiting) == (2, 0)
    assert len(rows(connection, "SELECT * FROM session")) == 1


def test_a_named_session_waits_for_nobody(connection, calls):
    unknown = "00000000-0000-4000-8000-000000000001"
    assert store(connection, calls(who={"session": "mine", "parent_node": unknown})).waiting == 0
    assert store(connection, calls(who={"parent_node": "no id at all"})).waiting == 0


def test_calls_that_wait_for_one_another_wait_together_and_stop_nobody(connection, calls):
    one, two = calls([user("a")]), calls([user("b")])
    circle = [
        calls([user("a")], who={"parent_node": str(two.event_id)}, circumstances={"event_id": one.event_id}),
        calls([user("b")], who={"parent_node": str(one.event_id)}, circumstances={"event_id": two.event_id}),
    ]
    counts = store(connection, *circle, calls([user("c")]))
    assert (counts.waiting, counts.new_turns) == (2, 1)


# Trying again


def test_retry_places_what_two_writers_missed(connection, calls, truth):
    first, second, third = asked(calls, "one", 1), asked(calls, "two", 2, 1), asked(calls, "three", 3, 2)
    store(connection, third, second)
    # The answer arrives through a transaction that could not see the others wait.
    connection.execute("UPDATE quarantine SET waits_for = 'hidden'")
    store(connection, first)
    connection.execute("UPDATE quarantine SET waits_for = 'response:default:resp_1'")
    assert len(waiting(connection)) == 2
    counts = quarantine.retry(truth)
    assert (counts.tried, counts.resolved, counts.new_turns, counts.left) == (2, 2, 2, 0)
    assert history(connection, third.event_id)[-1] == "three"


def test_retry_leaves_what_still_waits_and_places_it_when_told_to(connection, calls, truth):
    store(connection, asked(calls, "two", 2, 1))
    assert quarantine.retry(truth).left == 1
    assert quarantine.retry(truth, patience=timedelta(0)) == quarantine.RetryCounts(1, 1, 1, 0)


def test_retry_of_everything_reads_again_what_could_not_be_read(connection, calls, truth):
    good = calls([user("hi")])
    store(connection, calls(request=b"{"), good)
    connection.execute("UPDATE quarantine SET event = %s", (encode_exchange(calls([user("now readable")])),))
    assert quarantine.retry(truth) == quarantine.RetryCounts(0, 0, 0, 1)
    assert quarantine.retry(truth, everything=True) == quarantine.RetryCounts(1, 1, 1, 0)
    assert len(rows(connection, "SELECT * FROM session_turn")) == 2


# One bad call


def refused(calls, **more):
    """A call that can be read, with a character that PostgreSQL's text has no room for where no one searches for
    one."""
    return calls([user("bad")], circumstances={"upstream": "a\0b"}, **more)


def test_a_call_that_postgresql_refuses_stops_no_other(connection, calls):
    made = [calls([user(str(n))]) for n in range(7)]
    made.insert(3, refused(calls))
    counts = store(connection, *made)
    assert (counts.events, counts.new_turns, counts.quarantined) == (8, 7, 1)
    (row,) = rows(connection, "SELECT event_id, waits_for FROM quarantine")
    assert row == {"event_id": made[3].event_id, "waits_for": None}


def test_a_waiting_call_that_postgresql_refuses_stops_no_later_one(connection, calls):
    parent = calls([user("hi")], who={"session": "mine"})
    store(connection, refused(calls, who={"parent_node": str(parent.event_id)}))
    assert store(connection, parent).new_turns == 1
    connection.execute("UPDATE quarantine SET next_try_at = now()")
    assert store(connection, calls([user("later")])).new_turns == 1
    (row,) = rows(connection, "SELECT waits_for, resolved_at FROM quarantine")
    assert row == {"waits_for": None, "resolved_at": None}


def test_a_call_nested_too_deeply_is_set_aside_with_a_reason(connection, calls):
    deep = json.dumps({"model": "m", "messages": [user("x")]})[:-1] + ', "x": ' + "[" * 900 + "]" * 900 + "}"
    content = '{"messages": [{"role": "user", "content": ' + '{"a":' * 900 + "1" + "}" * 900 + "}]}"
    counts = store(connection, calls(request=deep.encode()), calls(request=content.encode()), calls([user("good")]))
    assert counts.events == 3
    assert counts.new_turns + counts.quarantined == 3
    assert counts.new_turns >= 1


# The command


@pytest.fixture
def command(truth, monkeypatch, tmp_path):
    from regraft.presentation.cli.capture.quarantine import quarantine_app
    from regraft.presentation.cli.context import begin

    monkeypatch.setenv("REGRAFT_POSTGRES__DSN", truth)
    monkeypatch.chdir(tmp_path)

    def run(*words):
        begin(None)
        result = CliRunner().invoke(quarantine_app, list(words), catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    return run


def test_the_command_lists_and_tries_again(command, connection, calls):
    assert "Nothing" in command("list")
    store(connection, asked(calls, "two", 2, 1), calls(request=b"{"))
    assert "waiting:previous_response response:default:resp_1" in " ".join(command("list").split())
    assert len(json.loads(command("list", "--json"))) == 2
    (row,) = json.loads(command("list", "--waiting", "--json"))
    assert row["waits_for"] == "response:default:resp_1"
    assert json.loads(command("retry", "--json")) == {"tried": 1, "resolved": 0, "new_turns": 0, "left": 2}
    assert json.loads(command("retry", "--place", "--json"))["new_turns"] == 1
    assert "1 left" in command("retry", "--all")


def test_a_dismissed_call_stays_stored_and_is_counted_no_longer(command, connection, calls):
    store(connection, asked(calls, "two", 2, 1), calls(request=b"{"), calls(request=b"["))
    first, second = (row["event_id"] for row in json.loads(command("list", "--json")) if not row["waits_for"])
    assert json.loads(command("dismiss", first, "--because", "a probe", "--json")) == {"dismissed": 1}
    assert [row["event_id"] for row in json.loads(command("list", "--json")) if not row["waits_for"]] == [second]
    (row,) = json.loads(command("list", "--dismissed", "--json"))
    assert (row["event_id"], row["dismissed_because"]) == (first, "a probe")
    assert row["bytes"] > 0
    assert json.loads(command("dismiss", "--all", "--because", "probes", "--json")) == {"dismissed": 1}
    assert waiting(connection) == ["waiting:previous_response"]


@pytest.mark.parametrize("words", [("dismiss",), ("dismiss", "--all"), ("dismiss", "0123", "--because", "x")])
def test_a_dismissal_names_its_calls_and_its_reason(truth, monkeypatch, tmp_path, words):
    from regraft.domain.errors import RegraftError
    from regraft.presentation.cli.capture.quarantine import quarantine_app
    from regraft.presentation.cli.context import begin

    monkeypatch.setenv("REGRAFT_POSTGRES__DSN", truth)
    monkeypatch.chdir(tmp_path)
    begin(None)
    assert isinstance(CliRunner().invoke(quarantine_app, list(words)).exception, RegraftError)


def test_what_the_model_server_refused_is_no_fault_of_the_log(command, connection, calls, truth):
    refusal = json.dumps({"error": {"message": "not JSON"}}).encode()
    store(connection, calls(request=b"{", response=refusal, circumstances={"status": 400}))
    (row,) = json.loads(command("list", "--json"))
    assert row["reason"].startswith("refused: the model server answered HTTP 400; ")
    assert reading.status(truth)["quarantine"] == 0
    store(connection, calls(request=b"{"))
    assert reading.status(truth)["quarantine"] == 1
