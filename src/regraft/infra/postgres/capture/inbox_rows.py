"""Rows of the execution log's staging tables; a field is a column."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from regraft.domain.ids import Digest, SessionId, TurnId


@dataclass(slots=True, kw_only=True)
class MessageRow:
    """``body``: canonical JSON. ``anchors``: fingerprints that the message can be recognised by."""

    message_id: Digest
    role: str | None
    body: str
    anchors: list[int] | None


@dataclass(slots=True, kw_only=True)
class ContextRow:
    """One step of a history."""

    context_id: Digest
    parent_id: Digest | None
    message_id: Digest
    depth: int
    projection_id: Digest


@dataclass(slots=True, kw_only=True)
class PartRow:
    """A component of requests: ``kind`` is ``tools``, ``sampling`` or ``other``; ``body`` canonical JSON."""

    part_id: Digest
    kind: str
    body: str


@dataclass(slots=True, kw_only=True)
class SessionRow:
    """``external_id``: the client's name of the session; ``evidence``: what the session is known by."""

    session_id: SessionId
    scope: str
    external_id: str | None
    evidence: str


@dataclass(slots=True, kw_only=True)
class EventRow:
    """A captured call. Durations in milliseconds; ``error``, ``usage``, ``answer_rest`` and ``identity`` are JSON."""

    event_id: UUID
    scope: str
    endpoint: str
    upstream: str
    upstream_pin: str
    purpose: str | None
    started_at: datetime
    duration_ms: float
    first_byte_ms: float | None
    http_status: int
    streamed: bool
    cut: str
    error: str | None
    model_requested: str | None
    model_answered: str | None
    context_id: Digest | None
    tools_id: Digest
    sampling_id: Digest
    other_id: Digest
    usage: str | None
    system_fingerprint: str | None
    answer_rest: str
    identity: str
    projection_version: int
    gateway_version: str
    operation_id: UUID | None
    attempt: int
    final: bool
    traceparent: str | None
    asked_model: str | None


@dataclass(slots=True, kw_only=True)
class TurnRow:
    """One choice of a call's answer. ``filed_by``: the evidence that chose the session."""

    turn_id: TurnId
    event_id: UUID
    choice_index: int
    session_id: SessionId
    context_id: Digest
    context_projection: Digest
    context_depth: int
    answer_id: Digest | None
    answer_projection: Digest
    node_id: UUID
    node_status: str
    finish_reason: str | None
    tool_calls: int
    started_at: datetime
    purpose: str | None
    system_digest: Digest
    user_digest: Digest
    awaited_projection: Digest | None
    parent_claim: UUID | None
    replay_claim: UUID | None
    filed_by: str


@dataclass(slots=True, kw_only=True)
class ResponseRow:
    """The id by which later calls of the tenant may continue a turn."""

    scope: str
    response_id: str
    turn_id: TurnId


@dataclass(slots=True, kw_only=True)
class FeedbackRow:
    """A rating or comment about a turn or a session."""

    feedback_id: UUID
    scope: str
    turn_id: UUID | None
    session_id: UUID | None
    session_claim: UUID | None
    name: str | None
    value: float | None
    comment: str | None
    source: str | None
    given_at: datetime
    imported: bool
    annotator: str | None
    given_by: str | None
    comparison: str | None
    scale_low: float | None
    scale_high: float | None


@dataclass(slots=True, kw_only=True)
class QuarantineRow:
    """A call that was not read: ``event`` is its record, ``waits_for`` the key of the call that it waits for."""

    event_id: UUID
    reason: str
    event: bytes
    waits_for: str | None
