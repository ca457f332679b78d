"""Every metric that a process counts itself.

The gateway counts on the path of a call and keeps plain numbers of its own (``presentation/gateway/metrics.py``), which
become families of this registry on a scrape. What the values of the labels may be is in ``labels``.
"""

from __future__ import annotations

from regraft.infra.telemetry.definition import (
    GEN_AI_SECONDS,
    LAG_SECONDS,
    OVERHEAD_SECONDS,
    SECONDS,
    MetricDefinition,
    Process,
)

GATEWAY_CALLS = MetricDefinition(
    "gateway",
    "regraft_gateway_calls",
    "counter",
    "Calls answered, by endpoint, upstream and class of status (cut: no status reached the client)",
    unit="calls",
    labels=("endpoint", "upstream", "status"),
)
GATEWAY_IN_FLIGHT = MetricDefinition(
    "gateway",
    "regraft_gateway_calls_in_flight",
    "gauge",
    "Calls whose answer has not ended, those that wait for their turn included",
    unit="calls",
)
GATEWAY_WAITING = MetricDefinition(
    "gateway",
    "regraft_gateway_calls_waiting",
    "gauge",
    "Calls that wait for their turn at a limit of calls at once, of an upstream or of all keys together",
    unit="calls",
    labels=("limit", "upstream"),
)
GATEWAY_CALLS_LIMIT = MetricDefinition(
    "gateway",
    "regraft_gateway_upstream_calls_limit",
    "gauge",
    "Calls that an upstream is sent at once (max_concurrency); absent without a limit",
    unit="calls",
    labels=("upstream",),
)
GATEWAY_CONNECTIONS = MetricDefinition(
    "gateway", "regraft_gateway_connections", "gauge", "Open connections of clients", unit="connections"
)
GATEWAY_CUTS = MetricDefinition(
    "gateway", "regraft_gateway_cuts", "counter", "Answers cut before their end", unit="calls", labels=("by",)
)
GATEWAY_RETRIES = MetricDefinition(
    "gateway",
    "regraft_gateway_retries",
    "counter",
    "Attempts that failed and were followed by another",
    unit="attempts",
    labels=("upstream",),
)
GATEWAY_REFUSALS = MetricDefinition(
    "gateway",
    "regraft_gateway_refusals",
    "counter",
    "Requests that the gateway refused itself",
    unit="requests",
    labels=("reason",),
)
GATEWAY_OPTED_OUT = MetricDefinition(
    "gateway",
    "regraft_gateway_opted_out",
    "counter",
    "Calls whose client asked that they not be captured",
    unit="calls",
)
GATEWAY_CAPTURED = MetricDefinition(
    "gateway", "regraft_gateway_captured", "counter", "Calls written to the spool", unit="calls"
)
GATEWAY_CAPTURE_FAILURES = MetricDefinition(
    "gateway",
    "regraft_gateway_capture_failures",
    "counter",
    "Calls that were answered and could NOT be written to the spool",
    unit="calls",
)
GATEWAY_PUBLISHED = MetricDefinition(
    "gateway", "regraft_gateway_published", "counter", "Calls acknowledged by the stream", unit="calls"
)
GATEWAY_SPOOL_BYTES = MetricDefinition(
    "gateway",
    "regraft_gateway_spool_bytes",
    "gauge",
    "Bytes in the spool that the stream has not got",
    unit="bytes",
)
GATEWAY_SPOOL_LIMIT = MetricDefinition(
    "gateway",
    "regraft_gateway_spool_limit_bytes",
    "gauge",
    "Bytes that the spool may hold; beyond it calls are answered and not captured",
    unit="bytes",
)
GATEWAY_SPOOL_SEGMENTS = MetricDefinition(
    "gateway",
    "regraft_gateway_spool_segments",
    "gauge",
    "Files of the spool, the one that is being written included",
    unit="segments",
)
GATEWAY_SPOOL_SYNC_FAILURES = MetricDefinition(
    "gateway",
    "regraft_gateway_spool_sync_failures",
    "counter",
    "Syncs of the spool that failed: calls before one may be lost in a power cut",
    unit="syncs",
)
GATEWAY_STREAM_UP = MetricDefinition(
    "gateway", "regraft_gateway_stream_up", "gauge", "1 while the stream can be reached", across="max"
)
GATEWAY_DRAINER_RESTARTS = MetricDefinition(
    "gateway",
    "regraft_gateway_drainer_restarts",
    "counter",
    "Times that the process which moves calls to the stream had ended and was started again",
    unit="starts",
)
GATEWAY_BODY_MEMORY = MetricDefinition(
    "gateway",
    "regraft_gateway_body_memory_bytes",
    "gauge",
    "Memory that large bodies in flight use",
    unit="bytes",
)
GATEWAY_BODY_MEMORY_LIMIT = MetricDefinition(
    "gateway",
    "regraft_gateway_body_memory_limit_bytes",
    "gauge",
    "Memory that large bodies in flight may use (gateway.body_memory); the rest is in files",
    unit="bytes",
)
GATEWAY_OVERHEAD = MetricDefinition(
    "gateway",
    "regraft_gateway_overhead_seconds",
    "histogram",
    "Time of a call that was not spent waiting for the model server",
    unit="seconds",
    buckets=OVERHEAD_SECONDS,
)
GATEWAY_UPSTREAM_SECONDS = MetricDefinition(
    "gateway",
    "regraft_gateway_upstream_seconds",
    "histogram",
    "Time from sending a call to a model server to the end of its answer; of the last attempt",
    unit="seconds",
    labels=("upstream",),
    buckets=GEN_AI_SECONDS,
)

INGEST_CALLS = MetricDefinition(
    "ingest",
    "regraft_ingest_calls",
    "counter",
    "Calls taken from the stream, those delivered again included",
    unit="calls",
)
INGEST_TURNS = MetricDefinition(
    "ingest", "regraft_ingest_turns", "counter", "Calls stored for the first time", unit="calls"
)
INGEST_QUARANTINED = MetricDefinition(
    "ingest", "regraft_ingest_quarantined", "counter", "Calls that could not be read", unit="calls"
)
INGEST_WAITING = MetricDefinition(
    "ingest", "regraft_ingest_waiting", "counter", "Calls set aside until an earlier one is stored", unit="calls"
)
INGEST_RESUMED = MetricDefinition(
    "ingest", "regraft_ingest_resumed", "counter", "Calls stored after they had waited", unit="calls"
)
INGEST_SLOW = MetricDefinition(
    "ingest",
    "regraft_ingest_slow",
    "counter",
    "Calls that take long to read, which a process of its own reads",
    unit="calls",
)
INGEST_FAILURES = MetricDefinition(
    "ingest",
    "regraft_ingest_failures",
    "counter",
    "Times that PostgreSQL or the stream failed; the batch is tried again",
    unit="failures",
)
INGEST_CONNECTED = MetricDefinition(
    "ingest", "regraft_ingest_connected", "gauge", "1 while the stream and PostgreSQL can be reached"
)
INGEST_BATCH_SECONDS = MetricDefinition(
    "ingest",
    "regraft_ingest_batch_seconds",
    "histogram",
    "Time from a batch's arrival to its commit",
    unit="seconds",
    buckets=SECONDS,
)
INGEST_LAG = MetricDefinition(
    "ingest",
    "regraft_ingest_lag_seconds",
    "histogram",
    "Time from the end of a call, by the gateway's clock, to the commit of its batch, by ours; of every call delivered",
    unit="seconds",
    buckets=LAG_SECONDS,
)
INGEST_COMMITTED = MetricDefinition(
    "ingest",
    "regraft_ingest_last_commit_timestamp_seconds",
    "gauge",
    "When the last batch was committed, in seconds since 1970; absent before the first",
    unit="seconds",
)

WEB_REQUESTS = MetricDefinition(
    "web",
    "regraft_web_requests",
    "counter",
    "Requests answered, by route (below /api) and status",
    unit="requests",
    labels=("route", "status"),
)
WEB_IN_FLIGHT = MetricDefinition(
    "web",
    "regraft_web_requests_in_flight",
    "gauge",
    "Requests whose answer has not ended, streams of live events included",
    unit="requests",
)
WEB_SECONDS = MetricDefinition(
    "web",
    "regraft_web_request_seconds",
    "histogram",
    "Time from a request to the end of its answer",
    unit="seconds",
    buckets=SECONDS,
)

BUILD_INFO = MetricDefinition(
    "every", "regraft_build_info", "gauge", "1, by the version that runs", labels=("version",), across="max"
)
PROCESS_CPU = MetricDefinition(
    "every",
    "process_cpu_seconds",
    "counter",
    "Processor time of the service's processes, user and system, that of ended children included",
    unit="seconds",
)
PROCESS_MEMORY = MetricDefinition(
    "every", "process_resident_memory_bytes", "gauge", "Resident memory of the service's processes", unit="bytes"
)
PROCESS_START = MetricDefinition(
    "every",
    "process_start_time_seconds",
    "gauge",
    "When the process was started, the earliest of several, in seconds since 1970",
    unit="seconds",
    across="min",
)
PROCESS_FDS = MetricDefinition(
    "every", "process_open_fds", "gauge", "Open file descriptors of the service's processes", unit="descriptors"
)
PROCESS_MAX_FDS = MetricDefinition(
    "every", "process_max_fds", "gauge", "File descriptors that a process may open", unit="descriptors", across="min"
)

FACTS_PUBLISHED = MetricDefinition(
    "every",
    "regraft_facts_published",
    "counter",
    "Facts that the stream has got; absent where a process publishes none",
    unit="facts",
)
FACTS_DROPPED = MetricDefinition(
    "every",
    "regraft_facts_dropped",
    "counter",
    "Facts lost because the stream was away for long; metrics made of facts lack them",
    unit="facts",
)

SPANS_EXPORTED = MetricDefinition(
    "every", "regraft_spans_exported", "counter", "Spans that the receiver took; absent without traces", unit="spans"
)
SPANS_DROPPED = MetricDefinition(
    "every",
    "regraft_spans_dropped",
    "counter",
    "Spans lost because the receiver did not take them in time",
    unit="spans",
)

DEFINITIONS = tuple(each for each in list(globals().values()) if isinstance(each, MetricDefinition))


def of_process(process: Process) -> tuple[MetricDefinition, ...]:
    """The metrics of one kind of process."""
    return tuple(each for each in DEFINITIONS if each.process == process)
