"""The spans of stored calls: OpenTelemetry's conventions for generative AI, and where a call is in the graph.

They are made from what was stored, after the commit, so that no call waits for them. They hold ids, names from the
settings, names of models, times and counts; never what was said, a header, a key, or a name that a client gave its
session, theme or task. Source: https://github.com/open-telemetry/semantic-conventions-genai (v0.1.0).
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

import psycopg

from regraft.domain.capture.trace_context import TraceContext, context_of_call, read_traceparent, span_of_step
from regraft.domain.ids import Number
from regraft.domain.lineage.turn import Capture
from regraft.domain.orchestration.orchestration import BACKEND, PREFIX, SYNTHESIS
from regraft.domain.orchestration.plan import PLAN
from regraft.domain.orchestration.taskification import read_plan_header
from regraft.domain.usage import tokens
from regraft.flows.capture.call_facts import error_of, operation_of
from regraft.flows.capture.session_resolver import ParsedCall
from regraft.infra.postgres.capture import traces
from regraft.infra.postgres.pool import Connection
from regraft.infra.telemetry.span import AttributeValue, Span, SpanLink
from regraft.infra.telemetry.tracer import trace, trace_ratio

_LONGEST = 100  # characters of a name that a client or a model server chose
_WORD = re.compile(r"[a-z][a-z0-9_.:-]{0,39}", re.ASCII)
_LARGEST = 1e9  # of a real figure; more is a mistake
_OWN = "regraft"  # the provider of orchestrated calls
# Of sampling; the last of two names wins.
_WHOLE = {
    "max_tokens": "gen_ai.request.max_tokens",
    "max_completion_tokens": "gen_ai.request.max_tokens",
    "n": "gen_ai.request.choice.count",
    "seed": "gen_ai.request.seed",
    "top_k": "gen_ai.request.top_k",
}
_REAL = {
    "frequency_penalty": "gen_ai.request.frequency_penalty",
    "presence_penalty": "gen_ai.request.presence_penalty",
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
}
_Attributes = dict[str, AttributeValue]

log = logging.getLogger(__name__)


def trace_stored(
    connection: Connection, calls: Sequence[ParsedCall], placed: Mapping[UUID, Capture], new: Collection[UUID]
) -> None:
    """Export the spans of those calls that were stored for the first time; ``placed`` is where each of them went."""
    ratio = trace_ratio()
    if ratio is None:
        return
    stored = [call for call in calls if call.exchange.event_id in new]
    claimed = {claimed for call in stored for claimed in _replayed(placed.get(call.exchange.event_id))}
    try:
        originals = traces.of_claims(connection, claimed) if claimed else {}
    except psycopg.Error as error:  # the calls are stored; nothing of this may undo that
        log.warning("replays are traced without their nodes: %s", error)
        originals = {}
    for call in stored:
        try:
            spans = call_spans(call, placed.get(call.exchange.event_id), ratio, originals)
        except Exception:  # the calls are stored; a bug here must not have them stored again
            log.exception("the call %s cannot be traced", call.exchange.event_id)
            continue
        trace(spans)


def call_spans(
    call: ParsedCall,
    placed: Capture | None,
    ratio: float,
    originals: Mapping[UUID, traces.TracedCall] | None = None,
) -> list[Span]:
    """The span of a call, and those of its steps if it was orchestrated; none if its trace is not exported."""
    exchange = call.exchange
    own = _context(exchange.event_id, exchange.operation_id, exchange.traceparent, ratio)
    if not own.sampled:
        return []
    parent = read_traceparent(exchange.traceparent)
    orchestrated = exchange.upstream == BACKEND
    error = error_of(exchange, failed=call.answer.error is not None)
    attributes = _of_call(call, orchestrated=orchestrated)
    if error:
        attributes["error.type"] = error
    attributes |= _of_place(call, placed)
    operation, target = str(attributes["gen_ai.operation.name"]), _target(call, orchestrated=orchestrated)
    span = Span(
        name=f"{operation} {target}".strip(),
        trace_id=own.trace_id,
        span_id=own.span_id,
        parent_id=parent.span_id if parent is not None else "",
        kind="internal" if orchestrated else "client",
        started_ns=exchange.started_ns,
        ended_ns=exchange.started_ns + exchange.duration_ns,
        attributes=attributes,
        failed=bool(error),
        links=tuple(_links(placed, ratio, originals or {})),
    )
    report = call.answer.rest.get("regraft") if orchestrated else None
    return [span, *(_steps(report, span) if isinstance(report, Mapping) else ())]


def _of_call(call: ParsedCall, *, orchestrated: bool) -> _Attributes:
    exchange, request, answer = call.exchange, call.request, call.answer
    usage = tokens(answer.usage or {})
    first = exchange.first_byte_ns if request.streamed else None
    reasons = [_word(each.finish_reason) for each in answer.choices if each.finish_reason]
    found: dict[str, AttributeValue | None] = {
        "gen_ai.operation.name": "invoke_agent" if orchestrated else operation_of(exchange),
        "gen_ai.provider.name": _OWN if orchestrated else exchange.upstream,
        "gen_ai.request.model": _name(exchange.asked_model or request.model),
        "gen_ai.request.stream": request.streamed or None,
        "gen_ai.response.model": _name(answer.model),
        "gen_ai.response.id": _name(answer.rest.get("id")),
        "gen_ai.response.finish_reasons": reasons or None,
        "gen_ai.response.time_to_first_chunk": None if first is None else first / 1e9,
        "gen_ai.usage.input_tokens": usage.prompt,
        "gen_ai.usage.output_tokens": usage.completion,
        "gen_ai.usage.cache_read.input_tokens": usage.cached,
        "http.response.status_code": exchange.status or None,
        "regraft.turn.id": str(exchange.event_id),
        "regraft.endpoint": exchange.endpoint,
        "regraft.purpose": _word(exchange.identity.purpose),
        "regraft.client": exchange.identity.client,
        "regraft.tenant": exchange.scope,
    }
    if orchestrated:
        found["gen_ai.agent.name"] = _name(request.model.removeprefix(PREFIX))
    if exchange.operation_id is not None:
        found |= {"regraft.operation.id": str(exchange.operation_id), "regraft.attempt": exchange.attempt}
    plan, _ = read_plan_header(exchange.identity.plan)
    if plan is not None:
        found["regraft.plan.id"] = str(plan)
    for key, name in _WHOLE.items():
        if (count := _count(request.sampling.get(key))) is not None:
            found[name] = count
    for key, name in _REAL.items():
        found[name] = _real(request.sampling.get(key))
    return {name: value for name, value in found.items() if value is not None and value != "" and _fits(value)}


def _of_place(call: ParsedCall, placed: Capture | None) -> _Attributes:
    """The session and node of the call; none for a call that is not a turn."""
    if placed is None:
        return {}
    session = str(placed.session_id)
    found: _Attributes = {"gen_ai.conversation.id": session, "regraft.session.id": session}
    if placed.turns:
        found["regraft.node.id"] = str(placed.turns[0].node_id)
        found["regraft.node.status"] = placed.turns[0].node_status
        found["regraft.context.depth"] = placed.turns[0].context_depth
        if len(placed.turns) > 1:
            found["regraft.node.ids"] = [str(turn.node_id) for turn in placed.turns]
    if claimed := next(iter(_replayed(placed)), None):
        found["regraft.replay.node.id"] = str(claimed)
        found["regraft.replay.variant"] = call.exchange.identity.variant is not None
    return found


def _replayed(placed: Capture | None) -> list[UUID]:
    return [turn.replay_claim for turn in placed.turns if turn.replay_claim] if placed is not None else []


def _links(placed: Capture | None, ratio: float, originals: Mapping[UUID, traces.TracedCall]) -> Iterator[SpanLink]:
    """The call whose node this one replays."""
    for claimed in dict.fromkeys(_replayed(placed)):
        if (one := originals.get(claimed)) is not None:
            there = _context(one.event_id, one.operation_id, one.traceparent, ratio)
            yield SpanLink(there.trace_id, there.span_id, "replays")


def _steps(report: Mapping[str, Any], call: Span) -> Iterator[Span]:
    """The steps of an orchestrated call, from what its answer says of them: the calls of a step are its children."""
    try:
        taskification = UUID(str(report.get("taskification_id")))
    except ValueError:
        return
    steps = report.get("steps")
    listed: list[tuple[Any, str, Any]] = [(PLAN, "plan", report.get("plan"))]
    listed += [(each.get("id"), "work", each) for each in steps or () if isinstance(each, Mapping)]
    listed.append((SYNTHESIS, "answer", report.get("synthesis")))
    for index, (step, kind, told) in enumerate(listed):
        if not isinstance(told, Mapping) or not isinstance(step, str):
            continue
        began, seconds = _real(told.get("began_seconds")), _real(told.get("seconds"))
        if began is None or seconds is None:
            continue
        started = call.started_ns + int(began * 1e9)
        worker = _name(told.get("worker"))
        attributes: dict[str, AttributeValue | None] = {
            "gen_ai.operation.name": "invoke_agent" if worker else kind,
            "gen_ai.provider.name": _OWN,
            "gen_ai.agent.name": worker,
            "gen_ai.conversation.id": call.attributes.get("gen_ai.conversation.id"),
            "regraft.plan.id": str(taskification),
            "regraft.step.kind": kind,
            "regraft.step.index": index,
            "regraft.step.status": _word(told.get("status")),
            "regraft.step.attempts": _count(told.get("attempts")),
            "regraft.step.tool_calls": _count(told.get("tool_calls")),
        }
        yield Span(
            name=f"invoke_agent {worker}" if worker else kind,
            trace_id=call.trace_id,
            span_id=span_of_step(taskification, step),
            parent_id=call.span_id,
            started_ns=started,
            ended_ns=started + int(seconds * 1e9),
            attributes={name: value for name, value in attributes.items() if value is not None and value != ""},
            failed=told.get("status") == "failed",
        )


def _context(event_id: UUID, operation_id: UUID | None, traceparent: str, ratio: float) -> TraceContext:
    return context_of_call(event_id.bytes, operation_id.bytes if operation_id else b"", traceparent, ratio)


def _target(call: ParsedCall, *, orchestrated: bool) -> str:
    model = call.exchange.asked_model or call.request.model
    return _name(model.removeprefix(PREFIX) if orchestrated else model) or ""


def _name(value: object) -> str | None:
    """The beginning of a name that a client or a model server chose."""
    if not isinstance(value, str):
        return None
    name = value[:_LONGEST]
    return name if name.isprintable() else "".join(each if each.isprintable() else "?" for each in name)


def _word(value: object) -> str:
    """A word that is one of few, such as a reason; anything else may be content."""
    return value if isinstance(value, str) and _WORD.fullmatch(value) else "other"


def _real(value: object) -> float | None:
    """The number, if it is finite."""
    if not isinstance(value, int | float | Number) or isinstance(value, bool):
        return None
    try:
        real = float(value)
    except (OverflowError, ValueError):
        return None
    return real if math.isfinite(real) and abs(real) < _LARGEST else None


def _fits(value: AttributeValue) -> bool:
    """Whether the protocol has room for it: its whole numbers have 64 bits."""
    return not isinstance(value, int) or abs(value) < 1 << 63


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
