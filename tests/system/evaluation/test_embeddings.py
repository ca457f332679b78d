"""Trajectories become vectors, each text once; a node finds the conversations that are near to it in meaning."""

from __future__ import annotations

import json

import pytest

from regraft.domain.errors import NotFoundError, UpstreamError
from regraft.flows.capture.ingest import SeenIds, ingest
from regraft.flows.datasets.erase_workbench import rebuild_workbench
from regraft.flows.evaluation import embeddings as embed
from regraft.flows.evaluation.neighbours import similar
from regraft.flows.evaluation.trajectories import materialise_units
from regraft.flows.lineage import build as lineage
from regraft.infra.duckdb.evaluation import embeddings
from regraft.infra.duckdb.evaluation.embeddings import Embeddings, WorkbenchPieces
from regraft.infra.duckdb.evaluation.workbench import Workbench
from regraft.infra.embedding.configured import embedder_of
from regraft.infra.embedding.endpoint import EndpointEmbedder
from regraft.infra.embedding.minilm import MiniLmEmbedder
from regraft.infra.embedding.static import StaticEmbedder
from regraft.infra.nats.codec import encode_exchange
from regraft.infra.postgres.pool import connect
from regraft.infra.settings import EmbeddingSection, Settings
from support.gateways import gateway_to
from support.scripted_upstream import plain

TALKS = {
    "refund": ("I lost my credit card and need a new one.", "We block the card and send you another one."),
    "card": ("My bank card is missing, please help!", "Your card is blocked; a new card is on its way."),
    "storm": ("Why does lightning come before thunder?", "Light travels faster than sound, so you see it first."),
}


def asked(text):
    return [{"role": "user", "content": text}]


class Counting(StaticEmbedder):
    """The real embedder, and how many texts it was given."""

    def __init__(self):
        self.texts = 0

    def embed(self, texts, known=None):
        self.texts += len(texts)
        return super().embed(texts, known)


class CountingChunks(MiniLmEmbedder):
    """The real embedder, and how many chunks its model was given."""

    def __init__(self):
        self.chunks = 0

    def _run(self, chunks):
        self.chunks += len(chunks)
        return super()._run(chunks)


@pytest.fixture
def told(truth, calls, tmp_path):
    """Three conversations, measured; by name the node of each answer."""
    stored = SeenIds()
    exchanges = {name: calls(asked(question), answer) for name, (question, answer) in TALKS.items()}
    with connect(truth, autocommit=True) as connection:
        ingest(connection, [encode_exchange(each) for each in exchanges.values()], stored)
        lineage.build(truth)
        rows = connection.execute("SELECT turn_id, node_id FROM session_turn").fetchall()
    materialise_units(truth, tmp_path / "bench.duckdb")
    by_turn = {row["turn_id"]: row["node_id"] for row in rows}
    return {name: by_turn[each.event_id] for name, each in exchanges.items()}


@pytest.mark.parametrize("embedder", [MiniLmEmbedder(), StaticEmbedder()], ids=["minilm", "static"])
def test_the_nearest_conversation_is_about_the_same(truth, told, tmp_path, embedder):
    bench = tmp_path / "bench.duckdb"
    counts = embed.materialise_embeddings(bench, embedder)
    assert (counts.embedded, counts.units) == (3, 3)
    found = similar(truth, bench, embedder, told["refund"])
    assert [path.unit_id for path in found.items] == [told["card"], told["storm"]]
    assert 1 >= found.items[0].similarity > found.items[1].similarity >= -1
    assert len(similar(truth, bench, embedder, told["refund"], 1, elsewhere=True).items) == 1
    with pytest.raises(NotFoundError):
        similar(truth, bench, embedder, told["refund"].__class__(int=1))


def test_a_text_is_embedded_once_and_a_path_that_grew_again(truth, told, calls, tmp_path):
    bench, embedder = tmp_path / "bench.duckdb", Counting()
    seen = []
    embed.materialise_embeddings(bench, embedder, lambda done, wanted: seen.append((done, wanted)))
    assert seen == [(3, 3)]
    assert embed.materialise_embeddings(bench, embedder).embedded == 0
    question, answer = TALKS["storm"]
    grown = calls([*asked(question), {"role": "assistant", "content": answer}, *asked("And why the noise?")], "Air.")
    same = calls(asked(TALKS["card"][0]), TALKS["card"][1], circumstances={"scope": "other"})
    with connect(truth, autocommit=True) as connection:
        ingest(connection, [encode_exchange(grown), encode_exchange(same)], SeenIds())
    lineage.build(truth)
    materialise_units(truth, bench)
    counts = embed.materialise_embeddings(bench, embedder)
    assert (counts.embedded, counts.units, embedder.texts) == (1, 4, 4)


def test_a_deleted_workbench_gives_the_same_vectors(truth, told, tmp_path):
    embedder = StaticEmbedder()
    found = []
    for name in ("one", "two"):
        bench = tmp_path / f"{name}.duckdb"
        materialise_units(truth, bench)
        embed.materialise_embeddings(bench, embedder)
        found.append(similar(truth, bench, embedder, told["card"]))
    assert found[0] == found[1]


def test_a_model_server_embeds_through_the_gateway_and_nothing_of_it_is_captured(truth, told, tmp_path):
    def answer(seen):
        texts = json.loads(seen.body)["input"]
        data = [{"index": at, "embedding": [1.0, len(text) / 100, 0.5]} for at, text in enumerate(texts)]
        return plain(200, json.dumps({"object": "list", "data": data[::-1]}).encode())

    with gateway_to(tmp_path, answer) as (gateway, upstream):
        url = f"http://127.0.0.1:{gateway.settings.port}"
        embedder = EndpointEmbedder(url, "text-model")
        counts = embed.materialise_embeddings(tmp_path / "bench.duckdb", embedder)
        assert (counts.model, counts.embedded, counts.units) == ("text-model", 3, 3)
        vectors = embedder.embed(["a" * 200, " ", "b" * 7000]).to_pylist()
        assert [len(vector) for vector in vectors] == [3, 0, 3]
        assert all(sum(number * number for number in vector) == pytest.approx(1) for vector in vectors if vector)
        assert len(similar(truth, tmp_path / "bench.duckdb", embedder, told["card"]).items) == 2
        assert json.loads(upstream.seen[0].body)["model"] == "text-model"
        assert gateway.metrics()["regraft_gateway_captured_total"] == 0.0


@pytest.mark.parametrize("body", [b"no", b'{"data": []}', b'{"data": [{"index": 0, "embedding": "x"}]}'])
def test_an_answer_without_vectors_is_named(tmp_path, body):
    with gateway_to(tmp_path, lambda seen: plain(200, body)) as (gateway, _), pytest.raises(UpstreamError):
        EndpointEmbedder(f"http://127.0.0.1:{gateway.settings.port}", "m").embed(["text"])


def test_before_anything_was_measured_there_is_nothing_near(truth, told, tmp_path):
    nothing = tmp_path / "nothing.duckdb"
    assert similar(truth, nothing, StaticEmbedder(), told["card"]).items == []
    assert embed.materialise_embeddings(nothing, StaticEmbedder()).units == 0
    assert Workbench(nothing).units() == []


def test_vectors_of_two_models_are_kept_side_by_side_and_never_compared(truth, told, tmp_path):
    bench, old, new = tmp_path / "bench.duckdb", StaticEmbedder(), MiniLmEmbedder()
    embed.materialise_embeddings(bench, old)
    assert similar(truth, bench, new, told["refund"]).items == []
    before = similar(truth, bench, old, told["refund"])
    assert embed.materialise_embeddings(bench, new).embedded == 3
    assert embed.materialise_embeddings(bench, new).embedded == 0
    assert similar(truth, bench, old, told["refund"]) == before
    assert similar(truth, bench, new, told["refund"]).items[0].unit_id == told["card"]


@pytest.mark.parametrize(
    ("named", "kind"),
    [(None, MiniLmEmbedder), ("minilm", MiniLmEmbedder), ("static", StaticEmbedder), ("", StaticEmbedder)],
)
def test_the_settings_name_a_built_in_model_without_starting_the_gateway(named, kind):
    section = EmbeddingSection() if named is None else EmbeddingSection(model=named)
    assert type(embedder_of(Settings(embedding=section), lambda: pytest.fail("started"))) is kind


def test_of_a_conversation_that_grew_only_the_end_is_embedded(truth, calls, tmp_path):
    bench = tmp_path / "bench.duckdb"
    history, stored, runs = [], SeenIds(), []
    for turn in range(6):
        history.append({"role": "user", "content": f"Part {turn}. " + " ".join(f"w{turn}x{at}" for at in range(150))})
        exchange = calls([dict(one) for one in history], f"Understood part {turn}.")
        history.append({"role": "assistant", "content": f"Understood part {turn}."})
        with connect(truth, autocommit=True) as connection:
            ingest(connection, [encode_exchange(exchange)], stored)
        lineage.build(truth)
        materialise_units(truth, bench)
        embedder = CountingChunks()  # as another process would have it
        embed.materialise_embeddings(bench, embedder)
        runs.append(embedder.chunks)
    anew, whole = tmp_path / "anew.duckdb", CountingChunks()
    materialise_units(truth, anew)
    embed.materialise_embeddings(anew, whole)
    assert runs[-1] <= runs[0] + 2 < whole.chunks
    kept, made = (Embeddings(path).vectors(whole.model)["vector"].to_pylist() for path in (bench, anew))
    assert kept == made


def test_pieces_not_used_for_long_are_forgotten_and_none_outlives_an_erasure(truth, told, tmp_path, monkeypatch):
    bench = tmp_path / "bench.duckdb"
    monkeypatch.setattr(embeddings, "_MOST_PIECES", 3)
    pieces = WorkbenchPieces(Embeddings(bench), "m")
    for number in range(5):
        pieces.keep({f"piece {number}".encode(): [0.5, float(number)]})
    every = [f"piece {number}".encode() for number in range(5)]
    found = pieces.find(every)
    assert set(found) == set(every[1:])
    assert found[every[4]].tolist() == [0.5, 4.0]
    pieces.keep({every[1]: [0.5, 1.0]})
    pieces.keep({b"another": [1.0, 0.0]})
    assert every[1] in pieces.find(every)
    assert every[2] not in pieces.find(every)
    rebuild_workbench(truth, bench)
    assert pieces.find([*every, b"another"]) == {}
