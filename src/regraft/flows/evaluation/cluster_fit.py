"""A fit of trajectory clusters: cluster and map all vectors, follow on the last fit, keep it in the truth."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pyarrow as pa

from regraft.domain.evaluation.clusters import ClusterOverlap, ClusterRule, ClusterSuccession, fresh_id, succession
from regraft.domain.ids import Digest, canonical_json, digest, uuid_of
from regraft.infra.postgres.evaluation import clusters as store
from regraft.infra.postgres.pool import Connection, transaction

if TYPE_CHECKING:
    from regraft.infra.statistics.partition import Former, Partition

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Origin:
    """What a fit is made from and how: the same origin gives the same fit."""

    made_from: Digest
    model: str
    rule: ClusterRule

    @property
    def parameters(self) -> str:
        return canonical_json({"min_size": self.rule.min_size})

    def gave(self, run: Record | None) -> bool:
        """Whether it gave this fit."""
        return run is not None and (
            bytes(run["input_digest"]) == self.made_from
            and canonical_json(json.loads(run["parameters"])) == self.parameters
            and run["seed"] == self.rule.seed
        )


def fit(dsn: str, units: pa.Table, model: str, rule: ClusterRule) -> bool:
    """Cluster these units (``unit_id``, ``text_hash``, ``vector``; at least one) and store the fit.

    False where the last fit was made from the same units by the same rule, so that nothing is new.
    """
    from regraft.infra.statistics.partition import partition_column

    origin = _Origin(_input_digest(units, model), model, rule)
    with transaction(dsn, name="regraft-clusters") as connection:
        last = store.current_run(connection)
    if origin.gave(last):
        return False
    former = _former(dsn, last, units.column("unit_id").to_pylist(), model)
    found = partition_column(units.column("vector"), seed=rule.seed, min_size=rule.min_size, former=former)
    with transaction(dsn, name="regraft-clusters") as connection:
        store.lock(connection)
        last = store.current_run(connection)
        if origin.gave(last):
            return False  # another process was faster
        _save(dsn, connection, units.column("unit_id").to_pylist(), found, origin, last)
    return True


def _former(dsn: str, last: Record | None, units: Sequence[str], model: str) -> Former | None:
    """The clusters of these units in the last fit; None where it found no clusters, or other vectors."""
    from regraft.infra.statistics.partition import Former

    if last is None or last["embedding_model"] != model or last["noise"] == last["units"]:
        return None
    said = store.members(dsn, last["cluster_run_id"])
    numbers: list[dict[str, int]] = [{} for _ in range(last["layers"])]
    known = {
        unit: [-1 if one is None else numbers[at].setdefault(one, len(numbers[at])) for at, one in enumerate(clusters)]
        for unit, clusters in zip(*(said.column(n).to_pylist() for n in ("unit_id", "cluster_ids")), strict=True)
    }
    nothing = [-1] * last["layers"]
    return Former(
        [known.get(unit, nothing) for unit in units], [unit in known for unit in units], last["default_layer"]
    )


def _input_digest(units: pa.Table, model: str) -> Digest:
    ids, texts = (units.column(name).to_pylist() for name in ("unit_id", "text_hash"))
    return digest(model.encode(), "\n".join(f"{one} {text}" for one, text in zip(ids, texts, strict=True)).encode())


def _save(
    dsn: str, connection: Connection, units: Sequence[str], found: Partition, origin: _Origin, last: Record | None
) -> None:
    previous = last["cluster_run_id"] if last else None
    pin = digest(origin.made_from, origin.parameters.encode(), str(origin.rule.seed).encode(), str(previous).encode())
    run = uuid_of(pin)
    clusters = found.clusters()
    fresh = [fresh_id(pin, number) for number in range(len(clusters))]
    numbers = found.numbers()
    known = store.centroids(connection, previous) if previous else []
    # Fits have unlike numbers of layers, but each has a default one: layers are matched by their distance from it.
    layers = [one.layer - found.clustering.default for one in clusters]
    old_layers = [row["layer"] - last["default_layer"] for row in known] if last else []
    follows = _succession(dsn, units, numbers, fresh, layers, previous, known, old_layers)
    ids = [follows.ids[one] for one in fresh]
    clustering = found.clustering
    store.add_run(
        connection,
        {
            "cluster_run_id": run,
            "previous_run_id": previous,
            "embedding_model": origin.model,
            "algorithm": clustering.algorithm,
            "parameters": origin.parameters,
            "seed": origin.rule.seed,
            "input_digest": origin.made_from,
            "units": len(units),
            "noise": sum(row[clustering.default] < 0 for row in numbers),
            "layers": len(clustering.layers),
            "default_layer": clustering.default,
            "trustworthiness": found.trustworthiness,
            "created_at": datetime.now(UTC),
        },
        [
            store.CentroidRow(
                cluster_run_id=run,
                cluster_id=ids[number],
                layer=one.layer,
                parent_id=None if one.parent is None else ids[one.parent],
                units=one.units,
                centroid=one.vector,
                floor=one.floor,
                x=one.x,
                y=one.y,
            )
            for number, one in enumerate(clusters)
        ],
        _members(run, units, found, numbers, ids),
        [
            store.MatchRow(
                cluster_run_id=run,
                cluster_id=match.cluster_id,
                previous_cluster_id=match.previous_id,
                jaccard=match.jaccard,
                fate=match.fate,
            )
            for match in follows.matches
        ],
    )


def _succession(
    dsn: str,
    units: Sequence[str],
    numbers: Sequence[Sequence[int]],
    fresh: Sequence[UUID],
    layers: Sequence[int],
    previous: UUID | None,
    known: Sequence[Record],
    old_layers: Sequence[int],
) -> ClusterSuccession:
    """How the clusters follow on those of the last fit, by the units that both saw."""
    old = [row["cluster_id"] for row in known]
    if previous is None or not known:
        return succession(fresh, old, (), {})
    from regraft.infra.statistics.overlap import compare

    places = {unit: place for place, unit in enumerate(units)}
    number = {str(cluster): place for place, cluster in enumerate(old)}
    before = store.members(dsn, previous)
    both = [
        (places[unit], [number.get(cluster, -1) for cluster in clusters])
        for unit, clusters in zip(*(before.column(n).to_pylist() for n in ("unit_id", "cluster_ids")), strict=True)
        if unit in places
    ]
    if not both or not fresh:
        return succession(fresh, old, (), {})
    overlaps = compare([numbers[place] for place, _ in both], [row for _, row in both], layers, old_layers)
    return succession(
        fresh,
        old,
        [
            ClusterOverlap(
                fresh=fresh[one.fresh],
                previous=old[one.previous],
                shared=one.shared,
                fresh_units=one.fresh_units,
                previous_units=one.previous_units,
                same_layer=layers[one.fresh] == old_layers[one.previous],
            )
            for one in overlaps.pairs
        ],
        {fresh[one]: old[other] for one, other in overlaps.best},
    )


def _members(
    run: UUID, units: Sequence[str], found: Partition, numbers: Sequence[Sequence[int]], ids: Sequence[UUID]
) -> Iterator[store.MemberRow]:
    named: list[UUID | None] = [*ids, None]  # -1 is the last one
    points = found.points.tolist()
    for position, (unit, strengths) in enumerate(zip(units, found.strengths(), strict=True)):
        yield store.MemberRow(
            cluster_run_id=run,
            position=position,
            unit_id=UUID(unit),
            cluster_ids=[named[number] for number in numbers[position]],
            strengths=strengths,
            x=points[position][0],
            y=points[position][1],
        )
