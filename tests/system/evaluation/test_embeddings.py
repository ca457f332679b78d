"""Trajectories become vectors, each text once; a node finds the conversations that are near to it in meaning."""

from __future__ import annotations

import json

import pytest

from regraft.domain.errors import NotFoundError, UpstreamError
from regraft.flows.capture.ingest import SeenIds, ingest
from regraft.flows.evaluation import embeddings as embed
from regraft.flows.evaluation.neighbours import similar
from regraft.flows.evaluation.trajectories import materialise_units
from regraft.flows.lineage import build as lineage
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

    def embed(self, texts):
        self.texts += len(texts)
        return super().embed(texts)


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
