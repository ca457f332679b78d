"""One cluster as people look at it: figures, typical paths with their texts, what is near, its units by pages."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regraft.domain.errors import NotFoundError
from regraft.flows.evaluation.cluster_reading import cluster_page, own_sessions
from regraft.infra.duckdb.evaluation.clusters import Clusters
from regraft.infra.postgres.evaluation import clusters as store
from regraft.infra.postgres.evaluation import vectors
from regraft.infra.postgres.pool import Connection

Row = dict[str, Any]

_NEAREST = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterView:
    """A cluster: its ``summary``, its most typical units with what was asked and answered, the ``nearest`` clusters of
    its layer with the ``similarity`` of the middles (cosine), its parts in the finer layer, and what it came from."""

    summary: Row
    typical: list[Row]
    nearest: list[Row]
    parts: list[Row]
    matches: list[Row]


def cluster_view(connection: Connection, workbench: Path, cluster: str, scope: str | None = None) -> ClusterView:
    """A cluster by its id, the start of it, or its name; by a tenant's token only the tenant's own units are counted.

    Raises NotFoundError.
    """
    bench = Clusters(workbench)
    cluster_id = bench.resolve(cluster)
    sessions = own_sessions(connection, scope)
    layers = {row["cluster_id"]: row["layer"] for row in bench.summaries()}
    page = cluster_page(workbench, layers[cluster_id], sessions)
    summary = next((row for row in page.clusters if row["cluster_id"] == cluster_id), None)
    if summary is None:
        raise NotFoundError(f"There is no cluster {cluster}.")
    parts: list[Row] = []
    if summary["layer"] > 0:
        finer = cluster_page(workbench, summary["layer"] - 1, sessions).clusters
        parts = [row for row in finer if row["parent_id"] == cluster_id]
    return ClusterView(
        summary=summary,
        typical=_described(connection, bench.units_of(cluster_id, 5, sessions=sessions), scope),
        nearest=_nearest(connection, summary, page.clusters),
        parts=parts,
        matches=[row for row in bench.matches() if cluster_id in (row["cluster_id"], row["previous_cluster_id"])]
        if scope is None
        else [],
    )


def cluster_units(
    connection: Connection,
    workbench: Path,
    cluster: str,
    limit: int,
    start: int = 0,
    *,
    worst: bool = False,
    scope: str | None = None,
) -> list[Row]:
    """Units of a cluster from a place on, with what was asked and answered. Raises NotFoundError."""
    bench = Clusters(workbench)
    found = bench.units_of(bench.resolve(cluster), limit, start, worst=worst, sessions=own_sessions(connection, scope))
    return _described(connection, found, scope)


def _described(connection: Connection, units: list[Row], scope: str | None) -> list[Row]:
    """Units with their texts; of one that left the graph since it was measured there are none."""
    texts = vectors.described(connection, [row["unit_id"] for row in units], scope)
    nothing = {"asked": None, "answer_text": None, "model": "", "theme": "", "turns": 0, "purpose": ""}
    return [{**nothing, **row, **texts.get(row["unit_id"], {})} for row in units]


def _nearest(connection: Connection, summary: Row, others: list[Row]) -> list[Row]:
    centroids = {
        row["cluster_id"]: _vector(row["centroid"])
        for row in store.centroids(connection, summary["cluster_run_id"])
        if row["centroid"] is not None
    }
    middle = centroids.get(summary["cluster_id"])
    if middle is None:
        return []
    near = [
        {**row, "similarity": sum(a * b for a, b in zip(middle, centroids[row["cluster_id"]], strict=True))}
        for row in others
        if row["cluster_id"] != summary["cluster_id"] and row["cluster_id"] in centroids
    ]
    return sorted(near, key=lambda row: -row["similarity"])[:_NEAREST]


def _vector(stored: bytes) -> tuple[float, ...]:
    return struct.unpack(f"<{len(stored) // 4}f", bytes(stored))
