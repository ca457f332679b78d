"""The numbers of one process, which it counts itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from regraft.infra.telemetry.definition import MetricDefinition, Process
from regraft.infra.telemetry.metrics import of_process
from regraft.infra.telemetry.numbers import Histogram, Numbers, Sample, families
from regraft.infra.telemetry.own_numbers import OwnNumbers
from regraft.infra.telemetry.page import Page, page


class ProcessMetrics(Collector):
    """What one process has counted of its metrics. Counting from several threads may lose a count."""

    def __init__(self, process: Process) -> None:
        self._definitions = of_process(process)
        self._values: dict[str, Counter[tuple[str, ...]]] = {each.name: Counter() for each in self._definitions}
        self._gauges: dict[str, float] = {}
        self._histograms = {each.name: Histogram(each.buckets) for each in self._definitions if each.buckets}
        self.registry = CollectorRegistry()
        self.registry.register(self)
        self.registry.register(OwnNumbers())

    def count(self, metric: MetricDefinition, *labels: str, by: int = 1) -> None:
        """Add to a counter."""
        self._values[metric.name][labels] += by

    def show(self, metric: MetricDefinition, value: float) -> None:
        """Set a gauge, which is not shown before."""
        self._gauges[metric.name] = value

    def add(self, metric: MetricDefinition, by: float) -> None:
        """Move a gauge."""
        self._gauges[metric.name] = self._gauges.get(metric.name, 0.0) + by

    def observe(self, metric: MetricDefinition, value: float) -> None:
        """Add an observation to a histogram."""
        self._histograms[metric.name].observe(value)

    def render(self, accept: str = "") -> Page:
        """The page for Prometheus."""
        return page(self.registry, accept)

    def numbers(self) -> Numbers:
        """What was counted so far. A counter without labels begins at 0."""
        samples = [Sample(name, value) for name, value in self._gauges.items()]
        histograms = []
        for each in self._definitions:
            if each.kind == "histogram":
                histograms.append(self._histograms[each.name].observations(each))
            elif each.kind == "counter":
                counts = list(self._values[each.name].items()) or ([((), 0)] if not each.labels else [])
                samples += [Sample(each.name, count, labels) for labels, count in counts]
        return Numbers(samples, histograms)

    def collect(self) -> Iterator[Metric]:
        yield from families(self.numbers(), self._definitions)
