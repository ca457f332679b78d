"""Spans for turns that were added to the conversation graph, with their node and branch kind."""

from __future__ import annotations

import logging
from collections.abc import Collection
from uuid import UUID

import psycopg

from regraft.domain.capture.trace_context import context_of_call, span_of_placement
from regraft.domain.errors import UnavailableError
from regraft.infra.postgres.capture import traces
from regraft.infra.postgres.lineage.graph import GraphRows
from regraft.infra.postgres.pool import reading_from
from regraft.infra.telemetry.span import AttributeValue, Span
from regraft.infra.telemetry.tracer import trace, trace_ratio

log = logging.getLogger(__name__)


def trace_placed(dsn: str, rows: GraphRows, turns: Collection[UUID], began_ns: int, ended_ns: int) -> None:
    """Export a span for each of these turns, as a child of its call's: its node, its parent and its kind of branch.

    ``rows`` were saved by the transaction that placed the turns. Calls of more than an hour ago are left out, so that
    a graph that is built again is not traced again.
    """
    ratio = trace_ratio()
    if ratio is None:
        return
    placed = set(turns)
    runs = [run for run in rows.runs if run.run_id in placed]
    if not runs:
        return
    try:
        with reading_from(dsn) as connection:
            calls = traces.of_events(connection, {run.event_id for run in runs})
    except (psycopg.Error, UnavailableError) as error:  # the turns are placed; nothing of this may undo that
        log.warning("placed turns are not traced: %s", error)
        return
    nodes = {node.node_id: node for node in rows.nodes}
    branches = {branch.turn_id: branch for branch in rows.branches}
    spans = []
    for run in runs:
        call, node, branch = calls.get(run.event_id), nodes.get(run.node_id), branches.get(run.run_id)
        if call is None:
            continue
        operation = call.operation_id.bytes if call.operation_id else b""
        own = context_of_call(call.event_id.bytes, operation, call.traceparent, ratio)
        if not own.sampled:
            continue
        kind = node.branch_kind if node is not None else None
        attributes: dict[str, AttributeValue | None] = {
            "gen_ai.conversation.id": str(run.session_id),
            "regraft.session.id": str(run.session_id),
            "regraft.turn.id": str(run.run_id),
            "regraft.node.id": str(run.node_id),
            "regraft.branch.kind": kind,
            "regraft.branch.index": branch.branch_index if branch is not None else None,
            "regraft.replay.fidelity": branch.fidelity if branch is not None else None,
        }
        if node is not None:
            parent = node.parent_node_id
            attributes |= {
                "regraft.node.depth": node.depth,
                "regraft.node.status": node.node_status,
                "regraft.parent.node.id": str(parent) if parent is not None else None,
                "regraft.parent.evidence": node.parent_evidence,
            }
        spans.append(
            Span(
                name=f"place {kind}" if kind else "place",
                trace_id=own.trace_id,
                span_id=span_of_placement(run.run_id),
                parent_id=own.span_id,
                started_ns=began_ns,
                ended_ns=ended_ns,
                attributes={name: value for name, value in attributes.items() if value is not None},
            )
        )
    trace(spans)
