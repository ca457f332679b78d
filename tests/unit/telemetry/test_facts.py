"""Facts: their form, what they may hold, and the series that they add up to."""

from __future__ import annotations

import json
from typing import get_type_hints

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from regraft.infra.telemetry.bounded_labels import OTHER, BoundedLabels
from regraft.infra.telemetry.emitter import emit, emitting, publishing_facts
from regraft.infra.telemetry.fact_counts import FactCounts
from regraft.infra.telemetry.fact_metrics import FACT_METRICS
from regraft.infra.telemetry.facts import (
    FACTS,
    CallStored,
    GraphBuilt,
    JudgementMade,
    NodesAdded,
    decode_fact,
    encode_fact,
)
from support.facts import example

ROOMS = {"capture", "lineage", "replay", "orchestration", "evaluation", "datasets"}


@pytest.mark.parametrize("kind", FACTS, ids=lambda each: each.name())
def test_a_fact_is_read_as_it_was_written(kind):
    fact = example(kind)
    line = encode_fact(fact, 1_700_000_000.25)

    assert b"\n" not in line
    assert json.loads(line)["at"] == 1_700_000_000.25
    assert json.loads(line)["fact"] == kind.name()
    assert decode_fact(line) == fact


@pytest.mark.parametrize("kind", FACTS, ids=lambda each: each.name())
def test_a_fact_names_a_room_and_holds_names_and_numbers_only(kind):
    assert kind.room() in ROOMS
    assert set(get_type_hints(kind).values()) <= {str, int, float, float | None, int | None}


@pytest.mark.parametrize(
    "line",
    [b"", b"{}", b"no JSON", b'{"fact":"lineage.unheard_of","at":1}', b'{"fact":"lineage.nodes_added","nodes":"many"}'],
)
def test_a_line_that_is_no_known_fact_is_none(line):
    assert decode_fact(line) is None


@pytest.mark.parametrize("metric", FACT_METRICS, ids=lambda each: f"{each.name} {dict(each.constants)}")
def test_the_table_names_fields_that_its_facts_have(metric):
    fields = set(metric.fact.__struct_fields__)
    assert set(metric.labels.values()) <= fields
    assert metric.value == "" or metric.value in fields
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert bool(metric.buckets) == (metric.kind == "histogram")
    assert list(metric.buckets) == sorted(set(metric.buckets))


def test_every_fact_gives_a_series():
    assert {each.fact for each in FACT_METRICS} == set(FACTS)


def page(*facts) -> str:
    counts = FactCounts()
    counts.add(facts)
    registry = CollectorRegistry()
    registry.register(counts)
    return generate_latest(registry).decode()


def test_counters_add_up_by_label():
    shown = page(
        NodesAdded(branch_kind="retry", nodes=2),
        NodesAdded(branch_kind="root", nodes=1),
        NodesAdded(branch_kind="retry", nodes=3),
    )
    assert 'regraft_lineage_nodes_total{branch_kind="retry"} 5.0' in shown
    assert 'regraft_lineage_nodes_total{branch_kind="root"} 1.0' in shown


def test_a_histogram_counts_an_observation_on_a_bound_into_its_bucket():
    shown = page(
        GraphBuilt(turns=1, nodes=1, failed=0, seconds=0.5), GraphBuilt(turns=1, nodes=1, failed=0, seconds=9_999.0)
    )
    assert 'regraft_lineage_build_seconds_bucket{le="0.1"} 0.0' in shown
    assert 'regraft_lineage_build_seconds_bucket{le="0.5"} 1.0' in shown
    assert 'regraft_lineage_build_seconds_bucket{le="3600.0"} 1.0' in shown
    assert 'regraft_lineage_build_seconds_bucket{le="+Inf"} 2.0' in shown
    assert "regraft_lineage_build_seconds_sum 9999.5" in shown


def test_a_value_that_was_not_measured_adds_nothing():
    call = CallStored(
        operation="chat",
        provider="main",
        model="m",
        purpose="chat",
        client="",
        error="",
        duration_seconds=1.0,
        output_tokens=7,
    )
    shown = page(call, JudgementMade(judge="j", result="unreadable"))
    assert "time_to_first_chunk_seconds_count" not in shown
    assert 'gen_ai_token_type="input"' not in shown
    assert 'gen_ai_client_token_usage_sum{gen_ai_operation_name="chat",gen_ai_provider_name="main"' in shown
    assert "regraft_evaluation_score_count" not in shown
    assert 'regraft_evaluation_judgements_total{judge="j",result="unreadable"} 1.0' in shown


def test_names_that_a_client_invents_become_one_label():
    label = BoundedLabels(3)
    given = [label(f"model-{number}") for number in range(1_000)]
    assert set(given) == {"model-0", "model-1", "model-2", OTHER}
    assert label("model-1") == "model-1"
    assert label("") == ""


def test_a_label_is_short_and_printable():
    label = BoundedLabels()
    assert label("a\nb\0c") == "a?b?c"
    assert len(label("x" * 10_000)) == 100
    assert label("\ud800") == "?"


def test_facts_go_nowhere_unless_the_process_publishes():
    assert not emitting()
    emit(NodesAdded(branch_kind="root", nodes=1))  # no one takes it


def test_facts_are_dropped_and_counted_when_nats_is_away():
    with publishing_facts(lambda: None) as publisher:
        assert emitting()
        for _ in range(20_100):
            emit(NodesAdded(branch_kind="root", nodes=1))
        assert publisher.dropped == 100
    assert publisher.dropped == 20_100
    assert publisher.published == 0
