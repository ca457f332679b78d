"""Calls that take long to parse delay no others: they are set aside, and parsed separately with more time."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import signal
import time
from datetime import timedelta

import pytest

from regraft.flows.capture import session_resolver
from regraft.flows.capture.consume import consume
from regraft.flows.capture.ingest import SeenIds, is_slow, read_in_parts
from regraft.flows.capture.slow_calls import read_slow_calls
from regraft.flows.capture.time_budget import ReadingLimits, TimeBudget, TimeBudgetExceeded
from regraft.infra.nats.codec import encode_exchange
from regraft.infra.nats.stream import CallStream
from regraft.infra.postgres.capture import quarantine
from regraft.infra.postgres.pool import connect, transaction
from support.waiting import until

# A signal may interrupt a callback of the garbage collector, which swallows it: the timer then comes again.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def body(messages):
    return json.dumps({"model": "m", "messages": messages}).encode()


def many_messages(number):
    return body(
        [{"role": "user" if each % 2 == 0 else "assistant", "content": f"say {each}"} for each in range(number)]
    )


def spin():
    while True:
        try:
            sum(range(1000))
        except Exception:  # noqa: BLE001 what is lenient does not swallow it
            continue


def backtrack():
    re.match(r"(a|aa)+$", "a" * 60 + "b")


@pytest.mark.parametrize("work", [spin, backtrack])
def test_a_time_budget_interrupts_python_and_regular_expressions(work):
    began = time.process_time()
    with pytest.raises(TimeBudgetExceeded), TimeBudget(0.1):
        work()
    assert time.process_time() - began < 2
    with TimeBudget(0.1):
        pass
    assert signal.getitimer(signal.ITIMER_PROF) == (0.0, 0.0)


def test_a_slow_call_is_set_aside_with_a_reason_and_the_next_ones_get_less_time(calls):
    slow = encode_exchange(calls(request=many_messages(60_000)))
    quick = encode_exchange(calls([{"role": "user", "content": "quick"}]))
    began = time.process_time()
    parts = list(read_in_parts([slow, quick, slow, slow, quick], SeenIds(), ReadingLimits(0.2, 1 << 30)))
    assert time.process_time() - began < 1.5
    read = [each for part in parts for each in part]
    assert [is_slow(each) for each in read] == [True, False, True, True, False]
    assert str(read[0].content.error) == "slow: reading it takes longer than 0.2 s"
    assert str(read[2].content.error) == "slow: reading it takes longer than 0.1 s"


def test_a_large_call_is_not_begun_beside_others_however_it_is_packed(calls):
    asked = body([{"role": "user", "content": "x" * (3 << 20)}])
    limits = ReadingLimits(10.0, 1 << 20)
    for exchange in (
        calls(request=asked),
        calls(request=gzip.compress(asked), circumstances={"request_encoding": "gzip"}),
    ):
        ((read,),) = read_in_parts([encode_exchange(exchange)], SeenIds(), limits)
        assert str(read.content.error).startswith("slow: its ")


def test_what_is_read_is_handed_over_in_parts(calls, monkeypatch):
    records = [encode_exchange(calls([{"role": "user", "content": str(each)}])) for each in range(6)]
    monkeypatch.setattr("regraft.flows.capture.ingest._PART_BYTES", len(records[0]) * 2)
    assert [len(part) for part in read_in_parts(records, SeenIds(), ReadingLimits(1.0, 1 << 20))] == [3, 3]


@pytest.mark.timeout(120)
def test_slow_calls_hold_up_nobody_and_are_stored_by_a_process_of_their_own(truth, nats_server, calls):
    slow = [calls(request=many_messages(60_000)) for _ in range(3)]
    quick = [calls([{"role": "user", "content": f"quick {each}"}]) for each in range(20)]

    async def main():
        stop = asyncio.Event()
        async with await CallStream.connect(nats_server.url) as stream:
            await stream.ensure()
            task = asyncio.create_task(consume(truth, nats_server.url, stop, timedelta(seconds=1)))
            await asyncio.sleep(1.0)
            await stream.publish_pack([encode_exchange(each) for each in (*slow, *quick)])
            await asyncio.to_thread(until, lambda: len(stored(truth)) == 23, 90)
            stop.set()
            await task

    asyncio.run(main())
    assert stored(truth)[:20] == [each.event_id for each in quick]  # though they came after the slow ones
    with transaction(truth) as connection:
        assert quarantine.reasons(connection) == {}


def stored(dsn):
    with connect(dsn, autocommit=True) as connection:
        rows = connection.execute("SELECT event_id FROM pipeline_event_inbox ORDER BY seq").fetchall()
    return [row["event_id"] for row in rows]


def test_what_is_too_slow_even_apart_stays_raw_under_that_reason(truth, calls, monkeypatch):
    record = encode_exchange(calls(request=many_messages(60_000)))
    with connect(truth, autocommit=True) as connection:
        from regraft.flows.capture.ingest import store

        (part,) = read_in_parts([record], SeenIds(), ReadingLimits(0.05, 1 << 30))
        store(connection, part, SeenIds())
        assert quarantine.any_slow(connection)
        assert quarantine.reasons(connection) == {"slow:": 1}
        monkeypatch.setattr(session_resolver, "_parsed", _forever)
        limits = ReadingLimits(0.1, 1 << 30, final=True)
        monkeypatch.setattr(session_resolver.parse_record, "__defaults__", (limits, None))
        assert read_slow_calls(truth) == 1
        assert not quarantine.any_slow(connection)
        (kept,) = quarantine.listing(connection, 5)
        assert kept["reason"] == "reading it takes longer than 0.1 s"
        assert quarantine.reasons(connection) == {"unreadable": 1}


def _forever(*_):
    while True:
        pass
