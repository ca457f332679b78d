"""The map for a page that draws all of it: arrays of small numbers instead of a record per point."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from regraft.flows.evaluation.cluster_reading import layer_of
from regraft.infra.duckdb.evaluation.clusters import Clusters

MOST_POINTS = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class MapColumns:
    """``points`` of the map at a layer, each an item of every column (little-endian), by cluster, then by unit.

    ``x`` and ``y`` are 16-bit numbers with sign, in 32,767ths of -1 to 1; ``cluster`` and ``theme`` 16-bit places in
    ``clusters`` and ``themes``; ``outcome`` and ``quality`` bytes in 254ths, 255 where nothing is known; ``late`` is 1
    of a unit that came after the fit. The cluster '' is none.
    """

    run_id: UUID
    layer: int
    points: int
    clusters: list[str]
    themes: list[str]
    x: bytes
    y: bytes
    cluster: bytes
    theme: bytes
    outcome: bytes
    quality: bytes
    late: bytes


def map_columns(workbench: Path, layer: int | None = None, sessions: list[str] | None = None) -> MapColumns | None:
    """The map of a layer, of all sessions or of some; None without a fit. Raises NotFoundError for an unknown layer."""
    import numpy as np

    bench = Clusters(workbench)
    made = bench.run()
    if made is None:
        return None
    wanted = layer_of(made, layer)
    found = bench.map_columns(wanted, MOST_POINTS, sessions)
    if not found:
        return None

    def packed(name: str, kind: str) -> bytes:
        return bytes(np.asarray(found[name]).astype(kind).tobytes())

    def coded(name: str) -> tuple[list[str], bytes]:
        values = found[name].tolist()
        names = sorted(set(values))
        places = {one: place for place, one in enumerate(names)}
        return names, np.fromiter((places[one] for one in values), "<u2", len(values)).tobytes()

    clusters, cluster = coded("cluster")
    themes, theme = coded("theme")
    return MapColumns(
        run_id=made["cluster_run_id"],
        layer=wanted,
        points=len(found["x"]),
        clusters=clusters,
        themes=themes,
        x=packed("x", "<i2"),
        y=packed("y", "<i2"),
        cluster=cluster,
        theme=theme,
        outcome=packed("outcome", "u1"),
        quality=packed("quality", "u1"),
        late=packed("late", "u1"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MapIds:
    """The units and sessions of the points of ``MapColumns``, in its order."""

    run_id: UUID
    layer: int
    units: list[str]
    sessions: list[str]


def map_ids(workbench: Path, layer: int | None = None, sessions: list[str] | None = None) -> MapIds | None:
    """Which units the points of a map are; None without a fit. Raises NotFoundError for an unknown layer."""
    bench = Clusters(workbench)
    made = bench.run()
    if made is None:
        return None
    wanted = layer_of(made, layer)
    found: dict[str, Any] = bench.map_ids(wanted, MOST_POINTS, sessions)
    units = [str(one) for one in found.get("unit_id", ())]
    owners = [str(one) for one in found.get("session_id", ())]
    return MapIds(run_id=made["cluster_run_id"], layer=wanted, units=units, sessions=owners)
