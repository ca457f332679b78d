"""The route of paths that are near in meaning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Query, Request

from regraft.domain.errors import UnavailableError
from regraft.flows.evaluation import neighbours
from regraft.flows.evaluation.embeddings import Embedder
from regraft.flows.evaluation.neighbours import SimilarPath as SimilarPathRecord
from regraft.flows.lineage import reading
from regraft.presentation.web.answer import JsonReply, Model, fields_of
from regraft.presentation.web.request import Limit, Truth, Workbench

router = APIRouter(tags=["evaluation"])


@fields_of(SimilarPathRecord)
class SimilarPath(Model):
    """A path by its cosine ``similarity``, -1 to 1. ``asked`` and ``answer_text``, of its last turn, are cut."""


@fields_of(neighbours.Neighbours)
class SimilarPaths(Model):
    """The paths near a node, nearest first. ``search``: ``pgvector`` (an index, which may miss one) or ``exact``."""

    items: list[SimilarPath]


@router.get("/nodes/{id}/similar", response_model=SimilarPaths)
def similar(
    id: str,
    truth: Truth,
    workbench: Workbench,
    request: Request,
    limit: Limit = 10,
    elsewhere: Annotated[bool, Query(description="Only paths of other sessions.")] = False,
) -> JsonReply:
    """Paths whose conversation is nearest in meaning to the one that ends at a node; none goes through that node."""
    embedder: Callable[[], Embedder] | None = request.app.state.embedder
    if embedder is None:
        raise UnavailableError("This server was started without an embedding model. Run `regraft web`.")
    with truth.connection() as connection:
        node = reading.node_id(connection, id, truth.scope)
        found = neighbours.similar(
            connection, workbench, embedder(), node, limit, elsewhere=elsewhere, scope=truth.scope
        )
    return JsonReply(SimilarPaths.from_record(found))
