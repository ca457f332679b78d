"""Routes of the map as columns, and of one cluster with its paths."""

from __future__ import annotations

import gzip
from base64 import b64encode
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from starlette.responses import Response

from regraft.domain.errors import ForbiddenError
from regraft.flows.evaluation.cluster_page import cluster_units, cluster_view
from regraft.flows.evaluation.cluster_reading import own_sessions, rename
from regraft.flows.evaluation.map_columns import MapColumns as MapColumnsRecord
from regraft.flows.evaluation.map_columns import MapIds as MapIdsRecord
from regraft.flows.evaluation.map_columns import map_columns, map_ids
from regraft.presentation.web.answer import FailedReply, JsonReply, Model, encode, fields_of
from regraft.presentation.web.evaluation.clusters import Cluster, Layer
from regraft.presentation.web.request import Admin, Limit, Truth, Workbench, storable

router = APIRouter(tags=["evaluation"])


def _base64(value: Any) -> Any:
    return b64encode(value).decode() if isinstance(value, bytes) else value


Packed = Annotated[str, BeforeValidator(_base64)]


@fields_of(MapColumnsRecord)
class MapColumns(Model):
    """The map of a layer as columns: base64 of little-endian numbers, an item per point, by cluster, then by unit.

    ``x`` and ``y`` are 16-bit with sign, in 32,767ths; ``cluster`` and ``theme`` 16-bit places in ``clusters`` ('' is
    none) and ``themes``; ``outcome`` and ``quality`` bytes in 254ths, 255 where nothing is known; ``late`` is 1 of a
    unit that came after the fit.
    """

    x: Packed
    y: Packed
    cluster: Packed
    theme: Packed
    outcome: Packed
    quality: Packed
    late: Packed


class WholeMap(Model):
    """The map; null: nothing was clustered yet."""

    map: MapColumns | None


@fields_of(MapIdsRecord)
class MapIds(Model):
    """The units and the sessions of the points of a map, in its order."""


class WholeMapIds(Model):
    """Which units the points of the map are; null: nothing was clustered yet."""

    ids: MapIds | None


class PathInCluster(Model):
    """A path in a cluster. ``asked`` and ``answer_text``, of its last answer, are cut."""

    unit_id: UUID
    session_id: UUID
    strength: float
    assigned: str
    outcome: float | None
    quality: float
    node_status: str
    seconds: float | None
    prompt_tokens: int | None
    completion_tokens: int | None
    theme: str
    model: str
    turns: int
    asked: str | None
    answer_text: str | None


class NearCluster(Cluster):
    """A cluster near another one: ``similarity`` is the cosine of their middles."""

    similarity: float


class ClusterMatch(Model):
    """How a cluster of this fit and one of the fit before belong together."""

    cluster_id: UUID | None
    previous_cluster_id: UUID | None
    jaccard: float
    fate: Literal["kept", "split", "merged", "new", "gone"]


class ClusterDetail(Model):
    """A cluster: its figures, its most typical paths, the nearest clusters of its layer, its parts in the finer one."""

    cluster: Cluster
    typical: list[PathInCluster]
    nearest: list[NearCluster]
    parts: list[Cluster]
    matches: list[ClusterMatch]


class ClusterUnits(Model):
    """A page of a cluster's paths. ``next`` is the ``start`` of the following page."""

    units: list[PathInCluster]
    next: int | None


class NameRequest(BaseModel):
    """A name for a cluster."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=500)


class NamedCluster(Model):
    """A cluster and its new name."""

    cluster_id: UUID
    name: str


def _packed(request: Request, content: Model) -> Response:
    """JSON, compressed where the client takes that."""
    body = encode(content)
    if "gzip" not in request.headers.get("accept-encoding", ""):
        return Response(body, media_type="application/json")
    packed = gzip.compress(body, compresslevel=4, mtime=0)
    return Response(packed, media_type="application/json", headers={"Content-Encoding": "gzip"})


@router.get("/clusters/columns", response_model=WholeMap)
def cluster_map_columns(request: Request, truth: Truth, workbench: Workbench, layer: Layer = None) -> Response:
    """The whole map in few bytes: columns of small numbers. Which units the points are is asked for apart."""
    with truth.connection() as connection:
        own = own_sessions(connection, truth.scope)
    found = map_columns(workbench, layer, own)
    shown = MapColumns.from_record(found) if found else None
    return _packed(request, WholeMap(map=shown))


@router.get("/clusters/ids", response_model=WholeMapIds)
def cluster_map_ids(request: Request, truth: Truth, workbench: Workbench, layer: Layer = None) -> Response:
    """The units and sessions of the map's points, in the order of its columns."""
    with truth.connection() as connection:
        own = own_sessions(connection, truth.scope)
    found = map_ids(workbench, layer, own)
    shown = MapIds.from_record(found) if found else None
    return _packed(request, WholeMapIds(ids=shown))


@router.get("/clusters/{id}", response_model=ClusterDetail)
def cluster(id: str, truth: Truth, workbench: Workbench) -> JsonReply:
    """One cluster, by its id, the first digits of it, or its name."""
    storable("id", id)
    with truth.connection() as connection:
        found = cluster_view(connection, workbench, id, truth.scope)
    return JsonReply(
        ClusterDetail(
            cluster=Cluster.model_validate(found.summary),
            typical=PathInCluster.from_rows(found.typical),
            nearest=NearCluster.from_rows(found.nearest),
            parts=Cluster.from_rows(found.parts),
            matches=ClusterMatch.from_rows(found.matches),
        )
    )


@router.get("/clusters/{id}/units", response_model=ClusterUnits)
def cluster_paths(
    id: str,
    truth: Truth,
    workbench: Workbench,
    limit: Limit = 100,
    start: Annotated[int, Query(ge=0, le=2**31 - 1, description="`next` of an earlier page.")] = 0,
    worst: Annotated[bool, Query(description="The worst outcomes first, instead of the most typical paths.")] = False,
) -> JsonReply:
    """The paths of a cluster, with what was asked and answered last."""
    storable("id", id)
    with truth.connection() as connection:
        found = cluster_units(connection, workbench, id, limit, start, worst=worst, scope=truth.scope)
    following = start + limit if len(found) == limit else None
    return JsonReply(ClusterUnits(units=PathInCluster.from_rows(found), next=following))


@router.post(
    "/clusters/{id}/name",
    response_model=NamedCluster,
    responses={403: {"model": FailedReply, "description": "This token may not name clusters."}},
)
def name_cluster(id: UUID, request: Request, admin: Admin, workbench: Workbench, wanted: NameRequest) -> JsonReply:
    """Name a cluster. It keeps the name when the clusters are fitted again; names that it had are kept."""
    if admin.scope is not None:
        raise ForbiddenError("Clusters have paths of several tenants: a token that is bound to one does not name them.")
    storable("name", wanted.name)
    dsn: str = request.app.state.review.dsn
    found = rename(dsn, workbench, str(id), wanted.name, admin.name or admin.role)
    return JsonReply(NamedCluster(cluster_id=found, name=" ".join(wanted.name.split())))
