"""The gateway's numbers.

Plain numbers on the path of a call; they become Prometheus families only on a scrape.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from regraft.infra.telemetry.metrics import (
    GATEWAY_CALLS,
    GATEWAY_CAPTURE_FAILURES,
    GATEWAY_CAPTURED,
    GATEWAY_CUTS,
    GATEWAY_OPTED_OUT,
    GATEWAY_OVERHEAD,
    GATEWAY_PUBLISHED,
    GATEWAY_REFUSALS,
    GATEWAY_RETRIES,
    GATEWAY_SPOOL_BYTES,
    GATEWAY_SPOOL_SYNC_FAILURES,
    GATEWAY_STREAM_UP,
)

Numbers = dict[str, Any]  # what one process has counted, as JSON

OVERHEAD_BUCKETS = GATEWAY_OVERHEAD.buckets


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
        calls = GATEWAY_CALLS.family()
        for (endpoint, upstream, klass), count in list(self.calls.items()):
            calls.add_metric([endpoint, upstream, f"{klass}xx" if klass else "cut"], count)
        yield calls
        labelled = ((GATEWAY_CUTS, self.cuts), (GATEWAY_RETRIES, self.retries), (GATEWAY_REFUSALS, self.refusals))
        for definition, counts in labelled:
            family = definition.family()
            for label, count in list(counts.items()):
                family.add_metric([label], count)
            yield family
        yield GATEWAY_OPTED_OUT.single(self.opted_out)
        yield GATEWAY_CAPTURED.single(self.captured)
        yield GATEWAY_CAPTURE_FAILURES.single(self.capture_failures)
        yield GATEWAY_PUBLISHED.single(self.published)
        yield GATEWAY_SPOOL_BYTES.single(self.spool_bytes())
        yield GATEWAY_SPOOL_SYNC_FAILURES.single(self.sync_failures())
        yield GATEWAY_STREAM_UP.single(self.stream_up)
        yield GATEWAY_OVERHEAD.histogram(self._overhead, self._overhead_sum)
