"""Clusters of trajectories: fit them when it is due, say where every unit belongs, and what each cluster is about."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as compute

from regraft.domain.errors import UsageError
from regraft.domain.evaluation.clusters import ClusterDrift, ClusterRule, name_of_words
from regraft.domain.evaluation.over_representation import FeatureCount, over_represented
from regraft.flows.evaluation.cluster_fit import fit
from regraft.infra.duckdb.evaluation.clusters import ClusterFigures, Clusters
from regraft.infra.postgres.evaluation import clusters as store
from regraft.infra.postgres.pool import transaction

if TYPE_CHECKING:
    from regraft.infra.statistics.placement import Centroid

Record = dict[str, Any]

_BATCH = 20_000  # units whose clusters are searched for at a time
_FEW = 2_000  # units that are asked for by their ids


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterCounts:
    """What a materialisation found. ``fitted``: a new fit was made; ``added`` units are new in the tables.

    ``units`` and those ``without`` a cluster are at the default layer. ``cluster_run_id`` is None where no unit has a
    vector yet.
    """

    cluster_run_id: UUID | None
    fitted: bool
    added: int
    units: int
    without: int
    clusters: int
    layers: int
    drift: ClusterDrift
    trustworthiness: float | None


_NOTHING = ClusterCounts(
    cluster_run_id=None,
    fitted=False,
    added=0,
    units=0,
    without=0,
    clusters=0,
    layers=0,
    drift=ClusterDrift(units=0, noise=0, later=0, unassigned=0),
    trustworthiness=None,
)


def materialise_clusters(
    dsn: str, workbench: Path, model: str, rule: ClusterRule | None = None, *, refit: bool = False
) -> ClusterCounts:
    """Bring ``trajectory_clusters`` up to the units and their vectors of an embedding model.

    A unit that came after the last fit gets the cluster whose centroid is nearest, or none below the centroid's floor.
    A new fit is made at first, when another model embeds, when units drift (see ClusterDrift), and with ``refit``; from
    the same units it is the same fit, and nothing changes.
    """
    rule = rule or ClusterRule()
    bench = Clusters(workbench)
    with transaction(dsn, name="regraft-clusters") as connection:
        run = store.current_run(connection)
    fitted, added = False, 0
    if run is not None and run["embedding_model"] == model and not refit:
        added = _carry(dsn, bench, run)
        fitted = _drift(bench, run).calls_for_a_fit(rule) and _fit(dsn, bench, model, rule)
    else:
        fitted = _fit(dsn, bench, model, rule)
    with transaction(dsn, name="regraft-clusters") as connection:
        run = store.current_run(connection)
    if run is None:
        return _NOTHING
    if fitted or refit:
        added += _carry(dsn, bench, run)
    return _counts(bench, run, fitted=fitted, added=added, clusters=_summarise(dsn, bench, run))


def carry_clusters(dsn: str, workbench: Path) -> int | None:
    """Fill the tables from the last fit, without a new one; how many units are new in them, None without a fit."""
    with transaction(dsn, name="regraft-clusters") as connection:
        run = store.current_run(connection)
    if run is None:
        return None
    bench = Clusters(workbench)
    added = _carry(dsn, bench, run)
    _summarise(dsn, bench, run)
    return added


def require_clusters(dsn: str, workbench: Path) -> None:
    """Fill the tables from the last fit. Raises UsageError where there was none yet."""
    if carry_clusters(dsn, workbench) is None:
        raise UsageError(
            "The recipe's strata name `cluster`, and there are no clusters yet: `regraft clusters list` makes them."
        )


def _fit(dsn: str, bench: Clusters, model: str, rule: ClusterRule) -> bool:
    units = bench.vectors(model)
    return units.num_rows > 0 and fit(dsn, units, model, rule)


def _carry(dsn: str, bench: Clusters, run: Record) -> int:
    """Say of every unit what the fit says of it, and of units that came later where they belong."""
    run_id = run["cluster_run_id"]
    with transaction(dsn, name="regraft-clusters") as connection:
        matches = store.matches(connection, run_id)
    bench.turn_to(run, matches)
    waiting = bench.vectors_without_cluster(run["embedding_model"])
    if not waiting.num_rows:
        return 0
    from regraft.infra.statistics.placement import place

    centroids = _centroids(dsn, bench, run)
    every = store.members(dsn, run_id) if waiting.num_rows > _FEW else None
    for start in range(0, waiting.num_rows, _BATCH):
        batch = waiting.slice(start, _BATCH)
        units = batch.column("unit_id")
        if every is None:
            known = store.members(dsn, run_id, units.to_pylist())
        else:
            known = every.filter(compute.is_in(every.column("unit_id"), value_set=units))
        if known.num_rows:
            bench.add(run_id, _marked(known, fitted=True))
        fitted = set(known.column("unit_id").to_pylist())
        later = [row for row, unit in enumerate(batch.column("unit_id").to_pylist()) if unit not in fitted]
        if later:
            bench.add(run_id, _marked(place(batch.take(later), centroids, run["layers"]), fitted=False))
    return int(waiting.num_rows)


def _centroids(dsn: str, bench: Clusters, run: Record) -> list[Centroid]:
    """The clusters of a fit that have a centroid. One that lost a member to an erasure is made again first."""
    from regraft.infra.statistics.arrays import mean_of
    from regraft.infra.statistics.placement import Centroid

    run_id = run["cluster_run_id"]
    with transaction(dsn, name="regraft-clusters") as connection:
        found = store.centroids(connection, run_id)
        for row in found:
            if row["centroid"] is None:
                units = store.units_of_cluster(connection, run_id, row["cluster_id"])
                left = bench.vectors_of(run["embedding_model"], units)
                if left.num_rows:
                    made = mean_of(left.column("vector"))
                    store.set_centroid(connection, run_id, row["cluster_id"], made)
                    row["centroid"] = made
    return [
        Centroid(
            cluster_id=str(row["cluster_id"]),
            layer=row["layer"],
            vector=bytes(row["centroid"]),
            floor=row["floor"],
            x=row["x"],
            y=row["y"],
        )
        for row in found
        if row["centroid"] is not None
    ]


def _marked(units: pa.Table, *, fitted: bool) -> pa.Table:
    return units.append_column("fitted", pa.array([fitted] * units.num_rows))


def _drift(bench: Clusters, run: Record) -> ClusterDrift:
    counts = bench.counts()
    return ClusterDrift(
        units=run["units"],
        noise=run["noise"],
        later=counts["later"],
        unassigned=counts["unassigned"],
    )


def _summarise(dsn: str, bench: Clusters, run: Record) -> int:
    """What each cluster is about; how many clusters the default layer has."""
    figures = bench.figures()
    with transaction(dsn, name="regraft-clusters") as connection:
        made = {str(row["cluster_id"]): row for row in store.centroids(connection, run["cluster_run_id"])}
        names = {str(row["cluster_id"]): row for row in store.names(connection)}
    notable = _notable(figures)
    rows = [
        {
            **counted,
            "cluster_run_id": str(run["cluster_run_id"]),
            "parent_id": (parent := made[counted["cluster_id"]]["parent_id"]) and str(parent),
            "words": (words := figures.words.get(counted["cluster_id"], [])),
            "name": names[counted["cluster_id"]]["name"] if counted["cluster_id"] in names else name_of_words(words),
            "name_source": names[counted["cluster_id"]]["source"] if counted["cluster_id"] in names else "words",
            "x": made[counted["cluster_id"]]["x"],
            "y": made[counted["cluster_id"]]["y"],
            "over_represented": json.dumps(notable.get(counted["cluster_id"], [])),
        }
        for counted in figures.clusters
    ]
    bench.replace_summaries(rows)
    return sum(row["layer"] == run["default_layer"] for row in rows)


def _notable(figures: ClusterFigures) -> dict[str, list[Record]]:
    """By cluster what is over-represented in it."""
    counts: dict[str, list[FeatureCount]] = {}
    values = 1
    names = ("feature", "value", "here", "here_units", "elsewhere", "elsewhere_units")
    for row in figures.features:
        values = row["values"]
        counts.setdefault(row["cluster_id"], []).append(FeatureCount(**{name: row[name] for name in names}))
    return {
        cluster: [asdict(one) for one in over_represented(found, tests=values)] for cluster, found in counts.items()
    }


def _counts(bench: Clusters, run: Record, *, fitted: bool, added: int, clusters: int) -> ClusterCounts:
    counts = bench.counts()
    return ClusterCounts(
        cluster_run_id=run["cluster_run_id"],
        fitted=fitted,
        added=added,
        units=counts["units"],
        without=counts["without"],
        clusters=clusters,
        layers=run["layers"],
        drift=_drift(bench, run),
        trustworthiness=run["trustworthiness"],
    )
