"""Calls of every dialect in the log: one conversation whatever it came by, each operation one turn, nothing doubled."""

from __future__ import annotations

import json
from uuid import UUID

import pytest

from regraft.flows.capture.ingest import SeenIds, ingest
from regraft.flows.lineage import build as lineage
from regraft.infra.nats.codec import encode_exchange
from regraft.infra.postgres.pool import connect

OPERATION = UUID(int=99)


@pytest.fixture
def connection(truth):
    with connect(truth, autocommit=True) as opened:
        yield opened


def store(connection, *exchanges):
    return ingest(connection, [encode_exchange(each) for each in exchanges], SeenIds())


def one(connection, query):
    return connection.execute(query.encode()).fetchone()


@pytest.fixture
def call(calls):
    def make(endpoint, request, response, **circumstances):
        return calls(
            request=json.dumps({"model": "m", **request}).encode(),
            response=json.dumps({"model": "m", **response}).encode(),
            circumstances={"endpoint": endpoint, **circumstances},
        )

    return make


def chat(call, *messages):
    answer = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "4"}, "finish_reason": "stop"}]}
    said = [{"role": "system", "content": "be brief"}]
    said += [{"role": role, "content": text} for role, text in messages]
    return call("/v1/chat/completions", {"messages": said}, answer)


def anthropic(call, *messages):
    answer = {"content": [{"type": "text", "text": "4"}], "stop_reason": "end_turn", "usage": {"input_tokens": 5}}
    said = [{"role": role, "content": [{"type": "text", "text": text}]} for role, text in messages]
    return call("/v1/messages", {"messages": said, "system": "be brief", "max_tokens": 9}, answer)


def responses(call, *messages):
    part = {"type": "output_text", "text": "4", "annotations": []}
    answer = {"id": "resp", "output": [{"type": "message", "id": "i", "role": "assistant", "content": [part]}]}
    said = [{"role": role, "content": text} for role, text in messages]
    return call("/v1/responses", {"input": said, "instructions": "be brief"}, answer)


@pytest.mark.parametrize("first", [chat, anthropic, responses])
@pytest.mark.parametrize("second", [chat, anthropic, responses])
def test_a_conversation_goes_on_in_any_dialect(connection, truth, call, first, second):
    opening = first(call, ("user", "2+2"))
    later = second(call, ("user", "2+2"), ("assistant", "4"), ("user", "and 3+3?"))
    store(connection, later, opening)
    assert one(connection, "SELECT count(*) AS n FROM session") == {"n": 1}
    lineage.build(truth)
    row = one(
        connection,
        "SELECT c.turn_id AS child, p.turn_id AS parent, c.parent_evidence FROM conversation_branch_nodes c"
        " JOIN conversation_branch_nodes p ON p.node_id = c.parent_node_id WHERE c.depth = 2",
    )
    assert row == {"child": later.event_id, "parent": opening.event_id, "parent_evidence": "prefix"}


def test_embeddings_are_in_the_log_with_their_usage_and_no_turn(connection, call, truth):
    usage = {"prompt_tokens": 2, "total_tokens": 2}
    store(connection, call("/v1/embeddings", {"input": ["a", "b"]}, {"data": [{"embedding": [0.5]}], "usage": usage}))
    row = one(connection, "SELECT endpoint, context_id, usage, answer_rest FROM pipeline_event_inbox")
    assert (row["endpoint"], row["context_id"], row["usage"]) == ("/v1/embeddings", None, usage)
    assert row["answer_rest"] == {"vectors": 1, "dimensions": 1, "choices": []}
    assert one(connection, "SELECT count(*) AS n FROM session_turn") == {"n": 0}
    assert one(connection, "SELECT count(*) AS n FROM session") == {"n": 0}
    assert lineage.build(truth).turns == 0


def test_several_prompts_in_one_call_are_in_the_log_and_no_alternatives_to_one_another(connection, call):
    choices = [{"index": n, "text": str(n), "finish_reason": "stop"} for n in range(2)]
    store(connection, call("/v1/completions", {"prompt": ["a", "b"]}, {"choices": choices}))
    assert one(connection, "SELECT count(*) AS n FROM session_turn") == {"n": 0}
    store(connection, call("/v1/completions", {"prompt": "a", "n": 2}, {"choices": choices}))
    assert one(connection, "SELECT count(*) AS n FROM session_turn") == {"n": 2}


def attempt(calls, number, *, final, status=200):
    about = {"operation_id": OPERATION, "attempt": number, "final": final, "traceparent": "00-a-b-01"}
    if status >= 400:
        return calls(response=b'{"error": {"message": "busy"}}', circumstances={"status": status, **about})
    return calls(circumstances={**about, "asked_model": "alias"})


def test_attempts_of_one_operation_are_one_turn(connection, calls):
    made = [attempt(calls, 1, final=False, status=429), attempt(calls, 2, final=False, status=503)]
    made.append(attempt(calls, 3, final=True))
    counts = store(connection, *reversed(made))
    assert (counts.events, counts.new_turns) == (3, 1)
    rows = connection.execute(
        "SELECT attempt, final, http_status, traceparent, asked_model FROM pipeline_event_inbox"
        " WHERE operation_id = %s ORDER BY attempt",
        (OPERATION,),
    ).fetchall()
    assert [(row["attempt"], row["final"], row["http_status"], row["asked_model"]) for row in rows] == [
        (1, False, 429, ""),
        (2, False, 503, ""),
        (3, True, 200, "alias"),
    ]
    assert {row["traceparent"] for row in rows} == {"00-a-b-01"}
    assert one(connection, "SELECT event_id FROM session_turn") == {"event_id": made[2].event_id}


def test_an_operation_whose_last_attempt_failed_is_a_turn_without_an_answer(connection, calls):
    store(connection, attempt(calls, 1, final=False, status=500), attempt(calls, 2, final=True, status=500))
    row = one(connection, "SELECT node_status, answer_id FROM session_turn")
    assert row == {"node_status": "error", "answer_id": None}


def test_calls_of_one_conversation_of_the_servers_are_one_session(connection, call):
    output = {"output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "x"}]}]}
    for conversation in ("conv_1", {"id": "conv_1"}):
        asked = {"input": "hi", "conversation": conversation}
        store(connection, call("/v1/responses", asked, {"id": f"r{conversation}", **output}))
    assert one(connection, "SELECT external_id, evidence FROM session") == {
        "external_id": "conv_1",
        "evidence": "explicit_header",
    }


def test_an_endpoint_that_nobody_reads_is_set_aside_by_name(connection, call):
    store(connection, call("/v1/audio/speech", {}, {}))
    assert one(connection, "SELECT reason FROM quarantine") == {"reason": "no dialect is known for /v1/audio/speech"}
