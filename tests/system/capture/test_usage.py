"""Each attempt is in the log, each operation is counted once: sums over runs and over operations count nothing
twice."""

from __future__ import annotations

import json
from uuid import UUID

import pytest

from regraft.domain.usage import tokens
from regraft.flows.capture.ingest import SeenIds, ingest
from regraft.flows.lineage import build as lineage
from regraft.infra.nats.codec import encode_exchange
from regraft.infra.postgres.pool import connect
from support.gateways import gateway_to, spooled
from support.scripted_upstream import plain

OPERATION = UUID(int=99)
COUNTED = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}


def chat(usage=COUNTED, choices=1):
    message = {"role": "assistant", "content": "ok"}
    made = [{"index": number, "message": message, "finish_reason": "stop"} for number in range(choices)]
    return json.dumps({"id": "c", "model": "m", "choices": made, "usage": usage}).encode()


def keep(dsn, exchanges):
    with connect(dsn, autocommit=True) as connection:
        for start in range(0, len(exchanges), 100):
            records = [encode_exchange(each) for each in exchanges[start : start + 100]]
            ingest(connection, records, SeenIds())
    lineage.build(dsn)


def one(dsn, query):
    with connect(dsn) as connection:
        return connection.execute(query.encode()).fetchone()


SUMS = "sum(prompt_tokens)::int AS prompt, sum(completion_tokens)::int AS completion, count(*) AS n"
RUNS = f"SELECT {SUMS} FROM execution_run_records"
OPERATIONS = f"SELECT {SUMS}, sum(attempts)::int AS attempts FROM operation_usage"


def test_retries_that_went_through_the_gateway_are_recorded_and_counted_once(tmp_path, truth):
    # A server that says what a failed try has cost, too.
    scripts = [plain(503, chat({"prompt_tokens": 1000, "completion_tokens": 0})), plain(429, b"{}"), plain(200, chat())]
    with gateway_to(tmp_path, lambda seen: scripts.pop(0), retries=2) as (gateway, _):
        status, headers, body = gateway.call()
        assert (status, body) == (200, chat())
    keep(truth, spooled(tmp_path / "spool"))
    with connect(truth) as connection:
        found = connection.execute(
            "SELECT event_id, operation_id, attempt, final, http_status FROM pipeline_event_inbox ORDER BY attempt"
        ).fetchall()
    assert [(row["attempt"], row["final"], row["http_status"]) for row in found] == [
        (1, False, 503),
        (2, False, 429),
        (3, True, 200),
    ]
    assert {row["operation_id"] for row in found} == {found[0]["event_id"]}
    assert found[2]["event_id"] == UUID(headers["x-regraft-turn"])
    assert one(truth, RUNS) == {"prompt": 5, "completion": 3, "n": 1}
    assert one(truth, OPERATIONS) == {"prompt": 5, "completion": 3, "n": 1, "attempts": 3}
    row = one(truth, "SELECT operation_id, event_id, http_status FROM operation_usage")
    assert row == {"operation_id": found[0]["event_id"], "event_id": found[2]["event_id"], "http_status": 200}


def test_an_operation_that_failed_to_its_end_is_one_without_usage(truth, calls):
    about = {"operation_id": OPERATION, "status": 503}
    failed = b'{"error":{"message":"busy"}}'
    first = calls(response=failed, circumstances={**about, "attempt": 1, "final": False})
    last = calls(response=failed, circumstances={**about, "attempt": 2, "final": True})
    keep(truth, [last, first])
    assert one(truth, RUNS) == {"prompt": None, "completion": None, "n": 1}
    assert one(truth, OPERATIONS) == {"prompt": None, "completion": None, "n": 1, "attempts": 2}


def test_an_operation_whose_client_left_between_two_attempts_has_no_turn_and_no_usage(truth, calls):
    about = {"operation_id": OPERATION, "status": 429, "attempt": 1, "final": False}
    keep(truth, [calls(response=chat(), circumstances=about)])
    assert one(truth, RUNS)["n"] == 0
    assert one(truth, OPERATIONS)["n"] == 0
    assert one(truth, "SELECT count(*) AS n FROM pipeline_event_inbox") == {"n": 1}
    assert one(truth, "SELECT count(*) AS n FROM session_turn") == {"n": 0}


def test_several_answers_to_one_call_share_its_usage(truth, calls):
    keep(truth, [calls(response=chat(choices=3), n=3), calls(response=chat())])
    assert one(truth, RUNS) == {"prompt": 10, "completion": 6, "n": 4}
    assert one(truth, OPERATIONS) == {"prompt": 10, "completion": 6, "n": 2, "attempts": 2}


def test_calls_delivered_twice_are_counted_once(truth, calls):
    call = calls(response=chat())
    keep(truth, [call, call])
    keep(truth, [call])
    assert one(truth, RUNS) == {"prompt": 5, "completion": 3, "n": 1}
    assert one(truth, OPERATIONS) == {"prompt": 5, "completion": 3, "n": 1, "attempts": 1}


@pytest.mark.parametrize(
    "usage",
    [
        COUNTED,
        {"prompt_tokens": 9, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 4}},
        {"input_tokens": 7, "output_tokens": 3, "input_tokens_details": {"cached_tokens": 2}},
        {"input_tokens": 7, "output_tokens": 3, "cache_read_input_tokens": 2, "cache_creation_input_tokens": 1},
        {"input_tokens": 7, "output_tokens": 3, "cache_read_input_tokens": None},
        {"prompt_tokens": "5", "completion_tokens": -1, "total_tokens": 1.5},
        {"prompt_tokens": True, "completion_tokens": 10**30},
        {},
    ],
)
def test_runs_and_operations_count_the_tokens_of_every_api_alike(truth, calls, usage):
    keep(truth, [calls(response=chat(usage))])
    columns = "prompt_tokens, completion_tokens, cached_tokens"
    counted = tokens(usage)
    limit = 2**31
    expected = {
        "prompt_tokens": counted.prompt,
        "completion_tokens": counted.completion if (counted.completion or 0) < limit else None,
        "cached_tokens": counted.cached,
    }
    assert one(truth, f"SELECT {columns} FROM execution_run_records") == expected
    assert one(truth, f"SELECT {columns} FROM operation_usage") == expected


def test_usage_that_postgresql_cannot_read_stops_no_sum_over_operations(truth, calls):
    keep(truth, [calls(response=chat()), calls(response=chat({**COUNTED, "note": "a\0b\ud800"}))])
    assert one(truth, RUNS) == {"prompt": 10, "completion": 6, "n": 2}
    assert one(truth, OPERATIONS) == {"prompt": 5, "completion": 3, "n": 2, "attempts": 2}
