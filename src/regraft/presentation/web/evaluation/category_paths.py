"""Routes of categories: the paths of one, and the clusters that have more of it than the rest."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query

from regraft.flows.evaluation.categories import cluster_labels
from regraft.flows.evaluation.category_paths import category_paths as paths_of
from regraft.presentation.web.answer import JsonReply, Model
from regraft.presentation.web.request import Limit, Truth, Workbench, storable

router = APIRouter(tags=["evaluation"])

Layer = Literal["rules", "model", "learned", "human"]


class CategoryPath(Model):
    """A path and what one maker says of it and a category. ``asked`` and ``answer_text`` are cut."""

    unit_id: UUID
    session_id: UUID
    layer: str
    maker: str
    value: float | None
    decided: bool
    confidence: float
    votes: int
    evidence: list[str]
    standing: str
    theme: str
    model: str
    turns: int
    asked: str | None
    answer_text: str | None


class CategoryPaths(Model):
    """Paths with labels of a category: those that decide first, then by value."""

    category: str
    paths: list[CategoryPath]


class ClusterCategory(Model):
    """How common a category is in a cluster, by one source: ``share`` of its ``units`` with an interval of 95 %, beside
    that of all (``overall``). ``lift`` is one over the other; null: it is nowhere else."""

    cluster_id: UUID
    cluster: str
    category: str
    source: str
    maker: str
    units: int
    share: float
    share_low: float
    share_high: float
    overall: float
    lift: float | None
    standing: str


class ClusterCategories(Model):
    """Categories of clusters, the most telling first; by a tenant's token none, since clusters have units of others."""

    labels: list[ClusterCategory]


@router.get("/categories/{id}/paths", response_model=CategoryPaths)
def category_paths(
    id: str,
    truth: Truth,
    workbench: Workbench,
    limit: Limit = 100,
    layer: Annotated[
        Layer | None, Query(description="Only what rules, a model, the learned labeller or people say.")
    ] = None,
    maker: Annotated[str | None, Query(description="Only what this rule set, judge or person says.")] = None,
    decided: Annotated[bool | None, Query(description="Only labels that decide that it holds, or only others.")] = None,
) -> JsonReply:
    """The paths that are labelled with a category."""
    storable("id", id)
    storable("maker", maker)
    with truth.connection() as connection:
        found = paths_of(
            connection, workbench, id, layer=layer, maker=maker, decided=decided, limit=limit, scope=truth.scope
        )
    rows = [{**row, "evidence": list(map(str, row["evidence"]))} for row in found]
    return JsonReply(CategoryPaths(category=id, paths=CategoryPath.from_rows(rows)))


@router.get("/categories/{id}/clusters", response_model=ClusterCategories)
def category_clusters(id: str, truth: Truth, workbench: Workbench, limit: Limit = 50) -> JsonReply:
    """The clusters that have most of a category."""
    storable("id", id)
    found = [] if truth.scope is not None else cluster_labels(workbench, category=id, limit=limit)
    return JsonReply(ClusterCategories(labels=ClusterCategory.from_rows(found)))
