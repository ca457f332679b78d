"""Routes of the picture of a tree: its whole shape, the words at its nodes, search within it, and captured calls."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import APIRouter, Query
from starlette.responses import Response

from regraft.flows.lineage import shape as flow
from regraft.presentation.web.answer import JsonReply, Model, StoredJson
from regraft.presentation.web.lineage.graph import Session
from regraft.presentation.web.request import Truth, storable

router = APIRouter(tags=["lineage"])

MOST_FOUND = 5000


class ShapeNames(Model):
    """What the numbers in the columns represent."""

    kinds: list[str]
    statuses: list[str]
    evidence: list[str]
    models: list[str]


class ShapeNodes(Model):
    """The nodes of a tree, an array per fact, an entry per node: a parent before its children, siblings by time.

    ``parent`` is a place in these arrays; ``kind``, ``status``, ``evidence`` and ``model`` are places in ``names``. All
    but ``runs`` are facts of a node's first run. ``at`` and ``ms`` are in milliseconds, ``at`` since 1970.
    """

    id: list[UUID]
    parent: list[int | None]
    kind: list[int]
    status: list[int]
    evidence: list[int]
    runs: list[int]
    model: list[int | None]
    replay: list[int]
    fidelity: list[float | None]
    outcome: list[float | None]
    calls: list[int]
    tokens_in: list[int | None]
    tokens_out: list[int | None]
    ms: list[int | None]
    at: list[int | None]


class ShapeLink(Model):
    """A link to a node of another session: which ``way``, and how it is known."""

    node_id: UUID
    way: str
    session_id: UUID
    other_node_id: UUID
    evidence: str
    detail: str | None
    tool_call_id: str | None


class Shape(Model):
    """A whole tree in columns: what a picture of it is drawn from."""

    session: Session
    names: ShapeNames
    nodes: ShapeNodes
    links: list[ShapeLink]


class Words(Model):
    """What was asked last before each node (1 in ``result``: by a tool), how its answer starts, and the tools that it
    calls, in the order of the shape of the same ``build``. Each is cut."""

    build: int
    result: list[int]
    asked: list[str | None]
    answer: list[str | None]
    called: list[str | None]


class FoundNodes(Model):
    """Nodes that hold the words, in the order of the shape."""

    nodes: list[UUID]


class CapturedCall(Model):
    """A call as it was captured. ``request`` is equal in JSON meaning to what the client sent."""

    run_id: UUID
    event_id: UUID
    choice_index: int
    session_id: UUID
    endpoint: str
    upstream: str
    http_status: int
    streamed: bool
    cut: str
    started_at: datetime
    duration_ms: float
    request: StoredJson
    identity: StoredJson
    answer: StoredJson
    answer_rest: StoredJson
    usage: StoredJson
    error: StoredJson


@router.get("/sessions/{id}/shape", response_model=Shape)
def shape(id: str, truth: Truth) -> Response:
    """A session's whole tree in columns, without its words."""
    with truth.connection() as connection:
        found = flow.tree_shape(connection, id, truth.scope)
    links = [ShapeLink.model_validate({**row, **_other(row)}).model_dump() for row in found.links]
    return _json(
        session=Session.model_validate(found.session).model_dump(),
        names=orjson.Fragment(found.names),
        nodes=orjson.Fragment(found.nodes),
        links=links,
    )


@router.get("/sessions/{id}/words", response_model=Words)
def words(id: str, truth: Truth) -> Response:
    """The words at the nodes of a session's tree, cut, in the order of its shape."""
    with truth.connection() as connection:
        found = flow.tree_words(connection, id, truth.scope)
    return Response(f'{{"build":{found.build},{found.words.strip()[1:]}', media_type="application/json")


@router.get("/sessions/{id}/find", response_model=FoundNodes)
def find_in_session(
    id: str,
    truth: Truth,
    q: Annotated[str, Query(max_length=400, description='Words, "phrases", or, -not.')] = "",
    limit: Annotated[int, Query(ge=1, le=MOST_FOUND, description="How many nodes at most.")] = MOST_FOUND,
) -> JsonReply:
    """Nodes of a session whose answer or last question holds the words."""
    storable("q", q)
    with truth.connection() as connection:
        return JsonReply(FoundNodes(nodes=flow.find_in_tree(connection, id, q, limit, truth.scope)))


@router.get("/runs/{id}/call", response_model=CapturedCall)
def captured_call(id: str, truth: Truth) -> JsonReply:
    """The captured request and answer of a run, by its whole id."""
    with truth.connection() as connection:
        found = flow.captured_call(connection, id, truth.scope)
    return JsonReply(CapturedCall.model_validate({**found.facts, "request": found.request}))


def _other(row: dict[str, Any]) -> dict[str, Any]:
    return {"node_id": row["at_node_id"], "other_node_id": row["node_id"]}


def _json(**members: Any) -> Response:
    return Response(orjson.dumps(members), media_type="application/json")
