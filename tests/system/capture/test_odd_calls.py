"""One odd call never stops the others: each of these once brought ingest or the graph to a halt."""

from __future__ import annotations

import json

import pytest

from regraft.domain.capture.exchange import Exchange
from regraft.flows.capture.ingest import SeenIds, ingest
from regraft.flows.lineage import build as lineage
from regraft.flows.lineage import reading
from regraft.infra.nats.codec import encode_exchange
from regraft.infra.postgres.pool import connect, transaction

USER = {"role": "user", "content": "hi"}


def store(dsn: str, *exchanges: Exchange) -> lineage.BuildCounts:
    with connect(dsn, autocommit=True) as connection:
        counts = ingest(connection, [encode_exchange(exchange) for exchange in exchanges], SeenIds())
    assert counts.quarantined == 0
    return lineage.build(dsn)


def one(dsn: str, sql: str):
    with transaction(dsn) as connection:
        row = connection.execute(sql.encode()).fetchone()
    return next(iter(row.values()))


def test_the_same_call_twice_in_one_batch_is_stored_once(truth, calls):
    call = calls([USER])
    assert store(truth, call, call).turns == 1
    assert one(truth, "SELECT count(*) FROM pipeline_event_inbox") == 1


def test_an_answer_whose_pieces_belong_to_nobody_is_ambiguous_and_kept_as_it_came(truth, calls):
    stray = {"index": 3, "function": {"arguments": '{"x":1}'}}
    chunks = [
        {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f"}}]}}]},
        {"choices": [{"index": 0, "delta": {"tool_calls": [stray]}, "finish_reason": "tool_calls"}]},
    ]
    body = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
    assert store(truth, calls([USER], response=body.encode())).turns == 1
    assert one(truth, "SELECT node_status FROM conversation_branch_nodes WHERE depth = 1") == "ambiguous"
    kept = one(truth, "SELECT answer_rest -> 'choices' -> 0 -> 'unattributed' FROM pipeline_event_inbox")
    assert kept == [stray]
    assert reading.status(truth)["ambiguous_turns"] == 1


def test_numbers_that_json_lacks_do_not_cost_the_request(truth, calls):
    odd = b'{"model":"m","temperature":NaN,"messages":[{"role":"user","content":"hi"}]}'
    assert store(truth, calls(request=odd)).turns == 1
    assert one(truth, "SELECT sampling FROM execution_run_records") == {"temperature": "NaN"}


def test_numbers_that_json_lacks_do_not_cost_the_answer(truth, calls):
    said = b'{"role":"assistant","content":"x"}'
    body = b'{"choices":[{"message":%b,"finish_reason":"stop","logprobs":[NaN,-Infinity]}]}' % said
    assert store(truth, calls([USER], response=body)).turns == 1
    assert one(truth, "SELECT node_status FROM session_turn") == "ok"
    rest = one(truth, "SELECT answer_rest FROM pipeline_event_inbox")
    assert (rest["choices"][0]["logprobs"], rest["non_finite_numbers"]) == (["NaN", "-Infinity"], 2)


def test_choices_without_an_index_are_turns_of_their_own(truth, calls):
    body = json.dumps({"choices": [{"message": {"role": "assistant", "content": text}} for text in ("x", "y")]})
    assert store(truth, calls([USER], response=body.encode())).turns == 2


def test_a_replay_that_is_the_past_of_what_it_replays_closes_no_circle(truth, calls):
    said = {"role": "assistant", "content": "a"}
    origin = calls([USER, said, {"role": "user", "content": "z"}], who={"session": "s"})
    who = {"session": "s", "replay_node": str(origin.event_id), "purpose": "replay"}
    built = store(truth, origin, calls([USER], "a", who=who))
    assert (built.turns, built.failed) == (2, 0)
    assert one(truth, "SELECT count(*) FROM conversation_branch_nodes WHERE depth = 0") == 1


@pytest.mark.parametrize("setting", ["1e999", "-1e999", "1e-999", "9" * 5000])
def test_settings_of_any_size_are_compared_and_kept(truth, calls, setting):
    odd = f'{{"model":"m","temperature":{setting},"messages":[{{"role":"user","content":"hi"}}]}}'.encode()
    assert store(truth, calls([USER], temperature=0.5), calls(request=odd), calls([USER])).failed == 0
    assert one(truth, "SELECT count(*) FROM execution_run_records WHERE sampling::text LIKE '%e%999%' "
                      "OR length(sampling::text) > 5000") == 1  # fmt: skip


@pytest.mark.parametrize("number", ["1e999", "1e-999"])
def test_usage_and_errors_keep_their_numbers_as_they_were_written(truth, calls, number):
    usage = f'{{"choices":[{{"index":0,"message":{{"role":"assistant"}}}}],"usage":{{"prompt_tokens":{number}}}}}'
    error = f'{{"error":{{"m":{number}}}}}'
    refused = calls([USER], response=error.encode(), circumstances={"status": 500})
    assert store(truth, calls([USER], response=usage.encode()), refused).failed == 0
    held = f"SELECT count(*) FROM execution_run_records WHERE (usage::text || '') LIKE '%{number}%'"
    assert one(truth, held) == 1
    assert one(truth, held.replace("usage", "error")) == 1


def test_a_tool_name_of_any_characters_is_no_obstacle(truth, calls):
    tools = [{"type": "function", "function": {"name": "a\x00\ud800"}}]
    assert store(truth, calls([USER], tools=tools), calls([USER], "other", tools=[])).failed == 0


def test_a_session_has_its_name_whichever_call_comes_first(truth, calls):
    named = calls([USER], who={"session": "s"})
    store(truth, named)
    session = one(truth, "SELECT session_id FROM session")
    with transaction(truth) as connection:
        connection.execute("UPDATE session SET external_id = NULL, evidence = 'explicit_node'")
    store(truth, calls([USER, USER], who={"session": f"regraft:{session}"}), calls([USER], "b", who={"session": "s"}))
    assert one(truth, "SELECT external_id FROM conversation_sessions") == "s"
    assert one(truth, "SELECT evidence FROM session") == "explicit_header"


def test_a_turn_that_cannot_be_placed_is_set_aside_and_stops_no_other(truth, calls):
    good, bad, late = calls([USER]), calls([USER], "bad"), calls([USER], "late")
    with connect(truth, autocommit=True) as connection:
        ingest(connection, [encode_exchange(each) for each in (good, bad, late)], SeenIds())
        connection.execute(
            "ALTER TABLE execution_run_records ADD CONSTRAINT odd CHECK (run_id <> {})".format(f"'{bad.event_id}'")
        )
    counts = lineage.build(truth)
    assert (counts.turns, counts.failed) == (2, 1)
    assert "odd" in one(truth, "SELECT failure FROM lineage_queue")
    assert lineage.build(truth).turns == 0
    with connect(truth, autocommit=True) as connection:
        connection.execute("ALTER TABLE execution_run_records DROP CONSTRAINT odd")
    assert (lineage.retry(truth).turns, one(truth, "SELECT count(*) FROM lineage_queue")) == (1, 0)


@pytest.mark.parametrize("claim", ["session", "parent_node", "replay_node"])
def test_nobody_joins_the_session_of_another_tenant(truth, calls, claim):
    mine = calls([USER])
    store(truth, mine)
    named = f"regraft:{one(truth, 'SELECT session_id FROM session')}" if claim == "session" else str(mine.event_id)
    theirs = calls([USER], who={claim: named}, circumstances={"scope": "other"})
    with connect(truth, autocommit=True) as connection:
        assert ingest(connection, [encode_exchange(theirs)], SeenIds()).waiting == 1
        # It waits for what it named, in vain; at the end of its patience it is placed by its opening, as its own.
        long_ago = "UPDATE quarantine SET received_at = now() - interval '2 hours', next_try_at = now()"
        connection.execute(long_ago.encode())
        ingest(connection, [encode_exchange(calls([USER], "later"))], SeenIds())
    assert lineage.build(truth).turns == 2
    assert one(truth, "SELECT count(DISTINCT scope) FROM session") == 2
    strangers = "SELECT count(*) FROM session_turn t JOIN session s USING (session_id) JOIN pipeline_event_inbox e "
    assert one(truth, f"{strangers} USING (event_id) WHERE e.scope <> s.scope") == 0
