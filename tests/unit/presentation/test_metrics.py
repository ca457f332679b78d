"""Every metric of every process is declared once, and shown as Prometheus reads it."""

from __future__ import annotations

import os
import subprocess
import sys

import msgspec
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families

from regraft import __version__
from regraft.infra.telemetry.fact_metrics import FACT_METRICS
from regraft.infra.telemetry.labels import label_values
from regraft.infra.telemetry.metrics import (
    DEFINITIONS,
    GATEWAY_CAPTURED,
    GATEWAY_IN_FLIGHT,
    GATEWAY_STREAM_UP,
    INGEST_BATCH_SECONDS,
    INGEST_CALLS,
    INGEST_CONNECTED,
    PROCESS_CPU,
    PROCESS_START,
    WEB_REQUESTS,
)
from regraft.infra.telemetry.numbers import Numbers, Sample, combined
from regraft.infra.telemetry.own_numbers import own_samples
from regraft.infra.telemetry.process_metrics import ProcessMetrics
from regraft.infra.telemetry.store_gauges import STORE_GAUGES
from regraft.presentation.gateway.metrics import DEFINITIONS as SHOWN
from regraft.presentation.gateway.metrics import Metrics

OPENMETRICS = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3"


def samples(page):
    families = text_string_to_metric_families(page.body.decode())
    return {(each.name, *each.labels.values()): each.value for family in families for each in family.samples}


def test_names_are_unique_and_begin_with_the_process_that_counts_them():
    assert len({each.name for each in DEFINITIONS}) == len(DEFINITIONS)
    for each in DEFINITIONS:
        if each.process == "every":
            assert (
                each.name.startswith(("process_", "regraft_facts_", "regraft_spans_"))
                or each.name == "regraft_build_info"
            )
        else:
            assert each.name.startswith(f"regraft_{each.process}_")


@pytest.mark.parametrize("metric", DEFINITIONS, ids=lambda each: each.name)
def test_every_metric_says_its_unit_its_labels_and_its_buckets(metric):
    assert metric.unit or metric.name.endswith(("_up", "_connected", "_info"))
    for unit in ("seconds", "bytes"):
        assert (f"_{unit}" in metric.name) == (metric.unit == unit)
    assert all(label_values(metric.name, label) for label in metric.labels)
    assert bool(metric.buckets) == (metric.kind == "histogram")
    assert list(metric.buckets) == sorted(set(metric.buckets))


def test_every_label_of_facts_and_of_gauges_is_described():
    for each in FACT_METRICS:
        assert all(label_values(each.name.removesuffix("_total"), label) for label in each.label_names)
    for each in STORE_GAUGES:
        assert not each.label or label_values(each.name, each.label)


def test_the_gateway_shows_exactly_the_metrics_that_are_declared_for_it():
    declared = {(each.name, each.kind) for each in DEFINITIONS if each.process in ("gateway", "every")}
    page = Metrics().render(accept=OPENMETRICS).body.decode()
    assert {(family.name, family.type) for family in openmetrics_families(page)} == declared


def test_openmetrics_has_units_and_the_plain_format_has_none():
    metrics = ProcessMetrics("ingest")
    units = {each.name: each.unit for each in openmetrics_families(metrics.render(OPENMETRICS).body.decode())}
    assert units["regraft_ingest_batch_seconds"] == units["process_cpu_seconds"] == "seconds"
    assert units["regraft_ingest_calls"] == "calls"
    assert b"# HELP regraft_ingest_turns_total Calls stored for the first time." in metrics.render().body
    assert b"# UNIT" not in metrics.render().body


def test_a_counter_without_labels_is_shown_before_its_first_count():
    metrics = ProcessMetrics("ingest")
    assert samples(metrics.render())["regraft_ingest_calls_total",] == 0
    metrics.count(INGEST_CALLS, by=3)
    assert samples(metrics.render())["regraft_ingest_calls_total",] == 3


def test_a_gauge_is_shown_once_it_is_known():
    metrics = ProcessMetrics("ingest")
    assert ("regraft_ingest_connected",) not in samples(metrics.render())
    metrics.show(INGEST_CONNECTED, 1)
    metrics.add(INGEST_CONNECTED, -1)
    assert samples(metrics.render())["regraft_ingest_connected",] == 0


def test_labels_part_the_counts_of_a_counter():
    metrics = ProcessMetrics("web")
    metrics.count(WEB_REQUESTS, "/api/status", "200")
    metrics.count(WEB_REQUESTS, "/api/status", "404")
    assert samples(metrics.render())["regraft_web_requests_total", "/api/status", "404"] == 1


def test_the_buckets_of_a_histogram_hold_what_is_less_or_equal():
    metrics = ProcessMetrics("ingest")
    for value in (0.001, 0.02, 99.0):
        metrics.observe(INGEST_BATCH_SECONDS, value)
    shown = samples(metrics.render())
    name = "regraft_ingest_batch_seconds_bucket"
    assert [shown[name, bound] for bound in ("0.001", "0.025", "10.0", "+Inf")] == [1, 2, 2, 3]
    assert shown["regraft_ingest_batch_seconds_sum",] == 99.021


def worker(*, captured, in_flight, started, up=0, calls=1):
    """The numbers of a gateway process, with one call of 0.02 s."""
    metrics = Metrics()
    metrics.captured, metrics.stream_up = captured, up
    metrics.gauges = lambda: [Sample(GATEWAY_IN_FLIGHT.name, in_flight)]
    for _ in range(calls):
        metrics.count_forwarded("/v1/responses", "main", 200, 0.0002, 0.02)
    numbers = metrics.numbers()
    own = [each for each in numbers.samples if each.metric != PROCESS_START.name]
    return Numbers([*own, Sample(PROCESS_START.name, started)], numbers.histograms)


def test_the_numbers_of_several_workers_add_up_and_survive_the_way_through_a_file():
    numbers = [
        worker(captured=5, in_flight=1, started=20.0),
        worker(captured=7, in_flight=2, started=10.0, up=1, calls=3),
    ]
    read = [msgspec.json.decode(msgspec.json.encode(each), type=Numbers) for each in numbers]
    metrics = Metrics()
    metrics.captured = 1
    shown = samples(metrics.render(read))
    assert shown["regraft_gateway_captured_total",] == 13
    assert shown["regraft_gateway_calls_total", "/v1/responses", "2xx", "main"] == 4
    assert shown["regraft_gateway_calls_in_flight",] == 3
    assert shown["regraft_gateway_stream_up",] == 1, "one that reaches it is enough"
    assert shown["process_start_time_seconds",] == 10.0
    assert shown["regraft_build_info", __version__] == 1
    assert shown["regraft_gateway_upstream_seconds_bucket", "0.01", "main"] == 0
    assert shown["regraft_gateway_upstream_seconds_bucket", "0.02", "main"] == 4
    assert shown["regraft_gateway_overhead_seconds_count",] == 4


def test_what_an_ended_worker_had_counted_stays_and_its_state_does_not():
    left = worker(captured=5, in_flight=9, started=1.0, up=1).counted(SHOWN)
    both = {
        each.metric: each.value
        for each in combined([left, worker(captured=2, in_flight=1, started=2.0)], SHOWN).samples
    }
    assert both[GATEWAY_CAPTURED.name] == 7
    assert both[GATEWAY_IN_FLIGHT.name] == 1
    assert both[GATEWAY_STREAM_UP.name] == 0
    assert both[PROCESS_START.name] == 2.0


def test_processor_time_counts_children_while_they_live_and_when_they_have_ended():
    def used(*children):
        return next(each.value for each in own_samples(children) if each.metric == PROCESS_CPU.name)

    spin = "import sys, time\nwhile time.process_time() < 0.3: pass\nprint('spun', flush=True)\nsys.stdin.read()"
    before = used()
    with subprocess.Popen([sys.executable, "-c", spin], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout.readline() == b"spun\n"
        assert used(child.pid) - used() > 0.25
        child.stdin.close()
        child.wait()
    assert used() - before > 0.25
    assert used(2**22 + os.getpid()) >= used() - 1, "a child that has just ended is not an error"
