"""Every metric of every process is declared once, and shown as Prometheus reads it."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from regraft.infra.telemetry.metrics import (
    DEFINITIONS,
    INGEST_BATCH_SECONDS,
    INGEST_CALLS,
    WEB_REQUESTS,
    ProcessMetrics,
)
from regraft.presentation.gateway.metrics import Metrics


def samples(page):
    families = text_string_to_metric_families(page.decode())
    return {(each.name, *each.labels.values()): each.value for family in families for each in family.samples}


def test_names_are_unique_and_begin_with_the_process_that_counts_them():
    assert len({each.name for each in DEFINITIONS}) == len(DEFINITIONS)
    assert {each.process for each in DEFINITIONS} == {"gateway", "ingest", "web"}


def test_the_gateway_shows_exactly_the_metrics_that_are_declared_for_it():
    declared = {(each.name, each.kind) for each in DEFINITIONS if each.process == "gateway"}
    assert {(family.name, family.type) for family in Metrics().collect()} == declared


def test_a_counter_without_labels_is_shown_before_its_first_count():
    metrics = ProcessMetrics("ingest")
    assert samples(metrics.render())["regraft_ingest_calls_total",] == 0
    metrics.count(INGEST_CALLS, by=3)
    assert samples(metrics.render())["regraft_ingest_calls_total",] == 3


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
