"""The ingest process without traffic: waiting calls are still stored, and leftover parts are removed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from datetime import timedelta

import psycopg
import pytest

from regraft.flows.capture.consume import consume
from regraft.flows.capture.ingest import SeenIds, ingest
from regraft.flows.lineage.build import build
from regraft.infra.nats.codec import encode_exchange
from regraft.infra.nats.stream import CallStream
from regraft.infra.postgres import pipeline
from regraft.infra.postgres.lineage import reading
from regraft.infra.postgres.pool import connect, transaction
from support.gateways import abandoned
from support.waiting import until


@contextlib.contextmanager
def ingesting(dsn, nats_url, **options):
    """The ingest process on a separate thread."""
    loop, stop = asyncio.new_event_loop(), asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(consume(dsn, nats_url, stop, **options)))
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


def publish(url, *exchanges):
    async def main():
        async with await CallStream.connect(url) as stream:
            await stream.ensure()
            await stream.publish_pack([encode_exchange(each) for each in exchanges])

    asyncio.run(main())


def until_query(dsn, query, wanted, seconds=60.0):
    """Wait until a query gives this one value."""
    deadline = time.monotonic() + seconds
    with connect(dsn, autocommit=True) as connection:
        while (found := next(iter(connection.execute(query.encode()).fetchone().values()))) != wanted:
            assert time.monotonic() < deadline, f"{query}: {found}, not {wanted}"
            time.sleep(0.1)


def asked(calls, number, previous=None):
    """A call of the Responses API that has the id ``resp_NUMBER``."""
    more = {} if previous is None else {"previous_response_id": f"resp_{previous}"}
    item = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": f"answer {number}"}]}
    return calls(
        request=json.dumps({"model": "m", "input": f"question {number}", **more}).encode(),
        response=json.dumps({"id": f"resp_{number}", "model": "m", "status": "completed", "output": [item]}).encode(),
        circumstances={"endpoint": "/v1/responses"},
    )


WAITING = "SELECT count(*) FROM quarantine WHERE resolved_at IS NULL AND waits_for IS NOT NULL"


def test_a_call_that_no_writer_saw_wait_is_placed_without_further_traffic(truth, nats_server, calls):
    first, second = asked(calls, 1), asked(calls, 2, previous=1)
    with ingesting(truth, nats_server.url):
        publish(nats_server.url, second)
        until_query(truth, WAITING, 1)
        with connect(truth, autocommit=True) as connection:
            # The earlier call arrives through a transaction that could not see this one wait.
            connection.execute("UPDATE quarantine SET waits_for = 'hidden'")
            ingest(connection, [encode_exchange(first)], SeenIds())
            connection.execute("UPDATE quarantine SET waits_for = 'response:default:resp_1', next_try_at = now()")
        until_query(truth, WAITING, 0)
    with connect(truth, autocommit=True) as connection:
        row = connection.execute("SELECT count(*) AS n, count(DISTINCT session_id) AS s FROM session_turn").fetchone()
    assert row == {"n": 2, "s": 1}


def test_the_patience_of_waiting_calls_is_a_setting_of_the_ingest_service(truth, nats_server, calls, tmp_path):
    publish(nats_server.url, asked(calls, 2, previous=1))
    clean = {name: value for name, value in os.environ.items() if not name.startswith("REGRAFT_")}
    variables = {
        "REGRAFT_DATA_DIR": str(tmp_path / "data"),
        "REGRAFT_POSTGRES__DSN": truth,
        "REGRAFT_NATS__URL": nats_server.url,
        "REGRAFT_INGEST__PATIENCE": "0.5",
    }
    service = subprocess.Popen([sys.executable, "-m", "regraft", "ingest"], env={**clean, **variables}, cwd=tmp_path)
    try:
        until_query(truth, "SELECT count(*) FROM session_turn", 1)
        until_query(truth, WAITING, 0)
    finally:
        service.terminate()
        assert service.wait(20) == 0


def test_a_call_whose_patience_has_not_ended_goes_on_waiting_and_is_no_fault(truth, calls):
    with connect(truth, autocommit=True) as connection:
        ingest(connection, [encode_exchange(asked(calls, 2, previous=1))], SeenIds())
        connection.execute("UPDATE quarantine SET next_try_at = now()")
        assert ingest(connection, [], SeenIds(), timedelta(hours=1)).resumed == 0
    with transaction(truth) as connection:
        found = pipeline.check(connection, "quarantine_rate")
        counts = reading.status(connection)
    assert (found.bad, found.example) == (0, None)
    assert (counts["quarantine"], counts["waiting_calls"]) == (0, 1)


def test_the_ingest_process_sweeps_what_a_dead_publisher_left(truth, nats_server):
    asyncio.run(abandoned(nats_server.url))

    async def left():
        async with await CallStream.connect(nats_server.url) as stream:
            return await stream.waiting()

    with ingesting(truth, nats_server.url, part_grace=timedelta(0)):
        until(lambda: not asyncio.run(left()))


BROKEN = {
    "a missing column": (
        "ALTER TABLE pipeline_event_inbox RENAME COLUMN endpoint TO gone",
        "ALTER TABLE pipeline_event_inbox RENAME COLUMN gone TO endpoint",
    ),
    "a missing table": ("ALTER TABLE session_turn RENAME TO gone", "ALTER TABLE gone RENAME TO session_turn"),
    "a violated constraint": (
        "ALTER TABLE session_turn ADD CONSTRAINT broken CHECK (false) NOT VALID",
        "ALTER TABLE session_turn DROP CONSTRAINT broken",
    ),
    "a missing permission": (
        "ALTER DATABASE {database} SET default_transaction_read_only = on",
        "ALTER DATABASE {database} SET default_transaction_read_only = off",
    ),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_fault_of_the_database_loses_no_call_and_sets_none_aside(truth, nats_server, calls, fault, caplog):
    def administer(statement):
        with connect(truth, autocommit=True) as connection:
            database = connection.execute("SELECT current_database() AS name").fetchone()["name"]
            connection.execute("SET default_transaction_read_only = off")
            connection.execute(statement.format(database=database).encode())

    breaks, mends = BROKEN[fault]
    administer(breaks)
    made = [calls([{"role": "user", "content": str(number)}]) for number in range(5)]
    with caplog.at_level("WARNING"), ingesting(truth, nats_server.url):
        publish(nats_server.url, *made)
        until(lambda: sum("storing again" in each.message for each in caplog.records) >= 2)
        administer(mends)
        until_query(truth, "SELECT count(*) FROM session_turn", 5)
    with connect(truth) as connection:
        assert connection.execute("SELECT count(*) AS n FROM quarantine").fetchone() == {"n": 0}


def test_a_fault_of_the_database_sets_no_turn_of_the_graph_aside(truth, calls):
    with connect(truth, autocommit=True) as connection:
        made = [calls([{"role": "user", "content": str(number)}]) for number in range(5)]
        ingest(connection, [encode_exchange(each) for each in made], SeenIds())
        connection.execute("ALTER TABLE execution_run_records RENAME COLUMN backend TO gone")
        with pytest.raises(psycopg.errors.UndefinedColumn):
            build(truth)
        row = connection.execute("SELECT count(*) AS n, count(failure) AS f FROM lineage_queue").fetchone()
        assert row == {"n": 5, "f": 0}
        connection.execute("ALTER TABLE execution_run_records RENAME COLUMN gone TO backend")
    assert (build(truth).turns, build(truth).turns) == (5, 0)
