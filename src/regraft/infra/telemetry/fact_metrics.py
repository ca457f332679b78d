"""The series that are made of facts: one table, which the bridge applies and Vector's configuration is written from.

Names and labels follow OpenTelemetry's conventions for generative AI where they have one, in Prometheus spelling:
https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/. Their advice on buckets is followed too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from regraft.infra.telemetry.facts import (
    CallsImported,
    CallsPublished,
    CallsQuarantined,
    CallStored,
    Fact,
    GraphBuilt,
    JobEnded,
    JudgementMade,
    LabelGiven,
    NodesAdded,
    OrchestrationCallEnded,
    OrchestrationEnded,
    ReviewAnswered,
    RolloutPlaced,
    RowsExported,
    SnapshotFrozen,
    SnapshotVerified,
)

GEN_AI_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
GEN_AI_TOKENS = tuple(float(4**power) for power in range(14))  # 1 to 67,108,864
LONG_SECONDS = (0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
SCORES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class FactMetric:
    """One series by fact. ``value``: the field that is added or observed, 1 if it is empty; a fact whose field is null
    adds nothing. ``labels``: label -> field; ``constants``: label -> value. ``name`` is that of its samples, but for
    the suffixes of a histogram."""

    name: str
    kind: Literal["counter", "histogram"]
    meaning: str
    fact: type[Fact]
    value: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)
    buckets: tuple[float, ...] = ()

    @property
    def label_names(self) -> tuple[str, ...]:
        """All labels, in order."""
        return (*self.labels, *self.constants)

    def value_of(self, fact: Fact) -> float | None:
        """What the fact adds or is observed as."""
        if not self.value:
            return 1.0
        value = getattr(fact, self.value)
        return None if value is None else float(value)

    def labels_of(self, fact: Fact) -> tuple[str, ...]:
        """The values of ``label_names``."""
        return (*(str(getattr(fact, each)) for each in self.labels.values()), *self.constants.values())


_MODEL = {
    "gen_ai_operation_name": "operation",
    "gen_ai_provider_name": "provider",
    "gen_ai_request_model": "model",
}
_TOKENS = "Tokens that calls read (input) and wrote (output), as the model server counted them"

FACT_METRICS: tuple[FactMetric, ...] = (
    FactMetric(
        name="gen_ai_client_operation_duration_seconds",
        kind="histogram",
        meaning="Time from a request to the end of its answer, of calls that were stored",
        fact=CallStored,
        value="duration_seconds",
        labels={**_MODEL, "error_type": "error"},
        buckets=GEN_AI_SECONDS,
    ),
    FactMetric(
        name="gen_ai_client_operation_time_to_first_chunk_seconds",
        kind="histogram",
        meaning="Time from a request to the first byte of its answer, of streamed calls",
        fact=CallStored,
        value="first_chunk_seconds",
        labels=_MODEL,
        buckets=GEN_AI_SECONDS,
    ),
    FactMetric(
        name="gen_ai_client_token_usage",
        kind="histogram",
        meaning=_TOKENS,
        fact=CallStored,
        value="input_tokens",
        labels=_MODEL,
        constants={"gen_ai_token_type": "input"},
        buckets=GEN_AI_TOKENS,
    ),
    FactMetric(
        name="gen_ai_client_token_usage",
        kind="histogram",
        meaning=_TOKENS,
        fact=CallStored,
        value="output_tokens",
        labels=_MODEL,
        constants={"gen_ai_token_type": "output"},
        buckets=GEN_AI_TOKENS,
    ),
    FactMetric(
        name="regraft_capture_calls_total",
        kind="counter",
        meaning="Calls stored for the first time, by purpose and client",
        fact=CallStored,
        labels={"purpose": "purpose", "client": "client"},
    ),
    FactMetric(
        name="regraft_capture_published_total",
        kind="counter",
        meaning="Calls that gateways moved from their spools to the stream",
        fact=CallsPublished,
        value="calls",
    ),
    FactMetric(
        name="regraft_capture_published_bytes_total",
        kind="counter",
        meaning="Bytes of the calls that gateways moved to the stream, as they travel",
        fact=CallsPublished,
        value="bytes",
    ),
    FactMetric(
        name="regraft_capture_quarantined_total",
        kind="counter",
        meaning="Calls set aside, by reason: unreadable, refused (a client's own mistake), waiting",
        fact=CallsQuarantined,
        value="calls",
        labels={"reason": "reason"},
    ),
    FactMetric(
        name="regraft_capture_imported_total",
        kind="counter",
        meaning="Calls of imported files stored for the first time",
        fact=CallsImported,
        value="calls",
        labels={"format": "format"},
    ),
    FactMetric(
        name="regraft_lineage_turns_placed_total",
        kind="counter",
        meaning="Turns placed in the conversation graph",
        fact=GraphBuilt,
        value="turns",
    ),
    FactMetric(
        name="regraft_lineage_turns_failed_total",
        kind="counter",
        meaning="Turns that could not be placed and were set aside",
        fact=GraphBuilt,
        value="failed",
    ),
    FactMetric(
        name="regraft_lineage_build_seconds",
        kind="histogram",
        meaning="Time of a transaction that places turns",
        fact=GraphBuilt,
        value="seconds",
        buckets=LONG_SECONDS,
    ),
    FactMetric(
        name="regraft_lineage_nodes_total",
        kind="counter",
        meaning="Nodes added to the conversation graph",
        fact=NodesAdded,
        value="nodes",
        labels={"branch_kind": "branch_kind"},
    ),
    FactMetric(
        name="regraft_replay_jobs_total",
        kind="counter",
        meaning="Jobs of replay plans that ended",
        fact=JobEnded,
        labels={"status": "status"},
    ),
    FactMetric(
        name="regraft_replay_job_seconds",
        kind="histogram",
        meaning="Time of a job of a replay plan, from its first call to its last",
        fact=JobEnded,
        value="seconds",
        buckets=LONG_SECONDS,
    ),
    FactMetric(
        name="regraft_replay_fidelity",
        kind="histogram",
        meaning="Share of tool results from the record, of calls of rollouts that were placed in the graph",
        fact=RolloutPlaced,
        value="fidelity",
        buckets=SCORES,
    ),
    FactMetric(
        name="regraft_orchestration_calls_total",
        kind="counter",
        meaning="Calls of orchestrated requests: who asked whom, for which step, with what result",
        fact=OrchestrationCallEnded,
        labels={
            "orchestrator": "orchestrator",
            "caller": "caller",
            "worker": "worker",
            "step": "step",
            "result": "result",
        },
    ),
    FactMetric(
        name="regraft_orchestration_call_seconds",
        kind="histogram",
        meaning="Time of a call of an orchestrated request, with its retries and tools",
        fact=OrchestrationCallEnded,
        value="seconds",
        labels={"orchestrator": "orchestrator", "caller": "caller", "worker": "worker"},
        buckets=LONG_SECONDS,
    ),
    FactMetric(
        name="regraft_orchestration_plans_total",
        kind="counter",
        meaning="Orchestrated requests that ended",
        fact=OrchestrationEnded,
        labels={"orchestrator": "orchestrator", "result": "result"},
    ),
    FactMetric(
        name="regraft_orchestration_plan_seconds",
        kind="histogram",
        meaning="Time of an orchestrated request",
        fact=OrchestrationEnded,
        value="seconds",
        labels={"orchestrator": "orchestrator"},
        buckets=LONG_SECONDS,
    ),
    FactMetric(
        name="regraft_evaluation_judgements_total",
        kind="counter",
        meaning="Answers of judges",
        fact=JudgementMade,
        labels={"judge": "judge", "result": "result"},
    ),
    FactMetric(
        name="regraft_evaluation_score",
        kind="histogram",
        meaning="Scores from 0 to 1 that judges gave",
        fact=JudgementMade,
        value="score",
        labels={"judge": "judge"},
        buckets=SCORES,
    ),
    FactMetric(
        name="regraft_evaluation_labels_total",
        kind="counter",
        meaning="Ratings and preferences stored",
        fact=LabelGiven,
        labels={"source": "source", "kind": "kind"},
    ),
    FactMetric(
        name="regraft_evaluation_review_seconds",
        kind="histogram",
        meaning="Time from claiming an item of the review queue to its answer",
        fact=ReviewAnswered,
        value="seconds",
        labels={"kind": "kind"},
        buckets=LONG_SECONDS,
    ),
    FactMetric(
        name="regraft_datasets_snapshots_total",
        kind="counter",
        meaning="Datasets frozen",
        fact=SnapshotFrozen,
        labels={"kind": "kind"},
    ),
    FactMetric(
        name="regraft_datasets_rows_total",
        kind="counter",
        meaning="Rows frozen",
        fact=SnapshotFrozen,
        value="rows",
        labels={"kind": "kind"},
    ),
    FactMetric(
        name="regraft_datasets_rows_refused_total",
        kind="counter",
        meaning="Paths that gave no row when a dataset was frozen",
        fact=SnapshotFrozen,
        value="refused",
        labels={"kind": "kind"},
    ),
    FactMetric(
        name="regraft_datasets_freeze_seconds",
        kind="histogram",
        meaning="Time of a freeze",
        fact=SnapshotFrozen,
        value="seconds",
        labels={"kind": "kind"},
        buckets=LONG_SECONDS,
    ),
    FactMetric(
        name="regraft_datasets_verifications_total",
        kind="counter",
        meaning="Snapshots compared with the log: held or broken",
        fact=SnapshotVerified,
        labels={"result": "result"},
    ),
    FactMetric(
        name="regraft_datasets_rows_exported_total",
        kind="counter",
        meaning="Rows written in a trainer's format",
        fact=RowsExported,
        value="rows",
        labels={"format": "format"},
    ),
)
