"""The facts of stored calls, for metrics: the operation, its model, times and tokens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from uuid import UUID

from regraft.domain.capture.dialects import COMPLETIONS, EMBEDDINGS, OLLAMA_GENERATE
from regraft.domain.capture.exchange import Exchange
from regraft.domain.usage import tokens
from regraft.flows.capture.session_resolver import WAITING, ParsedCall
from regraft.infra.telemetry.bounded_labels import BoundedLabels
from regraft.infra.telemetry.emitter import emit
from regraft.infra.telemetry.facts import CallsQuarantined, CallStored

# OpenTelemetry's words for what was asked of a model; everything else is a chat.
_OPERATIONS = {COMPLETIONS: "text_completion", OLLAMA_GENERATE: "text_completion", EMBEDDINGS: "embeddings"}
_REFUSED = "refused:"

_model, _purpose, _client, _provider = BoundedLabels(), BoundedLabels(50), BoundedLabels(50), BoundedLabels(50)


def emit_stored(calls: Sequence[ParsedCall], new: Collection[UUID]) -> None:
    """Tell the facts of those calls that were stored for the first time."""
    for call in calls:
        if call.exchange.event_id in new:
            emit(_fact(call))


def emit_quarantined(reasons: Iterable[str]) -> None:
    """Tell how many calls were set aside, by kind of reason."""
    kinds = Counter(
        "waiting" if each.startswith(WAITING) else "refused" if each.startswith(_REFUSED) else "unreadable"
        for each in reasons
    )
    for reason, calls in kinds.items():
        emit(CallsQuarantined(reason=reason, calls=calls))


def _fact(call: ParsedCall) -> CallStored:
    exchange, usage = call.exchange, tokens(call.answer.usage or {})
    first = exchange.first_byte_ns if call.request.streamed else None
    return CallStored(
        operation=operation_of(exchange),
        provider=_provider(exchange.upstream),
        model=_model(call.request.model or call.answer.model or ""),
        purpose=_purpose(exchange.identity.purpose),
        client=_client(exchange.identity.client or ""),
        error=error_of(exchange, failed=call.answer.error is not None),
        duration_seconds=exchange.duration_ns / 1e9,
        first_chunk_seconds=None if first is None else first / 1e9,
        input_tokens=usage.prompt,
        output_tokens=usage.completion,
    )


def operation_of(exchange: Exchange) -> str:
    """What was asked of the model, in OpenTelemetry's words."""
    return _OPERATIONS.get(exchange.endpoint, "chat")


def error_of(exchange: Exchange, *, failed: bool) -> str:
    """How a call failed: an HTTP status, ``cut_client``, ``cut_upstream`` or ``failed``; empty if it did not."""
    if exchange.status >= 400:
        return str(exchange.status) if exchange.status < 600 else "failed"
    if exchange.cut:
        return f"cut_{exchange.cut}"
    return "failed" if failed or exchange.error or not exchange.status else ""
