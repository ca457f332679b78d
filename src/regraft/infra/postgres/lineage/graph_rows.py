"""Rows of the graph's staging tables; a field is a column."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from regraft.domain.ids import Digest, NodeId, SessionId


@dataclass(slots=True, kw_only=True)
class ThemeRow:
    """A theme, first named at ``created_at``."""

    theme_id: UUID
    name: str
    scope: str
    created_at: datetime


@dataclass(slots=True, kw_only=True)
class NodeRow:
    """A node. ``turn_id`` and ``parent_node_id`` are None for the root. ``affected``: its place was decided again."""

    node_id: NodeId
    session_id: SessionId
    parent_node_id: NodeId | None
    turn_id: UUID | None
    depth: int
    branch_kind: str
    branch_reason: str | None
    variant_config: str
    node_status: str
    context_snapshot_id: Digest
    parent_evidence: str
    runs: int
    affected: bool


@dataclass(slots=True, kw_only=True)
class RunRow:
    """One answer that a node was given. Durations in milliseconds; ``usage``, ``error`` and ``variant`` are JSON."""

    run_id: UUID
    session_id: SessionId
    node_id: NodeId
    event_id: UUID
    purpose: str
    theme_id: UUID | None
    task_key: str | None
    model: str | None
    model_snapshot_id: str | None
    backend: str
    run_status: str
    finish_reason: str | None
    answer_id: bytes | None
    prompt_tokens: int | None
    completion_tokens: int | None
    cached_tokens: int | None
    usage: str | None
    duration_ms: float
    first_byte_ms: float | None
    error: str | None
    sampling_id: bytes
    tools_id: bytes
    tool_calls: int
    variant: str | None
    taskification_id: UUID | None
    taskify_step: str | None
    started_at: datetime


@dataclass(slots=True, kw_only=True)
class BranchRow:
    """An answer as an alternative under its anchor. ``variant_config`` and ``first_divergence`` are JSON."""

    turn_id: UUID
    session_id: SessionId
    node_id: NodeId
    parent_node_id: NodeId
    context_anchor_turn_id: UUID
    branch_index: int
    branch_kind: str
    variant_config: str
    same_context: bool
    same_tools: bool
    is_replay: bool
    fidelity: float | None
    first_divergence: str | None
