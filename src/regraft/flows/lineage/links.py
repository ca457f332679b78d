"""Conversations that other conversations started: linked by turns, never merged."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from regraft.domain.ids import parse_json
from regraft.domain.lineage.fingerprints import ARGUMENT, arguments_of, calls_of, text_anchor
from regraft.infra.postgres.capture.inbox import storable
from regraft.infra.postgres.lineage import graph as store
from regraft.infra.postgres.pool import Connection


def links_of(connection: Connection, new: Collection[UUID]) -> list[store.Link]:
    """The links that new turns make or change, each under its own evidence."""
    found = [
        store.Link(row["to_turn_id"], "explicit_parent", row["from_turn_id"], None, "the client named it as the parent")
        for row in store.links(connection, new, "claims")
    ]
    named = store.links(connection, new, "agents")
    if named:
        store.drop_agent_links(connection, [row["to_session_id"] for row in named])
    found += [
        store.Link(
            row["to_turn_id"], "client_agent", row["from_turn_id"], None, "the client named the agent and its session"
        )
        for row in named
        if row["from_turn_id"]
    ]
    for row in store.links(connection, new, "tasks"):
        call_id = _call_with(row["answer"], row["anchor"])
        words = "its first words are an argument of a tool call"
        found.append(store.Link(row["to_turn_id"], "task_text", row["from_turn_id"], call_id, words))
    for row in store.links(connection, new, "results"):
        words = "its answer is the result of a tool call"
        call_id = _first_call(row["answer"], row["call_ids"])
        found.append(store.Link(row["to_turn_id"], "result_text", row["from_turn_id"], call_id, words))
    traced = store.links(connection, new, "traces")
    if traced:
        store.drop_trace_links(connection, [row["to_turn_id"] for row in traced])
    found += [
        store.Link(row["to_turn_id"], "trace", row["from_turn_id"], None, f"both are of trace {row['trace']}")
        for row in traced
        if row["from_turn_id"]
    ]
    return found


def _call_with(answer: str, anchor: int) -> str | None:
    """The id of the first tool call of an answer that has this text among its arguments."""
    for call in calls_of(parse_json(answer)):
        if any(text_anchor(text, ARGUMENT) == anchor for text in arguments_of(call)):
            call_id = call.get("id")
            return storable(call_id) if isinstance(call_id, str) else None
    return None


def _first_call(answer: str, call_ids: Collection[str | None]) -> str | None:
    """Of these ids of tool calls, that of the answer's first call; the lowest one where the answer has none of them."""
    known = {call_id for call_id in call_ids if call_id is not None}
    made = (storable(call.get("id")) for call in calls_of(parse_json(answer)) if isinstance(call.get("id"), str))
    return next((call_id for call_id in made if call_id in known), min(known, default=None))
