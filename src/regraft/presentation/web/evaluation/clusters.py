"""Routes of trajectory clusters and their map."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BeforeValidator

from regraft.domain.evaluation.over_representation import OverRepresentation as OverRepresentationRecord
from regraft.flows.evaluation import cluster_reading as reading
from regraft.presentation.web.answer import JsonReply, Model, fields_of
from regraft.presentation.web.request import AfterId, Truth, Workbench

router = APIRouter(tags=["evaluation"])

Layer = Annotated[int | None, Query(ge=0, le=100, description="Layer, 0 the finest; the clearest one by default.")]


def _parsed(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


@fields_of(OverRepresentationRecord)
class OverRepresentation(Model):
    """A value that is more frequent in a cluster than elsewhere: its shares, 0 to 1, one over the other (``lift``;
    null: it is nowhere else), and ``p`` of Fisher's exact test."""


class ClusterRun(Model):
    """The fit that clusters are of. ``units`` are all on the map now, ``without`` those of them in no cluster of the
    default layer. ``trustworthiness`` is that of the map, 0 to 1; null: too few units to say."""

    cluster_run_id: UUID
    embedding_model: str
    algorithm: str
    layers: int
    default_layer: int
    trustworthiness: float | None
    created_at: datetime
    units: int
    without: int


class Cluster(Model):
    """A cluster. Rates are 0 to 1, other figures means of a unit; ``x`` and ``y`` are its middle on the map, -1 to 1.

    A token of a tenant sees its own units counted, and no name, words or over-represented values of a cluster that has
    units of others.
    """

    cluster_id: UUID
    layer: int
    parent_id: UUID | None
    name: str
    name_source: str
    words: list[str]
    prototypes: list[UUID]
    units: int
    outcome_rate: float | None
    outcomes: int
    error_rate: float
    tool_error_rate: float | None
    quality: float
    turns: float
    prompt_tokens: float
    completion_tokens: float
    seconds: float
    x: float
    y: float
    over_represented: Annotated[list[OverRepresentation], BeforeValidator(_parsed)]


class Clusters(Model):
    """The clusters of a layer, the largest first, and the fit that they are of; null: there was none yet."""

    run: ClusterRun | None
    clusters: list[Cluster]


class Point(Model):
    """A unit on the map, -1 to 1. ``strength`` is the cosine to the middle of its cluster, 0 without a cluster.

    ``assigned``: ``fit`` if the fit was made with it, ``nearest`` if it came later and has the cluster that is nearest,
    ``none`` if it came later and fits nowhere.
    """

    unit_id: UUID
    session_id: UUID
    cluster_id: UUID | None
    strength: float
    assigned: str
    x: float
    y: float
    theme: str
    outcome: float | None
    quality: float


class Map(Model):
    """A page of points by id. ``next`` is the ``after`` of the following page."""

    points: list[Point]
    next: UUID | None


@router.get("/clusters", response_model=Clusters)
def clusters(truth: Truth, workbench: Workbench, layer: Layer = None) -> JsonReply:
    """The clusters that paths were put into when they were last clustered."""
    with truth.connection() as connection:
        own = reading.own_sessions(connection, truth.scope)
    page = reading.cluster_page(workbench, layer, own)
    run = ClusterRun.model_validate(page.run) if page.run else None
    return JsonReply(Clusters(run=run, clusters=Cluster.from_rows(page.clusters)))


@router.get("/clusters/map", response_model=Map)
def cluster_map(
    truth: Truth,
    workbench: Workbench,
    layer: Layer = None,
    limit: Annotated[int, Query(ge=1, le=20_000, description="Longest page.")] = 20_000,
    after: AfterId = None,
) -> JsonReply:
    """The map: paths that are near are about the same."""
    with truth.connection() as connection:
        own = reading.own_sessions(connection, truth.scope)
    found = reading.points(workbench, layer=layer, limit=limit, after=after, sessions=own)
    following = found[-1]["unit_id"] if len(found) == limit else None
    return JsonReply(Map(points=Point.from_rows(found), next=following))
