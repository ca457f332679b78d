"""A stored call in the live view: caller, model, tokens, times and outcome."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

Outcome = Literal["ok", "error", "cut"]
CallerKind = Literal["client", "agent", "orchestrator", "replay", "program"]

_ORCHESTRATED = frozenset({"taskify", "worker", "orchestrator"})  # purposes of an orchestrator's own calls


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveCall:
    """One call. ``seq`` is its number in the log; times are in milliseconds, tokens None where they are unknown.

    ``caller`` asked ``model`` of ``upstream``. ``step`` is that of an orchestrator's plan. ``question`` is how the last
    message begins, where that was a user's. ``session_id`` and ``node_id`` are None for a call without a turn: an
    attempt that was retried, or a request without messages.
    """

    seq: int
    event_id: UUID
    received_at: datetime
    started_at: datetime
    duration_ms: float
    first_byte_ms: float | None
    scope: str
    endpoint: str
    caller: str
    caller_kind: CallerKind
    upstream: str
    model: str
    purpose: str
    step: str
    plan_id: str | None
    theme: str | None
    task: str | None
    outcome: Outcome
    http_status: int
    streamed: bool
    attempt: int
    final: bool
    prompt_tokens: int | None
    completion_tokens: int | None
    tool_calls: int
    session_id: UUID | None
    node_id: UUID | None
    question: str | None


def caller_of(purpose: str, upstream: str, client: str | None, agent: str | None) -> tuple[CallerKind, str]:
    """The caller and its kind: ``upstream`` distinguishes an orchestrator's own calls from those to it."""
    if purpose in _ORCHESTRATED and upstream != "orchestrator":
        return "orchestrator", "orchestrator"
    if purpose == "replay":
        return "replay", "replay"
    name = client or "client"
    if agent:
        return "agent", f"{name} / {agent}"
    if purpose in ("chat", "orchestrator") or purpose.startswith("side:"):
        return "client", name
    return "program", purpose


def outcome_of(http_status: int, cut: str, *, told_error: bool) -> Outcome:
    """How a call ended: a status other than 2xx or an error in the answer, or before its end, or well."""
    if told_error or not 200 <= http_status < 300:
        return "error"
    return "cut" if cut else "ok"
