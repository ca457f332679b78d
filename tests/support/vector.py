"""Checks of Vector's configuration without Vector: its options, its programs, and the resulting series.

The remap programs run in Vector's own language, by the package ``vrl-python``. Option names are those of Vector 0.57.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from vrl_python import VRLRuntime


class _Options(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class BatchConfig(_Options):
    batch: int
    max_bytes: int


class JetStream(_Options):
    stream: str
    consumer: str
    batch_config: BatchConfig


class Token(_Options):
    value: str


class NatsAuth(_Options):
    strategy: Literal["token"]
    token: Token


class Framing(_Options):
    method: Literal["newline_delimited"]


class Codec(_Options):
    codec: Literal["json"]


class NatsSource(_Options):
    type: Literal["nats"]
    url: str
    connection_name: str
    subject: str
    auth: NatsAuth
    jetstream: JetStream
    framing: Framing
    decoding: Codec


class Remap(_Options):
    type: Literal["remap"]
    inputs: list[str]
    drop_on_error: bool
    drop_on_abort: bool
    reroute_dropped: bool
    source: str


class LogToMetric(_Options):
    type: Literal["log_to_metric"]
    inputs: list[str]
    all_metrics: Literal[True]
    metrics: list[Any]


class TagCardinalityLimit(_Options):
    type: Literal["tag_cardinality_limit"]
    inputs: list[str]
    mode: Literal["exact"]
    value_limit: int
    limit_exceeded_action: Literal["drop_tag", "drop_event"]


class PrometheusExporter(_Options):
    type: Literal["prometheus_exporter"]
    inputs: list[str]
    address: str
    flush_period_secs: int
    suppress_timestamp: bool


class Console(_Options):
    type: Literal["console"]
    inputs: list[str]
    target: Literal["stderr", "stdout"]
    encoding: Codec


class Api(_Options):
    enabled: bool
    address: str


class DirectorySecrets(_Options):
    type: Literal["directory"]
    path: str
    remove_trailing_whitespace: bool


class TestInput(_Options):
    insert_at: str
    type: Literal["log"]
    log_fields: dict[str, str | int | float]


class Condition(_Options):
    type: Literal["vrl"]
    source: str


class TestOutput(_Options):
    extract_from: str
    conditions: list[Condition]


class VectorTest(_Options):
    name: str
    inputs: list[TestInput]
    outputs: list[TestOutput]


class VectorConfig(_Options):
    """The whole file."""

    data_dir: str
    api: Api
    secret: dict[str, DirectorySecrets]
    sources: dict[str, NatsSource]
    transforms: dict[str, Remap | LogToMetric | TagCardinalityLimit]
    sinks: dict[str, PrometheusExporter | Console]
    tests: list[VectorTest]


class Program:
    """A remap program. ``events`` gives what comes out for an event; none, if it fails and ``drop_on_error`` is set."""

    def __init__(self, source: str) -> None:
        found = VRLRuntime.check_syntax(source)
        assert found is None, found.formatted_message
        self._source, self._runtime = source, VRLRuntime()

    def events(self, event: dict[str, Any]) -> list[dict[str, Any]]:
        try:
            out = self._runtime.execute(self._source, event).processed_event
        except RuntimeError:
            return []
        return out if isinstance(out, list) else [out]


def holds(condition: str, event: dict[str, Any]) -> bool:
    """Whether a condition in Vector's language holds for an event."""
    return VRLRuntime().execute(condition, event).runtime_result is True


Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def exported(events: list[dict[str, Any]]) -> Series:
    """The samples that ``log_to_metric`` with ``all_metrics`` and ``prometheus_exporter`` make of incremental metrics:
    counters are summed, buckets of histograms are summed and cumulated, an empty tag is not a label."""
    samples: Series = defaultdict(float)
    for event in events:
        assert event["kind"] == "incremental"
        name = f"{event['namespace']}_{event['name']}"
        tags = tuple(sorted((key, value) for key, value in event["tags"].items() if value))
        if "counter" in event:
            assert isinstance(event["counter"]["value"], float)  # log_to_metric takes no integer there
            samples[name, tags] += event["counter"]["value"]
            continue
        histogram, below = event["histogram"], 0
        for bucket in histogram["buckets"]:
            assert isinstance(bucket["upper_limit"], float)
            assert isinstance(bucket["count"], int)
            below += bucket["count"]
            samples[f"{name}_bucket", tuple(sorted((*tags, ("le", str(bucket["upper_limit"])))))] += below
        samples[f"{name}_bucket", tuple(sorted((*tags, ("le", "+Inf"))))] += histogram["count"]
        samples[f"{name}_sum", tags] += histogram["sum"]
        samples[f"{name}_count", tags] += histogram["count"]
    return dict(samples)
