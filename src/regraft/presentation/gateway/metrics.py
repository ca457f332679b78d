"""What the gateway counts, in a registry of its own."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_OVERHEAD_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)


class Metrics:
    """The gateway's metrics. Children are kept, because looking one up by its labels costs more than counting."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._calls = Counter(
            "regraft_gateway_calls",
            "Calls answered, by endpoint, upstream and status class (cut: no status reached the client)",
            ["endpoint", "upstream", "status"],
            registry=self.registry,
        )
        self.captured = Counter("regraft_gateway_captured", "Calls written to the spool", registry=self.registry)
        self.capture_failures = Counter(
            "regraft_gateway_capture_failures",
            "Calls that were answered and could NOT be written to the spool",
            registry=self.registry,
        )
        self.cuts = Counter("regraft_gateway_cuts", "Answers cut before their end", ["by"], registry=self.registry)
        self.published = Counter(
            "regraft_gateway_published", "Calls acknowledged by the stream", registry=self.registry
        )
        self.spool_bytes = Gauge(
            "regraft_gateway_spool_bytes", "Bytes in the spool that the stream has not got", registry=self.registry
        )
        self.stream_up = Gauge("regraft_gateway_stream_up", "1 while the stream can be reached", registry=self.registry)
        self.overhead = Histogram(
            "regraft_gateway_overhead_seconds",
            "Time of a call that was not spent waiting for the model server",
            buckets=_OVERHEAD_BUCKETS,
            registry=self.registry,
        )
        self._children: dict[tuple[str, str, int], Counter] = {}

    def count_call(self, endpoint: str, upstream: str, status: int) -> None:
        key = (endpoint, upstream, status // 100)
        child = self._children.get(key)
        if child is None:
            klass = f"{status // 100}xx" if status else "cut"
            child = self._children[key] = self._calls.labels(endpoint, upstream, klass)
        child.inc()

    def render(self) -> bytes:
        return generate_latest(self.registry)
