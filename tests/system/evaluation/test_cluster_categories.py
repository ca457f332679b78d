"""What the categories of its paths say of a cluster: shares with intervals, beside the rest of the log."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import duckdb
import pytest
from scipy.stats import binomtest

from regraft.flows.evaluation import categories as flow
from regraft.flows.evaluation.review import rate_unit
from regraft.flows.evaluation.trajectories import materialise_units
from regraft.infra.files.taxonomies import parse_taxonomy
from regraft.infra.postgres.pool import transaction
from regraft.infra.queries import queries
from support.small_graph import SmallGraph, say

TAXONOMY = parse_taxonomy(
    'name = "own"\n[categories.rude]\ndefinition = "d"\n[categories.long]\ndefinition = "d"\n'
    "[categories.long.where.answer_length]\nmin = 50\n",
    "own.toml",
)


class Clustered:
    """Twelve talks, of which the first eight are in a cluster, the next two in another, and two are noise."""

    def __init__(self, dsn: str, bench: Path) -> None:
        self.dsn, self.bench, self.run, self.clusters = dsn, bench, uuid4(), (uuid4(), uuid4())
        self.units: list[UUID] = []
        with transaction(dsn) as connection:
            graph = SmallGraph(connection)
            for number in range(12):
                answer = say("assistant", "word " * (20 if number < 6 else 2))
                turn = graph.turn(graph.session(f"talk {number}"), [say("user", f"Question {number}?")], answer)
                self.units.append(turn.node_id)
        materialise_units(dsn, bench)
        with duckdb.connect(str(bench)) as connection:
            connection.execute(queries("duckdb/evaluation/clusters")["schema"].decode())
            for place, unit in enumerate(self.units):
                cluster = self.clusters[0] if place < 8 else self.clusters[1] if place < 10 else None
                connection.execute(
                    "INSERT INTO trajectory_clusters VALUES (?, ?, 0, ?, 1, 'fit', 0, 0)", [self.run, unit, cluster]
                )

    def labels(self, **conditions: Any) -> dict[tuple[UUID, str, str], dict[str, Any]]:
        flow.label_units(self.dsn, self.bench, TAXONOMY)
        flow.label_clusters(self.bench)
        found = flow.cluster_labels(self.bench, **conditions)
        return {(row["cluster_id"], row["category"], row["source"]): row for row in found}


@pytest.fixture
def clustered(truth: str, tmp_path: Path) -> Clustered:
    return Clustered(truth, tmp_path / "bench.duckdb")


def test_rules_look_at_all_paths_of_a_cluster_and_a_share_stands_beside_that_of_the_log(clustered: Clustered) -> None:
    first, second = clustered.clusters
    found = clustered.labels()
    assert list(found) == [(first, "long", "rules"), (second, "long", "rules")]  # the most telling first
    row = found[first, "long", "rules"]
    assert (row["cluster_run_id"], row["units"], row["labelled"], row["decided"]) == (clustered.run, 8, 8, 6)
    assert (row["share"], row["overall"], row["lift"]) == (0.75, 0.5, 1.5)
    interval = binomtest(6, 8).proportion_ci(method="wilson")
    assert (row["share_low"], row["share_high"]) == pytest.approx((interval.low, interval.high), abs=1e-9)
    assert len(row["evidence"]) == 5
    assert set(row["evidence"]) < set(clustered.units[:6])
    none = found[second, "long", "rules"]
    assert (none["share"], none["lift"], none["evidence"], none["share_low"]) == (0.0, 0.0, [], 0.0)


def test_people_are_a_sample_of_a_cluster_and_stand_apart_from_rules(clustered: Clustered) -> None:
    first, second = clustered.clusters
    rate_unit(clustered.dsn, clustered.units[0], 2, "ann", categories=["rude"])
    rate_unit(clustered.dsn, clustered.units[1], 4, "ann")
    rate_unit(clustered.dsn, clustered.units[11], 4, "ann")
    found = clustered.labels(category="rude")
    row = found[first, "rude", "human"]
    assert (row["units"], row["labelled"], row["decided"], row["share"]) == (8, 2, 1, 0.5)
    assert row["overall"] == pytest.approx(1 / 3)
    assert row["evidence"] == [clustered.units[0]]
    assert (second, "rude", "human") not in found  # no one rated a path of it
    assert clustered.labels(source="rules").keys() == {(first, "long", "rules"), (second, "long", "rules")}


def test_counting_again_gives_the_same_and_without_clusters_there_are_none(
    clustered: Clustered, tmp_path: Path
) -> None:
    before = clustered.labels()
    assert clustered.labels() == before
    assert flow.label_clusters(clustered.bench) == flow.ClusterLabelCounts(labels=2, clusters=2)
    with duckdb.connect(str(clustered.bench)) as connection:
        connection.execute("DELETE FROM trajectory_clusters")
    assert clustered.labels() == {}
    assert flow.label_clusters(tmp_path / "none.duckdb") == flow.ClusterLabelCounts(labels=0, clusters=0)
