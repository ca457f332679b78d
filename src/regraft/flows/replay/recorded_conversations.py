"""What was recorded from a node on: the path that a rollout follows, and the results of tools in its session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from regraft.domain.replay.recording import RecordedConversation, holds, main_line, steps_of
from regraft.domain.replay.tool_results import LIVE, ForestMessage, is_result, sibling_results
from regraft.infra.postgres.pool import Connection
from regraft.infra.postgres.replay import rollouts as store


def read_record(connection: Connection, node: UUID, toward: UUID | None = None) -> RecordedConversation:
    """What was recorded from a node on, along the path that a rollout follows, and of tools in the whole session.

    A path ends where the client changed the history that it had sent before (a summary, an edit). Raises UsageError
    when ``toward`` is not below the node.
    """
    line = main_line(store.below(connection, node), node, toward)
    chain: list[tuple[Any, Any]] = []
    while line:
        chain = store.history(connection, line[-1].context_id)
        if holds(line, [projection for projection, _ in chain]):
            break
        line = line[:-1]
    if not line:
        return RecordedConversation(opening=[], steps=[])
    messages = [message for _, message in chain] + [store.answer(connection, line[-1].node_id)]
    steps = steps_of(messages, [each.context_depth for each in line], [each.finish_reason for each in line])
    session = line[0].session_id
    forest = _forest(
        store.forest(connection, session), store.replay_histories(connection, session), {each for each, _ in chain}
    )
    return RecordedConversation(
        opening=messages[: line[0].context_depth], steps=steps, siblings=sibling_results(forest)
    )


def _forest(rows: Sequence[store.Row], grown: Sequence[tuple[bytes, Any]], path: set[Any]) -> list[ForestMessage]:
    """A session's messages. Excluded are results on the path, copies of a result, and results in rollouts that no
    tool gave."""
    by_id = {row["context_id"]: row for row in rows}
    given: set[bytes] = set()
    for context_id, variant in grown:
        told = variant.get("rollout") if isinstance(variant, dict) else None
        if isinstance(told, dict):
            given.update(_given(by_id, context_id, told))
    seen = set(path)
    found = []
    for row in rows:
        left_out = row["projection_id"] in seen or row["context_id"] in given
        if is_result(row["message"]) and not left_out:
            seen.add(row["projection_id"])
        found.append(
            ForestMessage(
                context_id=row["context_id"], parent_id=row["parent_id"], message=row["message"], left_out=left_out
            )
        )
    return found


def _given(by_id: Mapping[bytes, store.Row], context_id: bytes, told: Mapping[str, Any]) -> list[bytes]:
    """The results before a rollout's call that no tool said then: all but live ones, last first."""
    sources = told.get("sources")
    left = list(sources) if isinstance(sources, list) else []
    found = []
    row = by_id.get(context_id)
    while row is not None and left:
        if is_result(row["message"]) and left.pop() != LIVE:
            found.append(row["context_id"])
        row = by_id.get(row["parent_id"])
    return found
