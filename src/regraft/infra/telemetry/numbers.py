"""What a process has counted, as values that another process can read and add to its own."""

from __future__ import annotations

import operator
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from regraft.infra.telemetry.definition import MetricDefinition

_COMBINE: Mapping[str, Callable[[float, float], float]] = {"sum": operator.add, "max": max, "min": min}
_Key = tuple[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Sample:
    """The value of a counter or a gauge. ``labels`` are the values of the metric's labels, in their order."""

    metric: str
    value: float
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Observations:
    """A histogram: how many observations fell into each bucket and beyond the last, and their sum."""

    metric: str
    counts: list[int]
    total: float
    labels: tuple[str, ...] = ()


class Histogram:
    """Counts observations into buckets; ``total`` is their sum."""

    __slots__ = ("_buckets", "counts", "total")

    def __init__(self, buckets: Sequence[float]) -> None:
        self._buckets = buckets
        self.counts = [0] * (len(buckets) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Add an observation."""
        self.counts[bisect_left(self._buckets, value)] += 1
        self.total += value

    def observations(self, metric: MetricDefinition, *labels: str) -> Observations:
        """What was observed so far."""
        return Observations(metric.name, list(self.counts), self.total, labels)


class Numbers(msgspec.Struct, frozen=True):
    """All values of one process at one time."""

    samples: list[Sample]
    histograms: list[Observations]

    def counted(self, definitions: Iterable[MetricDefinition]) -> Numbers:
        """Without the gauges, which are no one's when their process has ended."""
        gauges = {each.name for each in definitions if each.kind == "gauge"}
        return Numbers([each for each in self.samples if each.metric not in gauges], self.histograms)


def combined(numbers: Iterable[Numbers], definitions: Sequence[MetricDefinition]) -> Numbers:
    """The values of several processes of a service as one."""
    how = {each.name: _COMBINE[each.across] for each in definitions}
    values: dict[_Key, float] = {}
    histograms: dict[_Key, Observations] = {}
    for one in numbers:
        for sample in one.samples:
            key = sample.metric, sample.labels
            known = values.get(key)
            values[key] = sample.value if known is None else how[sample.metric](known, sample.value)
        for each in one.histograms:
            key = each.metric, each.labels
            before = histograms.get(key)
            if before is not None:
                counts = [a + b for a, b in zip(before.counts, each.counts, strict=True)]
                each = Observations(each.metric, counts, before.total + each.total, each.labels)
            histograms[key] = each
    samples = [Sample(name, value, labels) for (name, labels), value in values.items()]
    return Numbers(samples, list(histograms.values()))


def families(numbers: Numbers, definitions: Iterable[MetricDefinition]) -> Iterator[Metric]:
    """The Prometheus families of these metrics, in their order; one without values has none."""
    samples: dict[str, list[Sample]] = {}
    for sample in numbers.samples:
        samples.setdefault(sample.metric, []).append(sample)
    histograms: dict[str, list[Observations]] = {}
    for each in numbers.histograms:
        histograms.setdefault(each.metric, []).append(each)
    for definition in definitions:
        if definition.kind == "histogram":
            histogram = definition.histogram()
            for each in histograms.get(definition.name, ()):
                histogram.add_metric(each.labels, definition.cumulated(each.counts), each.total)
            yield histogram
            continue
        family = definition.family()
        for sample in samples.get(definition.name, ()):
            family.add_metric(sample.labels, sample.value)
        yield family


class NumbersCollector(Collector):
    """Values for a registry."""

    def __init__(self, numbers: Numbers, definitions: Sequence[MetricDefinition]) -> None:
        self._numbers = numbers
        self._definitions = definitions

    def collect(self) -> Iterator[Metric]:
        yield from families(self._numbers, self._definitions)
