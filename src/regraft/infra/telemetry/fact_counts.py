"""What the facts of a stream add up to, as Prometheus families."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from regraft.infra.telemetry.fact_metrics import FACT_METRICS, FactMetric
from regraft.infra.telemetry.facts import Fact

_Labels = tuple[str, ...]


@dataclass(slots=True)
class _Histogram:
    counts: list[int]
    total: float = 0.0

    def observe(self, buckets: tuple[float, ...], value: float) -> None:
        self.counts[bisect_left(buckets, value)] += 1
        self.total += value

    def family_buckets(self, buckets: tuple[float, ...]) -> list[tuple[str, float]]:
        seen = 0
        named = []
        for bound, count in zip([*map(str, buckets), "+Inf"], self.counts, strict=True):
            seen += count
            named.append((bound, float(seen)))
        return named


@dataclass(slots=True)
class _Series:
    """All samples of one name. Two entries of the table may share it, where they differ in a constant label."""

    metric: FactMetric
    counts: dict[_Labels, float] = field(default_factory=lambda: defaultdict(float))
    histograms: dict[_Labels, _Histogram] = field(default_factory=dict)


class FactCounts(Collector):
    """Add facts; a registry collects the series. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_fact: dict[type[Fact], list[FactMetric]] = defaultdict(list)
        self._series: dict[str, _Series] = {}
        for metric in FACT_METRICS:
            self._by_fact[metric.fact].append(metric)
            self._series.setdefault(metric.name, _Series(metric))

    def add(self, facts: Iterable[Fact]) -> None:
        """Count facts."""
        with self._lock:
            for fact in facts:
                for metric in self._by_fact[type(fact)]:
                    value = metric.value_of(fact)
                    if value is not None:
                        self._add(metric, metric.labels_of(fact), value)

    def _add(self, metric: FactMetric, labels: _Labels, value: float) -> None:
        series = self._series[metric.name]
        if metric.kind == "counter":
            series.counts[labels] += value
            return
        histogram = series.histograms.get(labels)
        if histogram is None:
            histogram = series.histograms[labels] = _Histogram([0] * (len(metric.buckets) + 1))
        histogram.observe(metric.buckets, value)

    def collect(self) -> Iterator[Metric]:
        with self._lock:
            yield from [self._family(each) for each in self._series.values()]

    def _family(self, series: _Series) -> Metric:
        metric = series.metric
        if metric.kind == "counter":
            counter = CounterMetricFamily(metric.name, metric.meaning, labels=metric.label_names)
            for labels, count in series.counts.items():
                counter.add_metric(labels, count)
            return counter
        family = HistogramMetricFamily(metric.name, metric.meaning, labels=metric.label_names)
        for labels, histogram in series.histograms.items():
            family.add_metric(labels, histogram.family_buckets(metric.buckets), histogram.total)
        return family
