"""Fits of trajectory clusters in the truth, and the names of clusters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pyarrow as pa

from regraft.infra.postgres.arrow import reading
from regraft.infra.postgres.copy import copy_rows
from regraft.infra.postgres.pool import Connection
from regraft.infra.queries import queries

_SQL = queries("postgres/evaluation/clusters")
_MEMBERS = "postgres/evaluation/cluster_members"

Record = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class CentroidRow:
    """A row of ``trajectory_cluster_centroids``."""

    cluster_run_id: UUID
    cluster_id: UUID
    layer: int
    parent_id: UUID | None
    units: int
    centroid: bytes
    floor: float
    x: float
    y: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberRow:
    """A row of ``trajectory_cluster_members``."""

    cluster_run_id: UUID
    position: int
    unit_id: UUID
    cluster_ids: list[UUID | None]
    strengths: list[float]
    x: float
    y: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchRow:
    """A row of ``trajectory_cluster_matches``."""

    cluster_run_id: UUID
    cluster_id: UUID | None
    previous_cluster_id: UUID | None
    jaccard: float
    fate: str


def lock(connection: Connection) -> None:
    """Wait for others that save a fit; they wait until the transaction ends."""
    connection.execute(_SQL["lock"])


def current_run(connection: Connection) -> Record | None:
    """The last fit; None before the first."""
    return connection.execute(_SQL["current_run"]).fetchone()


def runs(connection: Connection, limit: int) -> list[Record]:
    """Fits, the latest first."""
    return connection.execute(_SQL["runs"], {"limit": limit}).fetchall()


def add_run(
    connection: Connection,
    run: Record,
    centroids: Iterable[CentroidRow],
    members: Iterable[MemberRow],
    matches: Iterable[MatchRow],
) -> None:
    """Store a fit whole."""
    connection.execute(_SQL["add_run"], run)
    copy_rows(connection, "trajectory_cluster_centroids", CentroidRow, centroids)
    copy_rows(connection, "trajectory_cluster_members", MemberRow, members)
    copy_rows(connection, "trajectory_cluster_matches", MatchRow, matches)
    connection.execute(_SQL["analyze"])


def centroids(connection: Connection, run: UUID) -> list[Record]:
    """The clusters of a fit, from the finest layer; ``centroid`` is None where it must be made again."""
    return connection.execute(_SQL["centroids"], {"run": run}).fetchall()


def set_centroid(connection: Connection, run: UUID, cluster: UUID, centroid: bytes) -> None:
    """Store a centroid that was made again."""
    connection.execute(_SQL["set_centroid"], {"run": run, "cluster": cluster, "centroid": centroid})


def units_of_cluster(connection: Connection, run: UUID, cluster: UUID) -> list[str]:
    """The ids of the units that a fit put into a cluster and that are not erased."""
    rows = connection.execute(_SQL["units_of_cluster"], {"run": run, "cluster": cluster}).fetchall()
    return [row["unit_id"] for row in rows]


def matches(connection: Connection, run: UUID) -> list[Record]:
    """What became of the clusters of the fit before."""
    return connection.execute(_SQL["matches"], {"run": run}).fetchall()


def names(connection: Connection) -> list[Record]:
    """The name of each cluster that has one, and whether a person or a model gave it."""
    return connection.execute(_SQL["names"]).fetchall()


def name_history(connection: Connection, cluster: UUID) -> list[Record]:
    """All names that a cluster was given, the latest first."""
    return connection.execute(_SQL["name_history"], {"cluster": cluster}).fetchall()


def add_name(connection: Connection, name: Record) -> None:
    """Store a name of a cluster; names that it had are kept."""
    connection.execute(_SQL["add_name"], name)


def own_sessions(connection: Connection, scope: str) -> list[str]:
    """The sessions of a tenant."""
    return [row["session_id"] for row in connection.execute(_SQL["own_sessions"], {"scope": scope}).fetchall()]


def members(dsn: str, run: UUID, units: Sequence[str] | None = None) -> pa.Table:
    """What a fit said of units, of all or the given ones: ``unit_id``, ``cluster_ids`` (one a layer, null is noise),
    ``strengths``, ``x``, ``y``; ids are text."""
    with reading(dsn, _MEMBERS) as truth:
        if units is None:
            return truth.table("members", str(run))
        return truth.table("members_of", str(run), list(units))
