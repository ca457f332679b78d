"""The route of what is stale in a tree."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, Request

from regraft.flows.lineage import reading
from regraft.flows.replay import staleness
from regraft.presentation.web.answer import JsonReply, Model
from regraft.presentation.web.request import Truth

router = APIRouter(tags=["replay"])


class StaleNode(Model):
    """A node with a run or a plan that no longer holds: ``cause`` is rule, model, conditions or after."""

    node_id: UUID
    cause: str
    reason: str


class StaleNodes(Model):
    """What is stale in a tree, an entry per node."""

    nodes: list[StaleNode]


@router.get("/sessions/{id}/stale", response_model=StaleNodes)
def stale_nodes(id: str, request: Request, truth: Truth) -> JsonReply:
    """Nodes of a session made with a replaced rule or model, under changed conditions, or after such a node."""
    with truth.connection() as connection:
        session: UUID = reading.session(connection, id, truth.scope)["session_id"]
        found = staleness.of_tree(connection, session, request.app.state.rules)
    by_node = {each.made.node_id: each for each in reversed(found) if each.made.node_id is not None}
    return JsonReply(
        StaleNodes(
            nodes=[StaleNode(node_id=node, cause=each.cause, reason=each.reason) for node, each in by_node.items()]
        )
    )
