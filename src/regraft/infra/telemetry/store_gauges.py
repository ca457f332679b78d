"""Gauges of `regraft metrics` from PostgreSQL, the stream and the workbench: exact, as of the last look."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreGauge:
    """One gauge. ``query`` names its query in ``infra/postgres/gauges.sql``; empty: it is not from PostgreSQL.
    ``label``: its only label; empty: it has none."""

    name: str
    meaning: str
    query: str = ""
    label: str = ""


STORE_UP = StoreGauge(name="regraft_store_up", meaning="1 while the store can be reached", label="store")
STREAM_PACKS = StoreGauge(
    name="regraft_stream_packs_waiting", meaning="Packs of captured calls that ingest has not stored"
)
STREAM_OLDEST = StoreGauge(
    name="regraft_stream_oldest_seconds", meaning="Age of the oldest pack that ingest has not stored: the ingest lag"
)
STREAM_REDELIVERED = StoreGauge(
    name="regraft_stream_redelivered", meaning="Packs that wait and were given to ingest before"
)
JUDGES_UNCALIBRATED = StoreGauge(
    name="regraft_store_judges_uncalibrated",
    meaning="Judges and categories in use that agree too little with people, or changed since they were compared",
)
REFRESHED = StoreGauge(
    name="regraft_store_refreshed_timestamp_seconds", meaning="Time of the last look at PostgreSQL, in Unix seconds"
)

_TRUTH = (
    StoreGauge(name="regraft_store_turns", meaning="Turns in the conversation graph", query="turns"),
    StoreGauge(name="regraft_store_turns_waiting", meaning="Turns that wait for the graph", query="turns_waiting"),
    StoreGauge(
        name="regraft_store_turns_failed", meaning="Turns that could not be placed in the graph", query="turns_failed"
    ),
    StoreGauge(name="regraft_store_sessions", meaning="Sessions", query="sessions"),
    StoreGauge(
        name="regraft_store_nodes", meaning="Nodes of the conversation graph", query="nodes", label="branch_kind"
    ),
    StoreGauge(
        name="regraft_store_quarantined",
        meaning="Calls in quarantine: refused cannot be read, waiting need an earlier call",
        query="quarantined",
        label="state",
    ),
    StoreGauge(name="regraft_store_replay_jobs", meaning="Jobs of replay plans", query="replay_jobs", label="status"),
    StoreGauge(
        name="regraft_store_review_items_open",
        meaning="Items of the review queue that need an answer",
        query="review_items_open",
    ),
    StoreGauge(
        name="regraft_store_review_oldest_seconds",
        meaning="Age of the item of the review queue that waits longest; 0 when none does",
        query="review_oldest_seconds",
    ),
    StoreGauge(name="regraft_store_labels", meaning="Judgements stored", query="labels", label="source"),
    StoreGauge(
        name="regraft_store_snapshots",
        meaning="Frozen datasets, without withdrawn ones",
        query="snapshots",
        label="kind",
    ),
    StoreGauge(
        name="regraft_store_snapshot_rows", meaning="Rows of frozen datasets", query="snapshot_rows", label="kind"
    ),
    StoreGauge(
        name="regraft_store_fracture_suspects_ratio",
        meaning="Share of the sessions of the last day that began in the middle of a conversation that is not stored",
        query="fracture_suspects",
    ),
    StoreGauge(name="regraft_store_bytes", meaning="Size of the store", query="bytes", label="part"),
)

STORE_GAUGES: tuple[StoreGauge, ...] = (
    STORE_UP,
    STREAM_PACKS,
    STREAM_OLDEST,
    STREAM_REDELIVERED,
    *_TRUTH,
    JUDGES_UNCALIBRATED,
    REFRESHED,
)
TRUTH_GAUGES = _TRUTH


class StoreFigures(Collector):
    """The last figures. A gauge that could not be read has no sample, so that no one takes an old figure for a new
    one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: dict[str, dict[str, float]] = {}

    def set(self, gauge: StoreGauge, values: Mapping[str, float] | float | None) -> None:
        """Show these values by label, or this one value; None: none."""
        found = {} if values is None else dict(values) if isinstance(values, Mapping) else {"": values}
        with self._lock:
            before = self._values.get(gauge.name, {})
            # A state that nothing is in any more is 0, not gone; what could not be read is gone.
            gone = dict.fromkeys(before, 0.0) if values is not None and gauge.label else {}
            self._values[gauge.name] = {**gone, **found}

    def mark(self, gauge: StoreGauge, label: str, value: float) -> None:
        """Show one value of a gauge; its others stay."""
        with self._lock:
            self._values.setdefault(gauge.name, {})[label] = value

    def collect(self) -> Iterator[Metric]:
        with self._lock:
            known = {name: dict(values) for name, values in self._values.items()}
        for gauge in STORE_GAUGES:
            family = GaugeMetricFamily(gauge.name, gauge.meaning, labels=[gauge.label] if gauge.label else [])
            for label, value in known.get(gauge.name, {}).items():
                family.add_metric([label] if gauge.label else [], value)
            yield family
