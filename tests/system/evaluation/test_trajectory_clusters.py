"""Paths fall into clusters that keep their ids while conversations come, and that a new workbench gives again."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import duckdb
import pyarrow as pa
import pytest

from regraft.domain.errors import NotFoundError, UsageError
from regraft.domain.evaluation.clusters import ClusterRule
from regraft.flows.capture.ingest import SeenIds, ingest
from regraft.flows.datasets.erase_truth import erase_truth
from regraft.flows.datasets.erase_workbench import rebuild_workbench
from regraft.flows.datasets.ranking import rank_trajectories
from regraft.flows.evaluation import cluster_reading as reading
from regraft.flows.evaluation import tables
from regraft.flows.evaluation.clusters import materialise_clusters
from regraft.flows.evaluation.embeddings import materialise_embeddings
from regraft.flows.evaluation.trajectories import materialise_units
from regraft.flows.lineage import build as lineage
from regraft.infra.duckdb.evaluation.clusters import Clusters
from regraft.infra.embedding.static import StaticEmbedder
from regraft.infra.files.recipes import parse_recipe
from regraft.infra.nats.codec import encode_exchange
from regraft.infra.postgres.datasets import erasure
from regraft.infra.postgres.pool import connect, transaction
from support.topics import ODD, TOPICS, talks

NOW = datetime(2026, 1, 1, tzinfo=UTC)
EMBEDDER = StaticEmbedder()
TABLES = (
    *("trajectory_cluster_run", "trajectory_clusters", "trajectory_cluster_summaries"),
    "trajectory_cluster_matches",
)


class Log:
    """A truth with conversations, and its workbench."""

    def __init__(self, dsn, calls, bench: Path):
        self.dsn, self.calls, self.bench = dsn, calls, bench
        self.about: dict[UUID, str] = {}

    def say(self, about, conversations):
        told = [self.calls([{"role": "user", "content": asked}], answer) for asked, answer in conversations]
        with connect(self.dsn, autocommit=True) as connection:
            ingest(connection, [encode_exchange(each) for each in told], SeenIds())
        lineage.build(self.dsn)
        events = {each.event_id for each in told}
        with transaction(self.dsn) as connection:
            for row in connection.execute("SELECT event_id, node_id FROM session_turn").fetchall():
                if row["event_id"] in events:
                    self.about[row["node_id"]] = about

    def cluster(self, **options):
        materialise_units(self.dsn, self.bench)
        materialise_embeddings(self.bench, EMBEDDER)
        return materialise_clusters(self.dsn, self.bench, EMBEDDER.model, ClusterRule(min_size=4), **options)

    def clusters(self):
        """By cluster at the default layer the topics of its units, with their counts."""
        found: dict[UUID | None, Counter[str]] = {}
        for row in self.query(
            "SELECT unit_id, cluster_id FROM trajectory_clusters JOIN trajectory_cluster_run r"
            " USING (cluster_run_id) WHERE layer = r.default_layer"
        ):
            found.setdefault(row[1], Counter())[self.about[row[0]]] += 1
        return found

    def query(self, statement):
        with duckdb.connect(str(self.bench)) as connection:
            return connection.execute(statement).fetchall()

    def dump(self):
        return {table: self.query(f"SELECT * FROM {table} ORDER BY ALL") for table in TABLES}


@pytest.fixture
def log(truth, calls, tmp_path):
    made = Log(truth, calls, tmp_path / "bench.duckdb")
    for topic in TOPICS:
        made.say(topic, talks(topic)[:12])
    made.say("odd", ODD)
    return made


def test_paths_about_the_same_are_a_cluster_and_odd_ones_are_noise(log):
    done = log.cluster()
    assert (done.fitted, done.units, done.clusters) == (True, 39, 3)
    found = log.clusters()
    assert {tuple(topics) for cluster, topics in found.items() if cluster} == {(topic,) for topic in TOPICS}
    assert found[None]["odd"] == 3
    assert found[None].total() <= 5
    for summary in reading.clusters(log.bench):
        (topic,) = found[summary["cluster_id"]]
        telling = {"cards": "card", "weather": "rain", "python": "python"}[topic]
        assert telling in summary["words"]
        assert summary["name"] == ", ".join(summary["words"][:3])
        assert {log.about[unit] for unit in summary["prototypes"]} == {topic}


def test_nothing_changes_without_news_not_even_by_a_new_fit(log):
    first = log.cluster()
    before = log.dump()
    assert log.cluster().cluster_run_id == first.cluster_run_id
    again = log.cluster(refit=True)
    assert (again.cluster_run_id, again.fitted) == (first.cluster_run_id, False)
    assert log.dump() == before


def test_a_later_path_goes_to_its_cluster_and_a_new_workbench_is_the_same(log):
    first = log.cluster()
    clusters = {next(iter(topics)): cluster for cluster, topics in log.clusters().items() if cluster}
    log.say("weather", talks("weather")[12:])
    done = log.cluster()
    assert (done.cluster_run_id, done.fitted, done.added) == (first.cluster_run_id, False, 4)
    assert log.clusters()[clusters["weather"]] == {"weather": 16}
    later = log.query("SELECT DISTINCT assigned FROM trajectory_clusters WHERE cluster_id IS NOT NULL ORDER BY 1")
    assert later == [("fit",), ("nearest",)]
    before = log.dump()
    log.bench.unlink()
    log.cluster()
    assert log.dump() == before
    rebuild_workbench(log.dsn, log.bench)
    assert log.dump() == before


def test_a_new_fit_keeps_the_ids_and_says_what_became_of_clusters(log):
    log.say("weather", talks("weather")[12:])
    log.cluster()
    before = {next(iter(topics)): cluster for cluster, topics in log.clusters().items() if cluster}
    log.say("cards", talks("cards")[12:])
    done = log.cluster(refit=True)
    assert done.fitted
    after = {next(iter(topics)): cluster for cluster, topics in log.clusters().items() if cluster}
    assert after == before
    kept = {match["cluster_id"] for match in reading.matches(log.bench) if match["fate"] == "kept"}
    assert set(after.values()) <= kept


def test_strangers_in_numbers_bring_a_new_fit(truth, calls, tmp_path):
    log = Log(truth, calls, tmp_path / "bench.duckdb")
    for topic in ("cards", "weather"):
        log.say(topic, talks(topic))
    first = log.cluster()
    assert first.clusters == 2
    log.say("python", talks("python"))
    done = log.cluster()
    assert done.fitted
    assert done.cluster_run_id != first.cluster_run_id
    assert {"python"} in [set(topics) for cluster, topics in log.clusters().items() if cluster]


def test_a_name_that_a_person_gives_outlives_a_new_fit(log):
    log.cluster()
    (cards,) = (one for one in reading.clusters(log.bench) if "card" in one["words"])
    reading.rename(log.dsn, log.bench, cards["name"], "Lost cards", "ann")
    assert reading.resolve(log.bench, "Lost cards") == reading.resolve(log.bench, str(cards["cluster_id"])[:8])
    log.say("cards", talks("cards")[12:])
    log.cluster(refit=True)
    (shown,) = (one for one in reading.clusters(log.bench) if one["name"] == "Lost cards")
    assert (shown["cluster_id"], shown["name_source"]) == (cards["cluster_id"], "human")
    detail = reading.cluster(log.dsn, log.bench, cards["cluster_id"], 5)
    assert [name["given_by"] for name in detail.names] == ["ann"]
    assert len(detail.members) == 5
    with pytest.raises(NotFoundError, match="No clusters"):
        reading.resolve(log.bench, "nothing of that name")


def test_what_is_over_represented_in_a_cluster_is_named(truth, calls, tmp_path):
    log = Log(truth, calls, tmp_path / "bench.duckdb")
    told = [(topic, talk) for topic in ("cards", "weather") for talk in talks(topic)]
    with connect(truth, autocommit=True) as connection:
        records = [
            encode_exchange(calls([{"role": "user", "content": talk[0]}], talk[1], model=f"for-{topic}"))
            for topic, talk in told
        ]
        ingest(connection, records, SeenIds())
    lineage.build(truth)
    log.cluster()
    found = {json.loads(one["over_represented"])[0]["value"] for one in reading.clusters(log.bench)}
    assert found == {"for-cards", "for-weather"}


def test_an_erasure_takes_units_out_and_the_centroids_are_made_from_the_rest(log):
    log.cluster()
    (cards,) = (one for one in reading.clusters(log.bench) if "card" in one["words"])
    reading.rename(log.dsn, log.bench, str(cards["cluster_id"]), "Kept name", "ann")
    gone = next(unit for unit, topic in log.about.items() if topic == "cards")
    with transaction(log.dsn) as connection:
        erasure.begin(connection, gone, "node", str(gone), None, NOW)
        done = erase_truth(connection, gone, "node", str(gone), NOW)
        assert done.found["members of clusters"] == 1
        assert done.found["centroids of clusters"] >= 1
        assert done.found["names of clusters"] == 0
    rebuild_workbench(log.dsn, log.bench)
    units = {row[0] for row in log.query("SELECT unit_id FROM trajectory_clusters")}
    assert gone not in units
    assert len(units) == 38
    log.say("cards", talks("cards")[12:])
    log.cluster()
    (shown,) = (one for one in reading.clusters(log.bench) if one["cluster_id"] == cards["cluster_id"])
    assert (shown["name"], shown["units"] >= 15) == ("Kept name", True)
    with transaction(log.dsn) as connection:
        left = connection.execute("SELECT count(*) AS n FROM trajectory_cluster_centroids WHERE centroid IS NULL")
        assert left.fetchone() == {"n": 0}


def test_a_workbench_without_vectors_has_no_clusters(truth, tmp_path):
    done = materialise_clusters(truth, tmp_path / "bench.duckdb", EMBEDDER.model)
    assert (done.cluster_run_id, done.units) == (None, 0)
    assert Clusters(tmp_path / "bench.duckdb").run() is None
    assert reading.clusters(tmp_path / "bench.duckdb") == []


def test_a_recipe_takes_the_best_of_each_cluster(log):
    recipe = parse_recipe(
        'name = "spread"\nkind = "sft"\n[select]\nstrata = ["cluster"]\nk_per_stratum = 2\nper_context = 0\n', "it"
    )
    materialise_units(log.dsn, log.bench)
    with pytest.raises(UsageError, match="regraft clusters list"):
        rank_trajectories(recipe, log.dsn, log.bench)
    log.cluster()
    log.say("weather", talks("weather")[12:])
    ranks = rank_trajectories(recipe, log.dsn, log.bench)
    clusters = {str(one["cluster_id"]) for one in reading.clusters(log.bench)}
    assert dict(ranks.positives) == dict.fromkeys({*clusters, ""}, 2)


def test_clusters_come_as_a_table_of_paths_with_those_that_came_later(log):
    log.cluster()
    log.say("cards", talks("cards")[12:])
    materialise_units(log.dsn, log.bench)
    materialise_embeddings(log.bench, EMBEDDER)
    table = pa.Table.from_batches(tables.clusters(log.dsn, log.bench))
    assert table.num_rows == 43
    assert table.schema.equals(tables.CLUSTERS)
    found = {(row["assigned"], row["cluster_id"] is None) for row in table.to_pylist()}
    assert {("fit", False), ("fit", True), ("nearest", False)} <= found
    named = {row["cluster_id"]: row["name"] for row in table.to_pylist()}
    assert {str(one["cluster_id"]): one["name"] for one in reading.clusters(log.bench)}.items() <= named.items()


def test_the_map_is_text_with_a_letter_for_each_cluster(log):
    assert reading.map_page(log.bench) == ""
    log.cluster()
    page = reading.map_page(log.bench)
    picture, table = page.split("```\n", 2)[0], page.rsplit("```\n", 1)[1]
    assert {letter for letter in picture.removeprefix("```text") if letter.isalpha()} == {"a", "b", "c"}
    assert sum(int(line.split("|")[3]) for line in table.strip().splitlines()[2:]) >= 34
    points = reading.points(log.bench)
    assert len(points) == 39
    assert all(-1 <= one["x"] <= 1 and -1 <= one["y"] <= 1 for one in points)
    assert reading.points(log.bench, after=points[36]["unit_id"]) == points[37:]
    with pytest.raises(NotFoundError, match="no layer 9"):
        reading.points(log.bench, layer=9)
