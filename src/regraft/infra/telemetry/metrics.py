"""Every metric of every process, and the numbers of one process.

The gateway counts on the path of a call and keeps plain numbers of its own (``presentation/gateway/metrics.py``); they
become families of this registry on a scrape.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

Process = Literal["gateway", "ingest", "web"]
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_OVERHEAD = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)


@dataclass(frozen=True, slots=True)
class MetricDefinition:
    """One metric. ``buckets`` are the upper bounds of a histogram's."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    meaning: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()

    @property
    def process(self) -> str:
        """The process that counts it, by its name: ``regraft_PROCESS_...``."""
        return self.name.split("_")[1]

    def family(self) -> CounterMetricFamily | GaugeMetricFamily:
        """A Prometheus family without samples."""
        kind = CounterMetricFamily if self.kind == "counter" else GaugeMetricFamily
        return kind(self.name, self.meaning, labels=self.labels)

    def single(self, value: float) -> Metric:
        """The family with its only sample."""
        family = self.family()
        family.add_metric((), value)
        return family

    def histogram(self, counts: Sequence[int], total: float) -> HistogramMetricFamily:
        """The family of a histogram: how many observations fell into each bucket, and their sum."""
        bounds = [*map(str, self.buckets), "+Inf"]
        cumulated = [(bound, float(count)) for bound, count in zip(bounds, accumulate(counts), strict=True)]
        return HistogramMetricFamily(self.name, self.meaning, buckets=cumulated, sum_value=total)


GATEWAY_CALLS = MetricDefinition(
    "regraft_gateway_calls",
    "counter",
    "Calls answered, by endpoint, upstream and status class (cut: no status reached the client)",
    ("endpoint", "upstream", "status"),
)
GATEWAY_CUTS = MetricDefinition("regraft_gateway_cuts", "counter", "Answers cut before their end", ("by",))
GATEWAY_RETRIES = MetricDefinition(
    "regraft_gateway_retries", "counter", "Attempts that failed and were followed by another", ("upstream",)
)
GATEWAY_REFUSALS = MetricDefinition(
    "regraft_gateway_refusals", "counter", "Requests that the gateway refused itself", ("reason",)
)
GATEWAY_OPTED_OUT = MetricDefinition(
    "regraft_gateway_opted_out", "counter", "Calls whose client asked that they not be captured"
)
GATEWAY_CAPTURED = MetricDefinition("regraft_gateway_captured", "counter", "Calls written to the spool")
GATEWAY_CAPTURE_FAILURES = MetricDefinition(
    "regraft_gateway_capture_failures", "counter", "Calls that were answered and could NOT be written to the spool"
)
GATEWAY_PUBLISHED = MetricDefinition("regraft_gateway_published", "counter", "Calls acknowledged by the stream")
GATEWAY_SPOOL_BYTES = MetricDefinition(
    "regraft_gateway_spool_bytes", "gauge", "Bytes in the spool that the stream has not got"
)
GATEWAY_SPOOL_SYNC_FAILURES = MetricDefinition(
    "regraft_gateway_spool_sync_failures",
    "counter",
    "Syncs of the spool that failed: calls before one may be lost in a power cut",
)
GATEWAY_STREAM_UP = MetricDefinition("regraft_gateway_stream_up", "gauge", "1 while the stream can be reached")
GATEWAY_OVERHEAD = MetricDefinition(
    "regraft_gateway_overhead_seconds",
    "histogram",
    "Time of a call that was not spent waiting for the model server",
    (),
    _OVERHEAD,
)
INGEST_CALLS = MetricDefinition(
    "regraft_ingest_calls", "counter", "Calls taken from the stream, those delivered again included"
)
INGEST_TURNS = MetricDefinition("regraft_ingest_turns", "counter", "Calls stored for the first time")
INGEST_QUARANTINED = MetricDefinition("regraft_ingest_quarantined", "counter", "Calls that could not be read")
INGEST_WAITING = MetricDefinition("regraft_ingest_waiting", "counter", "Calls set aside until an earlier one is stored")
INGEST_RESUMED = MetricDefinition("regraft_ingest_resumed", "counter", "Calls stored after they had waited")
INGEST_FAILURES = MetricDefinition(
    "regraft_ingest_failures", "counter", "Times that PostgreSQL or the stream failed; the batch is tried again"
)
INGEST_BATCH_SECONDS = MetricDefinition(
    "regraft_ingest_batch_seconds", "histogram", "Time from a batch's arrival to its commit", (), _SECONDS
)
WEB_REQUESTS = MetricDefinition(
    "regraft_web_requests", "counter", "Requests answered, by route (below /api) and status", ("route", "status")
)
WEB_SECONDS = MetricDefinition(
    "regraft_web_request_seconds", "histogram", "Time from a request to the end of its answer", (), _SECONDS
)

DEFINITIONS = tuple(each for each in list(globals().values()) if isinstance(each, MetricDefinition))


class ProcessMetrics(Collector):
    """What one process has counted of its metrics. Counting from several threads may lose a count."""

    def __init__(self, process: Process) -> None:
        self._definitions = [each for each in DEFINITIONS if each.process == process]
        self._counters: dict[str, Counter[tuple[str, ...]]] = {each.name: Counter() for each in self._definitions}
        self._histograms = {each.name: [0] * (len(each.buckets) + 1) for each in self._definitions if each.buckets}
        self._sums = dict.fromkeys(self._histograms, 0.0)
        self.registry = CollectorRegistry()
        self.registry.register(self)

    def count(self, metric: MetricDefinition, *labels: str, by: int = 1) -> None:
        """Add to a counter."""
        self._counters[metric.name][labels] += by

    def observe(self, metric: MetricDefinition, value: float) -> None:
        """Add an observation to a histogram."""
        self._histograms[metric.name][bisect_left(metric.buckets, value)] += 1
        self._sums[metric.name] += value

    def render(self) -> bytes:
        """The Prometheus page."""
        return generate_latest(self.registry)

    def collect(self) -> Iterator[Metric]:
        for each in self._definitions:
            if each.buckets:
                yield each.histogram(self._histograms[each.name], self._sums[each.name])
                continue
            family = each.family()
            counts = list(self._counters[each.name].items()) or ([((), 0)] if not each.labels else [])
            for labels, count in counts:
                family.add_metric(labels, count)
            yield family
