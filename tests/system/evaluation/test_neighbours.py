"""Neighbours of a path: exact in the workbench, by pgvector in PostgreSQL, and the same paths by both."""

from __future__ import annotations

import re
from pathlib import Path
from uuid import UUID

import numpy as np
import psycopg
import pyarrow as pa
import pytest
from starlette.testclient import TestClient

from regraft.domain.errors import NotFoundError
from regraft.flows.capture.ingest import SeenIds, ingest
from regraft.flows.datasets.erase import ErasureStores, erase
from regraft.flows.evaluation.embeddings import materialise_embeddings
from regraft.flows.evaluation.neighbours import (
    forget_dropped,
    index_vectors,
    similar,
    vector_search,
)
from regraft.flows.evaluation.trajectories import materialise_units
from regraft.flows.lineage import build as lineage
from regraft.infra.duckdb.evaluation.embeddings import Embeddings
from regraft.infra.duckdb.evaluation.neighbours import neighbour_index
from regraft.infra.embedding.static import StaticEmbedder
from regraft.infra.nats.codec import encode_exchange
from regraft.infra.postgres.evaluation import vectors as store
from regraft.infra.postgres.pool import connect
from regraft.presentation.web.app import make_app

TALKS = {
    "refund": ("I lost my credit card and need a new one.", "We block the card and send you another one."),
    "card": ("My bank card is missing, please help!", "Your card is blocked; a new card is on its way."),
    "storm": ("Why does lightning come before thunder?", "Light travels faster than sound, so you see it first."),
    "rain": ("How does rain form?", "Drops in a cloud grow until they are too heavy to float."),
}
GUIDE = Path(__file__).parents[3] / "docs" / "how-to" / "similar.md"
ROWS = "SELECT unit_id, xmin::text AS written FROM regraft_vectors.trajectory_vectors ORDER BY unit_id"


@pytest.fixture
def capture(vector_truth, calls):
    """Stores a conversation of one answer, and gives its node."""
    stored = SeenIds()

    def one(question, answer, scope="default"):
        exchange = calls([{"role": "user", "content": question}], answer, circumstances={"scope": scope})
        with connect(vector_truth, autocommit=True) as connection:
            ingest(connection, [encode_exchange(exchange)], stored)
            lineage.build(vector_truth)
            row = connection.execute(
                "SELECT node_id FROM session_turn WHERE turn_id = %s", (exchange.event_id,)
            ).fetchone()
        return row["node_id"]

    return one


@pytest.fixture
def bench(tmp_path):
    return tmp_path / "bench.duckdb"


def embedded(dsn, bench, embedder):
    materialise_units(dsn, bench)
    materialise_embeddings(bench, embedder)
    return index_vectors(dsn, bench, embedder.model)


def rows(dsn):
    with connect(dsn) as connection:
        return {row["unit_id"]: row["written"] for row in connection.execute(ROWS).fetchall()}


def invented(bench, count, dimensions=48, seed=1):
    """A workbench with units of one session each and vectors in groups; the vectors, in the order of their ids."""
    random = np.random.default_rng(seed)
    centres = random.standard_normal((count // 40, dimensions))
    found = centres[random.integers(0, len(centres), count)] + 0.7 * random.standard_normal((count, dimensions))
    vectors = (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)
    ids = [str(UUID(int=number + 1)) for number in range(count)]
    table = Embeddings(bench)
    with table._writing() as connection:
        connection.execute("CREATE TABLE trajectory_units (unit_id UUID, session_id UUID, text VARCHAR)")
        connection.execute("INSERT INTO trajectory_units SELECT i::UUID, i::UUID, i FROM unnest(?) AS t(i)", [ids])
    rows = [{"unit_id": one, "text_hash": f"{number:064x}"} for number, one in enumerate(ids)]
    lists = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), dimensions).cast(pa.list_(pa.float32()))
    table.add("invented", rows, lists)
    return ids, vectors


def test_exact_search_finds_what_a_sort_of_all_cosines_finds(bench):
    ids, vectors = invented(bench, 1000)
    index = neighbour_index(bench, "invented")
    for at in (0, 17, 999):
        cosines = vectors.astype(np.float64) @ vectors[at].astype(np.float64)
        cosines[at] = -2
        expected = [ids[place] for place in np.argsort(-cosines)[:10]]
        found = index.nearest(vectors[at], 10, without=[UUID(ids[at])])
        assert [str(each.unit_id) for each in found] == expected
        assert found[0].similarity == pytest.approx(cosines.max(), abs=1e-6)
    elsewhere = index.nearest(vectors[3], 5, elsewhere_than=UUID(ids[3]))
    assert ids[3] not in [str(each.unit_id) for each in elsewhere]
    assert index.nearest(vectors[0][:7], 10) == []


def test_the_index_in_memory_follows_the_file(bench):
    ids, _ = invented(bench, 200)
    first = neighbour_index(bench, "invented")
    assert neighbour_index(bench, "invented") is first
    with Embeddings(bench)._writing() as connection:
        connection.execute("DELETE FROM trajectory_embeddings WHERE unit_id = ?", [ids[5]])
    assert len(neighbour_index(bench, "invented")) == 199
    assert neighbour_index(bench, "invented").vector_of(UUID(ids[5])) is None


def test_pgvector_finds_the_same_paths_as_the_exact_search(vector_truth, capture, bench, tmp_path):
    nodes = {name: capture(*talk) for name, talk in TALKS.items()}
    embedder = StaticEmbedder()
    exact = None
    for search in ("exact", "pgvector"):
        materialise_units(vector_truth, bench)
        materialise_embeddings(bench, embedder)
        if search == "pgvector":
            assert index_vectors(vector_truth, bench, embedder.model).vectors == 4
        found = similar(vector_truth, bench, embedder, nodes["refund"], 3)
        assert (found.search, found.items[0].unit_id, len(found.items)) == (search, nodes["card"], 3)
        assert (found.items[0].asked, found.items[0].turns) == (TALKS["card"][0], 1)
        if exact:
            assert [each.unit_id for each in found.items] == [each.unit_id for each in exact.items]
            assert [each.similarity for each in found.items] == pytest.approx(
                [each.similarity for each in exact.items], abs=1e-6
            )
        exact = found
    with psycopg.connect(vector_truth) as connection:  # as in psql
        shown = connection.execute("SELECT unit_id FROM regraft_vectors.similar(%s, 1)", (nodes["refund"],)).fetchall()
    assert shown == [(nodes["card"],)]
    (documented,) = re.findall(r"^    SELECT .*?;$", GUIDE.read_text(), re.DOTALL | re.MULTILINE)
    with psycopg.connect(vector_truth) as connection:
        written = re.sub(r"similar\('[0-9a-f-]+', 10\)", f"similar('{nodes['refund']}', 1)", documented)
        ((_, _, node, asked),) = connection.execute(written.encode()).fetchall()
    assert (node, asked) == (nodes["card"], TALKS["card"][0])
    with pytest.raises(NotFoundError):
        similar(vector_truth, bench, embedder, UUID(int=1))


def test_the_index_misses_few_of_the_true_neighbours(vector_truth, bench):
    _, vectors = invented(bench, 5000)
    assert index_vectors(vector_truth, bench, "invented").vectors == 5000
    index = neighbour_index(bench, "invented")
    found = 0
    with connect(vector_truth) as connection:
        plan = connection.execute(
            "SELECT indexdef FROM pg_indexes WHERE indexname = 'trajectory_vectors_near'"
        ).fetchone()
        assert "hnsw" in plan["indexdef"]
        for at in range(0, 5000, 100):
            near = store.nearest(connection, vectors[at].tolist(), 10, scope=None, elsewhere_than=None, without=[])
            found += len({each.unit_id for each in near} & {each.unit_id for each in index.nearest(vectors[at], 10)})
    assert found >= 0.95 * 500


def test_only_what_changed_is_sent_and_what_was_dropped_goes(vector_truth, capture, bench):
    embedder = StaticEmbedder()
    nodes = {name: capture(*TALKS[name]) for name in ("refund", "card", "storm")}
    embedded(vector_truth, bench, embedder)
    before = rows(vector_truth)
    assert set(before) == set(nodes.values())
    nodes["rain"] = capture(*TALKS["rain"])
    assert embedded(vector_truth, bench, embedder).vectors == 4
    after = rows(vector_truth)
    assert {unit: after[unit] for unit in before} == before
    with Embeddings(bench)._writing() as connection:
        connection.execute("DELETE FROM trajectory_embeddings WHERE unit_id = ?", [nodes["card"]])
    index_vectors(vector_truth, bench, embedder.model)
    assert set(rows(vector_truth)) == set(nodes.values()) - {nodes["card"]}
    assert vector_search(vector_truth).vectors == 3


def test_vectors_of_another_model_take_the_place_of_the_former(vector_truth, bench):
    invented(bench, 100, dimensions=48)
    index_vectors(vector_truth, bench, "invented")
    with Embeddings(bench)._writing() as connection:
        connection.execute(
            "INSERT INTO trajectory_embeddings"
            " SELECT unit_id, 'shorter', text_hash, vector[:7] FROM trajectory_embeddings"
        )
    found = index_vectors(vector_truth, bench, "shorter")
    assert (found.model, found.vectors) == ("shorter", 100)
    with connect(vector_truth) as connection:
        near = store.nearest(connection, [1.0] + [0.0] * 6, 5, scope=None, elsewhere_than=None, without=[])
        assert len(near) == 5
        assert store.nearest(connection, [1.0] * 48, 5, scope=None, elsewhere_than=None, without=[]) == []


@pytest.mark.parametrize("by_index", [True, False], ids=["pgvector", "exact"])
def test_a_tenant_finds_only_its_own_paths(vector_truth, capture, bench, by_index):
    embedder = StaticEmbedder()
    mine = capture(*TALKS["refund"], scope="alpha")
    own = capture(*TALKS["storm"], scope="alpha")
    others = [capture(f"{TALKS['card'][0]} {number}", TALKS["card"][1], scope="beta") for number in range(30)]
    materialise_units(vector_truth, bench)
    materialise_embeddings(bench, embedder)
    if by_index:
        index_vectors(vector_truth, bench, embedder.model)
    found = similar(vector_truth, bench, embedder, mine, 2, scope="alpha")
    assert found.search == ("pgvector" if by_index else "exact")
    assert [each.unit_id for each in found.items] == [own]
    assert {each.unit_id for each in similar(vector_truth, bench, embedder, mine, 30).items} == set(others)
    with pytest.raises(NotFoundError):
        similar(vector_truth, bench, embedder, others[0], 2, scope="alpha")


def test_while_the_copy_is_filled_anew_the_search_is_exact(vector_truth, capture, bench):
    embedder = StaticEmbedder()
    nodes = [capture(*talk) for talk in TALKS.values()]
    embedded(vector_truth, bench, embedder)
    with connect(vector_truth) as writer:
        writer.execute("LOCK TABLE regraft_vectors.trajectory_vectors IN ACCESS EXCLUSIVE MODE")
        assert similar(vector_truth, bench, embedder, nodes[0], 1).search == "exact"
        writer.rollback()
    assert similar(vector_truth, bench, embedder, nodes[0], 1).search == "pgvector"


def test_an_erased_conversation_leaves_no_vector(vector_truth, capture, bench, tmp_path):
    embedder = StaticEmbedder()
    nodes = {name: capture(*talk) for name, talk in TALKS.items()}
    embedded(vector_truth, bench, embedder)
    places = ErasureStores(
        dsn=vector_truth, workbench=bench, warehouse=str(tmp_path / "w"), spool=tmp_path / "spool", data_dir=tmp_path
    )
    erase("node", str(nodes["card"]), places)
    assert set(rows(vector_truth)) == set(nodes.values()) - {nodes["card"]}
    bench.unlink()
    forget_dropped(vector_truth, bench)
    assert rows(vector_truth) == {}


def test_without_the_right_to_install_it_the_search_is_exact_and_says_why(vector_truth, capture, bench):
    embedder = StaticEmbedder()
    nodes = [capture(*talk) for talk in TALKS.values()]
    with psycopg.connect(vector_truth, autocommit=True) as connection:
        connection.execute("CREATE ROLE reader LOGIN PASSWORD 'reader' IN ROLE pg_read_all_data")
    reader = psycopg.conninfo.make_conninfo(vector_truth, user="reader", password="reader")
    materialise_units(vector_truth, bench)
    materialise_embeddings(bench, embedder)
    assert "permission denied" in index_vectors(reader, bench, embedder.model).reason
    assert similar(reader, bench, embedder, nodes[0], 1).search == "exact"
    with psycopg.connect(vector_truth, autocommit=True) as connection:
        connection.execute("DROP ROLE reader")


@pytest.mark.parametrize("by_index", [True, False], ids=["pgvector", "exact"])
def test_the_web_api_shows_them(vector_truth, capture, bench, by_index):
    embedder = StaticEmbedder()
    nodes = {name: capture(*talk) for name, talk in TALKS.items()}
    materialise_units(vector_truth, bench)
    materialise_embeddings(bench, embedder)
    if by_index:
        index_vectors(vector_truth, bench, embedder.model)
    with TestClient(make_app(vector_truth, workbench=bench, embedder=lambda: embedder)) as client:
        found = client.get(f"/api/nodes/{nodes['refund']}/similar", params={"limit": 2, "elsewhere": True}).json()
        assert (found["search"], found["embedding_model"]) == ("pgvector" if by_index else "exact", embedder.model)
        assert found["items"][0]["unit_id"] == str(nodes["card"])
        assert found["items"][0]["asked"] == TALKS["card"][0]
        assert len(found["items"]) == 2
        assert client.get("/api/nodes/00000000-0000-0000-0000-000000000001/similar").status_code == 404
        assert client.get(f"/api/nodes/{nodes['refund']}/similar?limit=0").status_code == 400
    with TestClient(make_app(vector_truth)) as client:
        assert client.get(f"/api/nodes/{nodes['refund']}/similar").status_code == 503


@pytest.mark.parametrize("by_index", [True, False], ids=["pgvector", "exact"])
def test_a_node_in_the_middle_is_compared_by_what_was_said_up_to_it(vector_truth, calls, capture, bench, by_index):
    embedder = StaticEmbedder()
    question, answer = TALKS["refund"]
    first = {"role": "user", "content": question}
    middle = capture(question, answer)
    capture(*TALKS["storm"])
    near = capture(*TALKS["card"])
    grown = calls([first, {"role": "assistant", "content": answer}, {"role": "user", "content": "Thanks!"}], "Welcome.")
    with connect(vector_truth, autocommit=True) as connection:
        ingest(connection, [encode_exchange(grown)], SeenIds())
        lineage.build(vector_truth)
        row = connection.execute("SELECT node_id FROM session_turn WHERE turn_id = %s", (grown.event_id,)).fetchone()
    materialise_units(vector_truth, bench)
    materialise_embeddings(bench, embedder)
    if by_index:
        index_vectors(vector_truth, bench, embedder.model)
    found = similar(vector_truth, bench, embedder, middle)
    assert found.items[0].unit_id == near
    assert row["node_id"] not in {each.unit_id for each in found.items}
    assert len(found.items) == 2
