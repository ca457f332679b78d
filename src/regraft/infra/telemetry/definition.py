"""What a metric is: its name, what counts it, its unit, labels and buckets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

Process = Literal["gateway", "ingest", "web", "metrics", "every"]

# The advice of OpenTelemetry's conventions for generative AI on durations, which suits any call to a model:
# https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/
GEN_AI_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
OVERHEAD_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
LAG_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 3600.0, 21600.0)


@dataclass(frozen=True, slots=True)
class MetricDefinition:
    """One metric. ``process`` counts it (``every``: each of them); ``buckets`` are the upper bounds of a histogram's.

    ``unit`` is what its values are in. ``across`` makes one value of those of several processes of one service.
    """

    process: Process
    name: str
    kind: Literal["counter", "gauge", "histogram"]
    meaning: str
    unit: str = ""
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    across: Literal["sum", "max", "min"] = "sum"

    @property
    def samples(self) -> tuple[str, ...]:
        """The names that queries use."""
        if self.kind == "histogram":
            return tuple(f"{self.name}_{suffix}" for suffix in ("bucket", "sum", "count"))
        return (f"{self.name}_total",) if self.kind == "counter" else (self.name,)

    def family(self) -> CounterMetricFamily | GaugeMetricFamily:
        """A Prometheus family of a counter or a gauge without samples."""
        kind = CounterMetricFamily if self.kind == "counter" else GaugeMetricFamily
        return kind(self.name, f"{self.meaning}.", labels=self.labels, unit=self._shown_unit)

    def histogram(self) -> HistogramMetricFamily:
        """A Prometheus family of a histogram without samples."""
        return HistogramMetricFamily(self.name, f"{self.meaning}.", labels=self.labels, unit=self._shown_unit)

    def cumulated(self, counts: Sequence[int]) -> list[tuple[str, float]]:
        """The buckets as Prometheus wants them, from how many observations fell into each."""
        bounds = [*map(str, self.buckets), "+Inf"]
        return [(bound, float(count)) for bound, count in zip(bounds, accumulate(counts), strict=True)]

    @property
    def _shown_unit(self) -> str:
        """OpenMetrics has a unit only at the end of a name."""
        return self.unit if self.unit and self.name.endswith(f"_{self.unit}") else ""
