"""What the gateway counts, in a registry of its own.

Plain numbers on the path of a call; they become Prometheus families only on a scrape.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

Numbers = dict[str, Any]  # what one process has counted, as JSON

OVERHEAD_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)


_COUNTERS = ("cuts", "retries", "refusals")
_PLAIN = ("captured", "capture_failures", "published", "opted_out")


class Metrics(Collector):
    """The gateway's numbers. ``spool_bytes`` is asked for when they are shown."""

    def __init__(self) -> None:
        self.calls: Counter[tuple[str, str, int]] = Counter()
        self.captured = 0
        self.capture_failures = 0
        self.published = 0
        self.cuts: Counter[str] = Counter(client=0, upstream=0)
        self.retries: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        self.opted_out = 0
        self.stream_up = 0
        self.spool_bytes: Callable[[], int] = lambda: 0
        self.sync_failures: Callable[[], int] = lambda: 0
        self._overhead = [0] * (len(OVERHEAD_BUCKETS) + 1)
        self._overhead_sum = 0.0
        self.registry = CollectorRegistry()
        self.registry.register(self)

    def count_call(self, endpoint: str, upstream: str, status: int, overhead: float) -> None:
        """One call was answered; ``status`` 0 when no status reached the client; ``overhead`` in seconds."""
        self.calls[endpoint, upstream, status // 100] += 1
        self._overhead[bisect_left(OVERHEAD_BUCKETS, overhead)] += 1
        self._overhead_sum += overhead

    def count_refusal(self, status: int) -> None:
        """A request that was no valid HTTP, too large or too slow."""
        self.refusals[f"http_{status}"] += 1

    def render(self, others: Iterable[Numbers] = ()) -> bytes:
        """The Prometheus page, with the numbers of other processes added."""
        whole = Metrics()
        for numbers in (self.numbers(), *others):
            whole._add(numbers)
        return generate_latest(whole.registry)

    def numbers(self) -> Numbers:
        """What was counted, for another process."""
        return {
            "calls": [[*key, count] for key, count in self.calls.items()],
            "counters": {name: dict(getattr(self, name)) for name in _COUNTERS},
            "plain": {name: getattr(self, name) for name in _PLAIN},
            "spool_bytes": self.spool_bytes(),
            "sync_failures": self.sync_failures(),
            "stream_up": self.stream_up,
            "overhead": self._overhead,
            "overhead_sum": self._overhead_sum,
        }

    def _add(self, numbers: Numbers) -> None:
        for endpoint, upstream, status, count in numbers["calls"]:
            self.calls[endpoint, upstream, status] += count
        for name in _COUNTERS:
            getattr(self, name).update(numbers["counters"][name])
        for name in _PLAIN:
            setattr(self, name, getattr(self, name) + numbers["plain"][name])
        before, more = self.spool_bytes(), numbers["spool_bytes"]
        self.spool_bytes = lambda: before + more
        failures = self.sync_failures() + numbers["sync_failures"]
        self.sync_failures = lambda: failures
        self.stream_up = max(self.stream_up, numbers["stream_up"])
        self._overhead = [one + other for one, other in zip(self._overhead, numbers["overhead"], strict=True)]
        self._overhead_sum += numbers["overhead_sum"]

    def collect(self) -> Iterator[Metric]:
        calls = CounterMetricFamily(
            "regraft_gateway_calls",
            "Calls answered, by endpoint, upstream and status class (cut: no status reached the client)",
            labels=["endpoint", "upstream", "status"],
        )
        for (endpoint, upstream, klass), count in list(self.calls.items()):
            calls.add_metric([endpoint, upstream, f"{klass}xx" if klass else "cut"], count)
        yield calls
        cuts = CounterMetricFamily("regraft_gateway_cuts", "Answers cut before their end", labels=["by"])
        for who, count in self.cuts.items():
            cuts.add_metric([who], count)
        yield cuts
        retries = CounterMetricFamily(
            "regraft_gateway_retries", "Attempts that failed and were followed by another", labels=["upstream"]
        )
        for upstream, count in list(self.retries.items()):
            retries.add_metric([upstream], count)
        yield retries
        refusals = CounterMetricFamily(
            "regraft_gateway_refusals", "Requests that the gateway refused itself", labels=["reason"]
        )
        for reason, count in list(self.refusals.items()):
            refusals.add_metric([reason], count)
        yield refusals
        yield CounterMetricFamily(
            "regraft_gateway_opted_out", "Calls whose client asked that they not be captured", self.opted_out
        )
        yield CounterMetricFamily("regraft_gateway_captured", "Calls written to the spool", self.captured)
        yield CounterMetricFamily(
            "regraft_gateway_capture_failures",
            "Calls that were answered and could NOT be written to the spool",
            self.capture_failures,
        )
        yield CounterMetricFamily("regraft_gateway_published", "Calls acknowledged by the stream", self.published)
        yield GaugeMetricFamily(
            "regraft_gateway_spool_bytes", "Bytes in the spool that the stream has not got", self.spool_bytes()
        )
        yield CounterMetricFamily(
            "regraft_gateway_spool_sync_failures",
            "Syncs of the spool that failed: calls before one may be lost in a power cut",
            self.sync_failures(),
        )
        yield GaugeMetricFamily("regraft_gateway_stream_up", "1 while the stream can be reached", self.stream_up)
        yield HistogramMetricFamily(
            "regraft_gateway_overhead_seconds",
            "Time of a call that was not spent waiting for the model server",
            buckets=self._cumulated(),
            sum_value=self._overhead_sum,
        )

    def _cumulated(self) -> list[tuple[str, float]]:
        total, found = 0, []
        for bound, count in zip([*map(str, OVERHEAD_BUCKETS), "+Inf"], self._overhead, strict=True):
            total += count
            found.append((bound, float(total)))
        return found
