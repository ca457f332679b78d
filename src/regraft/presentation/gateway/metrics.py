"""The gateway's numbers.

Plain numbers on the path of a call; they become values of the registry only on a scrape.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry

from regraft.infra.telemetry.metrics import (
    GATEWAY_CALLS,
    GATEWAY_CAPTURE_FAILURES,
    GATEWAY_CAPTURED,
    GATEWAY_CUTS,
    GATEWAY_DRAINER_RESTARTS,
    GATEWAY_OPTED_OUT,
    GATEWAY_OVERHEAD,
    GATEWAY_PUBLISHED,
    GATEWAY_REFUSALS,
    GATEWAY_RETRIES,
    GATEWAY_STREAM_UP,
    GATEWAY_UPSTREAM_SECONDS,
    of_process,
)
from regraft.infra.telemetry.numbers import Histogram, Numbers, NumbersCollector, Sample, combined
from regraft.infra.telemetry.own_numbers import own_samples
from regraft.infra.telemetry.page import Page, page

DEFINITIONS = (*of_process("gateway"), *of_process("every"))
_CLASSES = (0, 2, 4, 5)  # of statuses; 0 is a call that was cut before one
_OVERHEAD_BUCKETS, _UPSTREAM_BUCKETS = GATEWAY_OVERHEAD.buckets, GATEWAY_UPSTREAM_SECONDS.buckets


class Metrics:
    """The gateway's numbers. ``gauges`` are asked for when they are shown; ``drainer`` is the drainer's process id."""

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
        self.drainer_restarts = 0
        self.drainer = 0
        self.gauges: Callable[[], Iterable[Sample]] = lambda: ()
        self._overhead = Histogram(_OVERHEAD_BUCKETS)
        self._upstreams: dict[str, Histogram] = {}

    def know_upstreams(self, names: Iterable[str]) -> None:
        """Show retries of these as 0 before the first: a series that is born with an event hides that event."""
        self.retries.update(dict.fromkeys(names, 0))

    def count_call(self, endpoint: str, upstream: str, status: int) -> None:
        """One call was answered; ``status`` 0 when no status reached the client."""
        self.calls[endpoint, upstream, status // 100] += 1

    def count_forwarded(self, endpoint: str, upstream: str, status: int, overhead: float, whole: float) -> None:
        """``count_call``, with the seconds that the gateway spent on it, and those of its last attempt.

        All in one function: it is called for each call.
        """
        self.calls[endpoint, upstream, status // 100] += 1
        histogram = self._overhead
        histogram.counts[bisect_left(_OVERHEAD_BUCKETS, overhead)] += 1
        histogram.total += overhead
        histogram = self._upstreams.get(upstream) or self._histogram_of(upstream)
        histogram.counts[bisect_left(_UPSTREAM_BUCKETS, whole)] += 1
        histogram.total += whole

    def _histogram_of(self, upstream: str) -> Histogram:
        histogram = self._upstreams[upstream] = Histogram(_UPSTREAM_BUCKETS)
        return histogram

    def count_refusal(self, status: int) -> None:
        """A request that was not valid HTTP, or was too large or too slow."""
        self.refusals[f"http_{status}"] += 1

    def render(self, others: Iterable[Numbers] = (), accept: str = "") -> Page:
        """The page for Prometheus, with the numbers of other processes added."""
        registry = CollectorRegistry()
        registry.register(NumbersCollector(combined((self.numbers(), *others), DEFINITIONS), DEFINITIONS))
        return page(registry, accept)

    def numbers(self) -> Numbers:
        """What was counted so far."""
        calls = dict(self.calls)
        # Of what was called all classes are shown, from 0 on: a series that is born with an event hides that event.
        shown = {(endpoint, upstream, klass): 0 for endpoint, upstream, _ in calls for klass in _CLASSES}
        samples = [
            Sample(GATEWAY_CALLS.name, count, (endpoint, upstream, f"{klass}xx" if klass else "cut"))
            for (endpoint, upstream, klass), count in {**shown, **calls}.items()
        ]
        for metric, counts in (
            (GATEWAY_CUTS, self.cuts),
            (GATEWAY_RETRIES, self.retries),
            (GATEWAY_REFUSALS, self.refusals),
        ):
            samples += [Sample(metric.name, count, (label,)) for label, count in list(counts.items())]
        samples += [
            Sample(GATEWAY_OPTED_OUT.name, self.opted_out),
            Sample(GATEWAY_CAPTURED.name, self.captured),
            Sample(GATEWAY_CAPTURE_FAILURES.name, self.capture_failures),
            Sample(GATEWAY_PUBLISHED.name, self.published),
            Sample(GATEWAY_STREAM_UP.name, self.stream_up),
            Sample(GATEWAY_DRAINER_RESTARTS.name, self.drainer_restarts),
            *self.gauges(),
            *own_samples([self.drainer] if self.drainer else []),
        ]
        times = [each.observations(GATEWAY_UPSTREAM_SECONDS, name) for name, each in list(self._upstreams.items())]
        return Numbers(samples, [self._overhead.observations(GATEWAY_OVERHEAD), *times])
