"""Vector's configuration: what is committed, its options, its own tests, and the same series as `regraft metrics`."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry

from regraft.infra.nats.fact_stream import STREAM, SUBJECT, VECTOR
from regraft.infra.telemetry.fact_counts import FactCounts
from regraft.infra.telemetry.facts import decode_fact, encode_fact
from support.facts import random_facts
from support.vector import Program, VectorConfig, exported, holds

FOLDER = Path(__file__).parents[3] / "deploy" / "vector"
TEXT = (FOLDER / "vector.yaml").read_text("utf-8")
CONFIG = VectorConfig.model_validate(yaml.safe_load(TEXT))
PROGRAM = Program(CONFIG.transforms["series_of_facts"].source)


def test_what_is_committed_is_what_the_table_gives():
    assert runpy.run_path(str(FOLDER / "generate.py"))["config"]() == TEXT


def test_it_reads_the_stream_of_facts_and_not_that_of_calls():
    source = CONFIG.sources["facts"]
    assert (source.jetstream.stream, source.jetstream.consumer) == (STREAM, VECTOR)
    assert source.subject == f"{SUBJECT}.>"


def test_every_input_is_an_output_of_another_component():
    outputs = {*CONFIG.sources, *CONFIG.transforms}
    outputs |= {
        f"{name}.dropped" for name, each in CONFIG.transforms.items() if getattr(each, "reroute_dropped", False)
    }
    for each in (*CONFIG.transforms.values(), *CONFIG.sinks.values()):
        assert set(each.inputs) <= outputs


def test_nothing_is_taken_from_the_environment():
    assert "${" not in TEXT


@pytest.mark.parametrize("test", CONFIG.tests, ids=lambda each: each.name)
def test_its_own_tests_hold(test):
    events = PROGRAM.events(dict(test.inputs[0].log_fields))
    for output in test.outputs:
        assert output.extract_from == test.inputs[0].insert_at
        for condition in output.conditions:
            assert any(holds(condition.source, event) for event in events), condition.source


def by_the_bridge(lines: list[bytes]) -> dict:
    counts = FactCounts()
    counts.add(fact for line in lines if (fact := decode_fact(line)) is not None)
    registry = CollectorRegistry()
    registry.register(counts)
    return {
        (sample.name, tuple(sorted((key, value) for key, value in sample.labels.items() if value))): sample.value
        for family in registry.collect()
        for sample in family.samples
    }


def by_vector(lines: list[bytes]) -> dict:
    return exported([event for line in lines for event in PROGRAM.events(json.loads(line))])


@pytest.mark.parametrize("seed", range(5))
def test_the_same_facts_are_the_same_series_by_vector_and_by_the_bridge(seed):
    lines = [encode_fact(each, 1_700_000_000 + number) for number, each in enumerate(random_facts(seed, 400))]

    bridge, vector = by_the_bridge(lines), by_vector(lines)

    assert vector.keys() == bridge.keys()
    assert vector == pytest.approx(bridge)
    assert len(bridge) > 300


@pytest.mark.parametrize(
    "event",
    [
        {"fact": "lineage.of_a_later_version", "at": 1.0, "nodes": 3},
        {"fact": "lineage.nodes_added", "at": 1.0, "nodes": "many", "branch_kind": "root"},
        {"fact": "lineage.nodes_added", "at": 1.0, "nodes": 3},
        {"at": 1.0},
        {"fact": 5},
    ],
)
def test_what_is_no_known_fact_gives_no_series_either_way(event):
    assert PROGRAM.events(dict(event)) == []
    assert by_the_bridge([json.dumps(event).encode()]) == {}
