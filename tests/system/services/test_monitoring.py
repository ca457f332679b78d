"""Facts from the process that tells them to the page of `regraft metrics`, on a real NATS and PostgreSQL."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import contextmanager

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from regraft.flows.capture.ingest import SeenIds, ingest
from regraft.flows.lineage.build import build
from regraft.flows.monitoring import MonitoredStores, count_facts, monitor, read_store_gauges
from regraft.infra.embedded.process import free_port
from regraft.infra.nats.codec import encode_exchange
from regraft.infra.nats.fact_stream import FactStream
from regraft.infra.postgres.pool import connect
from regraft.infra.telemetry.emitter import emit, publishing_facts
from regraft.infra.telemetry.fact_counts import FactCounts
from regraft.infra.telemetry.facts import NodesAdded, encode_fact
from regraft.infra.telemetry.store_gauges import StoreFigures
from support.facts import forget_facts
from support.waiting import until


def samples(page: str) -> dict[tuple[str, frozenset], float]:
    return {
        (sample.name, frozenset((key, value) for key, value in sample.labels.items() if value)): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def page_of(*collectors) -> dict[tuple[str, frozenset], float]:
    registry = CollectorRegistry()
    for each in collectors:
        registry.register(each)
    return samples(generate_latest(registry).decode())


def of(page, name, **labels) -> float | None:
    return page.get((name, frozenset(labels.items())))


@pytest.fixture
def facts_url(nats_url):
    """A NATS whose stream of facts is new."""
    forget_facts(nats_url)
    return nats_url


@contextmanager
def counting(stores):
    """The bridge, on a separate thread."""
    counts = FactCounts()
    loop = asyncio.new_event_loop()
    task = None

    async def main():
        nonlocal task
        task = asyncio.create_task(count_facts(stores, counts))
        with pytest.raises(asyncio.CancelledError):
            await task

    thread = threading.Thread(target=lambda: loop.run_until_complete(main()))
    thread.start()
    try:
        yield counts
    finally:
        loop.call_soon_threadsafe(lambda: task.cancel())
        thread.join(20)
        loop.close()


@pytest.fixture
def stores(truth, facts_url, tmp_path):
    return MonitoredStores(truth=truth, nats_url=facts_url, workbench=tmp_path / "workbench.duckdb")


def test_calls_that_are_stored_become_series_once(stores, calls):
    said = [
        calls([{"role": "user", "content": f"question {number}"}], "an answer", stream=number % 2 == 0)
        for number in range(6)
    ]
    failed = calls.failed([{"role": "user", "content": "no"}], status=429)
    records = [encode_exchange(each) for each in (*said, failed)] + [b"no call"]

    with counting(stores) as counts, publishing_facts(lambda: stores.nats_url) as publisher:
        with connect(stores.truth, autocommit=True) as connection:
            ingest(connection, records, SeenIds())
            ingest(connection, records[:6], SeenIds())  # delivered again: no new call
        build(stores.truth)
        until(lambda: of(page_of(counts), "regraft_lineage_turns_placed_total"))
        until(lambda: publisher.published and not publisher._waiting)

        page = page_of(counts)
        model = {"gen_ai_operation_name": "chat", "gen_ai_provider_name": "main", "gen_ai_request_model": "m"}
        assert of(page, "gen_ai_client_operation_duration_seconds_count", **model) == 6
        assert of(page, "gen_ai_client_operation_duration_seconds_count", **model, error_type="429") == 1
        assert of(page, "gen_ai_client_operation_time_to_first_chunk_seconds_count", **model) == 3
        assert of(page, "gen_ai_client_token_usage_sum", **model, gen_ai_token_type="input") == 30
        assert of(page, "gen_ai_client_token_usage_sum", **model, gen_ai_token_type="output") == 18
        assert of(page, "regraft_capture_calls_total", purpose="chat") == 7
        assert of(page, "regraft_capture_quarantined_total", reason="unreadable") == 1
        assert of(page, "regraft_lineage_turns_placed_total") == 7
        assert of(page, "regraft_lineage_nodes_total", branch_kind="root") == 7
        assert publisher.dropped == 0


def test_facts_hold_nothing_of_what_was_said(stores, calls):
    marked = calls([{"role": "user", "content": "SECRET-PROMPT"}], "SECRET-ANSWER", who={"session": "SECRET-SESSION"})
    with publishing_facts(lambda: stores.nats_url), connect(stores.truth, autocommit=True) as connection:
        ingest(connection, [encode_exchange(marked)], SeenIds())
        build(stores.truth)

    async def read():
        stream = await FactStream.connect(stores.nats_url)
        lines = await stream.fetch(64, 5.0)
        await stream.aclose()
        return lines

    lines = asyncio.run(read())
    assert lines
    assert b"SECRET" not in b"".join(lines)
    assert str(marked.event_id).encode() not in b"".join(lines)


def test_facts_wait_for_nats_and_are_told_once_when_it_comes(stores):
    away = [True]
    with counting(stores) as counts, publishing_facts(lambda: None if away[0] else stores.nats_url) as publisher:
        for _ in range(1_000):
            emit(NodesAdded(branch_kind="retry", nodes=1))
        time.sleep(0.7)  # a first try, which fails
        assert publisher.published == 0
        away[0] = False
        until(lambda: of(page_of(counts), "regraft_lineage_nodes_total", branch_kind="retry") == 1_000)
        until(lambda: publisher.published == 1_000)  # its acknowledgement may come after the bridge has read it
        assert publisher.dropped == 0


def test_a_pack_that_is_published_again_is_counted_once(stores):
    line = encode_fact(NodesAdded(branch_kind="root", nodes=1), 1.0)

    async def publish_twice():
        stream = await FactStream.connect(stores.nats_url)
        await stream.ensure()
        for pack in ("one", "one", "two"):
            await stream.publish("lineage", [line], pack)
        await stream.aclose()

    with counting(stores) as counts:
        asyncio.run(publish_twice())
        until(lambda: of(page_of(counts), "regraft_lineage_nodes_total", branch_kind="root") == 2)
        time.sleep(0.3)
        assert of(page_of(counts), "regraft_lineage_nodes_total", branch_kind="root") == 2


def test_a_damaged_pack_stops_nothing(stores):
    async def publish():
        stream = await FactStream.connect(stores.nats_url)
        await stream.ensure()
        await stream.publish("lineage", [b"\xff\xfe{", b"", b'{"fact":"x.y"}'], "damaged")
        await stream.publish("lineage", [encode_fact(NodesAdded(branch_kind="root", nodes=1), 1.0)], "sound")
        await stream.aclose()

    with counting(stores) as counts:
        asyncio.run(publish())
        until(lambda: of(page_of(counts), "regraft_lineage_nodes_total", branch_kind="root") == 1)


def test_gauges_are_what_postgresql_holds(stores, calls):
    figures = StoreFigures()
    with connect(stores.truth, autocommit=True) as connection:
        history = [{"role": "user", "content": "hi"}]
        middle = [
            {"role": "user", "content": "another opening"},
            {"role": "assistant", "content": "never stored"},
            {"role": "user", "content": "go on"},
        ]
        today = {"started_ns": time.time_ns()}
        said = [calls(history, circumstances=today), calls(middle, circumstances=today)]
        ingest(connection, [*(encode_exchange(each) for each in said), b"no call"], SeenIds())

    read_store_gauges(stores, figures)
    before = page_of(figures)
    assert of(before, "regraft_store_up", store="postgres") == 1
    assert of(before, "regraft_store_turns_waiting") == 2
    assert of(before, "regraft_store_turns") == 0
    assert of(before, "regraft_store_quarantined", state="refused") == 1
    assert of(before, "regraft_store_quarantined", state="waiting") == 0

    build(stores.truth)
    read_store_gauges(stores, figures)
    after = page_of(figures)
    assert of(after, "regraft_store_turns_waiting") == 0
    assert of(after, "regraft_store_turns") == 2
    assert of(after, "regraft_store_fracture_suspects_ratio") == 0.5  # one of two began in the middle
    assert of(after, "regraft_store_bytes", part="postgres") > 1_000_000
    assert of(after, "regraft_store_refreshed_timestamp_seconds") == pytest.approx(time.time(), abs=60)
    assert of(after, "regraft_store_judges_uncalibrated") is None  # there is no workbench


def test_every_gauge_of_the_table_can_be_read(stores):
    figures = StoreFigures()
    read_store_gauges(stores, figures)
    page = page_of(figures)
    assert of(page, "regraft_store_review_oldest_seconds") == 0
    assert of(page, "regraft_store_fracture_suspects_ratio") == 0


def test_a_store_that_is_away_shows_as_down_and_its_old_figures_are_gone(stores, tmp_path):
    figures = StoreFigures()
    read_store_gauges(stores, figures)
    away = MonitoredStores(truth="postgresql://127.0.0.1:1/none", nats_url="nats://127.0.0.1:1", workbench=tmp_path)
    read_store_gauges(away, figures)

    async def watch():
        stop = asyncio.Event()
        watching = asyncio.create_task(monitor(away, None, figures, stop))
        await asyncio.sleep(1.0)
        stop.set()
        await watching

    asyncio.run(watch())
    page = page_of(figures)
    assert of(page, "regraft_store_up", store="postgres") == 0
    assert of(page, "regraft_store_up", store="nats") == 0
    assert of(page, "regraft_store_turns") is None
    assert of(page, "regraft_stream_packs_waiting") is None


def test_the_command_serves_both_and_ends_on_sigterm(truth, facts_url, tmp_path):
    port = free_port()
    environment = {
        **os.environ,
        "REGRAFT_POSTGRES__DSN": truth,
        "REGRAFT_NATS__URL": facts_url,
        "REGRAFT_DATA_DIR": str(tmp_path),
        "REGRAFT_METRICS__PORT": str(port),
    }
    process = subprocess.Popen([sys.executable, "-m", "regraft", "metrics"], env=environment, cwd=tmp_path)

    def page():
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                return samples(answer.read().decode())
        except OSError:
            return {}

    try:
        until(lambda: of(page(), "regraft_store_up", store="postgres") == 1)
        until(lambda: of(page(), "regraft_store_up", store="nats") == 1)
        with publishing_facts(lambda: facts_url):
            emit(NodesAdded(branch_kind="compaction", nodes=4))
        until(lambda: of(page(), "regraft_lineage_nodes_total", branch_kind="compaction") == 4)
    finally:
        process.terminate()
        assert process.wait(30) == 0
