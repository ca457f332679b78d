"""Read clusters and their map from the workbench, and give clusters names."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from regraft.domain.errors import NotFoundError, UsageError
from regraft.domain.evaluation.clusters import ClusterDrift
from regraft.domain.evaluation.scatter import LETTERS, MapPoint, scatter
from regraft.infra.duckdb.evaluation.clusters import Clusters
from regraft.infra.postgres.evaluation import clusters as store
from regraft.infra.postgres.pool import Connection, transaction

Row = dict[str, Any]

LONGEST_NAME = 120  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterDetail:
    """A cluster with its typical units, what it came from, the names it was given, and its parts in the finer layer."""

    summary: Row
    members: list[Row]
    matches: list[Row]
    names: list[Row]
    parts: list[Row]


def run(workbench: Path) -> Row | None:
    """The fit that the clusters are of; None where there was none yet."""
    return Clusters(workbench).run()


def drift_of(workbench: Path) -> ClusterDrift:
    """How well the last fit describes the units that came later."""
    bench = Clusters(workbench)
    made, counts = bench.run(), bench.counts()
    return ClusterDrift(
        units=made["units"] if made else 0,
        noise=made["noise"] if made else 0,
        later=counts["later"],
        unassigned=counts["unassigned"],
    )


def clusters(workbench: Path, layer: int | None = None) -> list[Row]:
    """The clusters of a layer, 0 the finest, or of the default one; the largest first.

    Raises NotFoundError for a layer that the fit does not have.
    """
    bench = Clusters(workbench)
    made = bench.run()
    return bench.summaries(layer_of(made, layer)) if made else []


def layer_of(made: Row, layer: int | None) -> int:
    """A layer of a fit, the default one if none is given. Raises NotFoundError for one that it does not have."""
    if layer is None:
        return int(made["default_layer"])
    if not 0 <= layer < made["layers"]:
        raise NotFoundError(f"There is no layer {layer}: the layers are 0, the finest, to {made['layers'] - 1}.")
    return layer


def resolve(workbench: Path, text: str) -> UUID:
    """The id of a cluster from the start of it, or from its name. Raises NotFoundError unless exactly one fits."""
    return Clusters(workbench).resolve(text)


def cluster(dsn: str, workbench: Path, cluster_id: UUID, limit: int = 10) -> ClusterDetail:
    """All that is known of a cluster, with its ``limit`` most typical units. Raises NotFoundError."""
    bench = Clusters(workbench)
    every = bench.summaries()
    found = next((row for row in every if row["cluster_id"] == cluster_id), None)
    if found is None:
        raise NotFoundError(f"There is no cluster {cluster_id}. `regraft clusters list` makes and shows them.")
    with transaction(dsn) as connection:
        names = store.name_history(connection, cluster_id)
    return ClusterDetail(
        summary=found,
        members=bench.members(cluster_id, limit),
        matches=[row for row in bench.matches() if cluster_id in (row["cluster_id"], row["previous_cluster_id"])],
        names=names,
        parts=[row for row in every if row["parent_id"] == cluster_id],
    )


def matches(workbench: Path) -> list[Row]:
    """What became of the clusters of the fit before: ``cluster_id``, ``previous_cluster_id``, ``jaccard``, ``fate``."""
    return Clusters(workbench).matches()


def points(
    workbench: Path,
    *,
    layer: int | None = None,
    limit: int = 20_000,
    after: UUID | None = None,
    sessions: list[str] | None = None,
) -> list[Row]:
    """The map: units by id, after an id, with ``x`` and ``y`` (-1 to 1) and their cluster of a layer.

    ``sessions``: only units of these.
    """
    bench = Clusters(workbench)
    made = bench.run()
    return bench.points(layer_of(made, layer), limit, after, sessions) if made else []


def own_sessions(connection: Connection, scope: str | None) -> list[str] | None:
    """The sessions that a tenant may read; None, for all, without a tenant."""
    return None if scope is None else store.own_sessions(connection, scope)


@dataclass(frozen=True, slots=True)
class ClusterPage:
    """The fit with its ``units`` and those ``without`` a cluster at the default layer, and the clusters of a layer."""

    run: Row | None
    clusters: list[Row]


def cluster_page(workbench: Path, layer: int | None = None, sessions: list[str] | None = None) -> ClusterPage:
    """The clusters of a layer and their fit, counted over all units or those of some sessions alone.

    Of a cluster that has units of other sessions, figures over all of them are left out: its name, its words, and
    what is over-represented. Raises NotFoundError for a layer that the fit does not have.
    """
    bench = Clusters(workbench)
    made = bench.run()
    if made is None:
        return ClusterPage(None, [])
    wanted = layer_of(made, layer)
    if sessions is None:
        counts = bench.counts()
        return ClusterPage({**made, "units": counts["units"], "without": counts["without"]}, bench.summaries(wanted))
    default = {row["cluster_id"]: row["units"] for row in bench.figures_of(made["default_layer"], sessions)}
    if not default:
        return ClusterPage(None, [])
    every = {row["cluster_id"]: row for row in bench.summaries(wanted)}
    shown = []
    for row in bench.figures_of(wanted, sessions):
        summary = every.get(row["cluster_id"])
        if summary is None:
            continue
        whole = summary["units"] == row["units"]
        shown.append(summary if whole else {**summary, **row, **_UNSAID})
    return ClusterPage({**made, "units": sum(default.values()), "without": default.get(None, 0)}, shown)


_UNSAID: Row = {"name": "", "name_source": "", "words": [], "over_represented": "[]"}


def map_page(workbench: Path) -> str:
    """The map and the clusters of the default layer as Markdown; '' where there are no clusters."""
    found = clusters(workbench)
    if not found:
        return ""
    places = {row["cluster_id"]: place for place, row in enumerate(found)}
    lines = scatter(MapPoint(one["x"], one["y"], places.get(one["cluster_id"])) for one in points(workbench))
    rows = [
        f"| {LETTERS[place] if place < len(LETTERS) else ''} | {_cell(row['name'])} | {row['units']} "
        f"| {'' if row['outcome_rate'] is None else format(row['outcome_rate'], '.2f')} | {row['error_rate']:.2f} |"
        for place, row in enumerate(found)
    ]
    head = ["| | cluster | paths | outcome | errors |", "|---|---|---:|---:|---:|"]
    return "\n".join(["```text", *lines, "```", "", *head, *rows, ""])


def _cell(text: str) -> str:
    """Words of conversations as a cell: nothing in them is Markdown."""
    return "".join(each if each.isalnum() or each in " ,.-" else " " for each in text)


def rename(dsn: str, workbench: Path, text: str, name: str, given_by: str, source: str = "human") -> UUID:
    """Name a cluster; the name stays with it over new fits. Names that it had are kept. Returns its id.

    Raises NotFoundError unless ``text`` is the start of one cluster's id, or its name, and UsageError for a name that
    is empty or too long.
    """
    cleaned = " ".join(name.split())
    if not cleaned or len(cleaned) > LONGEST_NAME or not cleaned.isprintable():
        raise UsageError(f"A name has 1 to {LONGEST_NAME} printable characters.")
    found = resolve(workbench, text)
    with transaction(dsn, name="regraft-clusters") as connection:
        store.add_name(
            connection,
            {
                "name_id": uuid4(),
                "cluster_id": found,
                "name": cleaned,
                "source": source,
                "given_by": given_by,
                "given_at": datetime.now(UTC),
            },
        )
        shown = next(row for row in store.names(connection) if row["cluster_id"] == found)
    Clusters(workbench).set_name(found, shown["name"], shown["source"])
    return found
