"""The table of word vectors that the package ``wordllama`` ships: no model server, 256 dimensions, the same bits each
time. Good at same topic and near-duplicate, blind to word order."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

import pyarrow as pa

from regraft.domain.ids import digest
from regraft.infra.embedding import PieceVectors

_CONFIG = "l2_supercat"
_DIMENSIONS = 256
_LONGEST = 20_000  # characters at once: bounds the tokeniser's memory, and costs nothing


class StaticEmbedder:
    """Loads in a quarter of a second, when first asked."""

    @cached_property
    def model(self) -> str:
        """The table by the digest of its file."""
        weights = _package().joinpath("weights", f"{_CONFIG}_{_DIMENSIONS}.safetensors")
        return f"wordllama-{_CONFIG}@{digest(weights.read_bytes()).hex()[:16]}"

    @cached_property
    def _table(self) -> Any:
        from wordllama import WordLlama

        # Its own search for its files looks in the wrong place, and would then download them.
        return WordLlama.load(config=_CONFIG, dim=_DIMENSIONS, cache_dir=_package(), disable_download=True)

    def embed(self, texts: Sequence[str], known: PieceVectors | None = None) -> pa.ListArray:
        """See Embedder. Pieces are embedded again: that is faster than to look for them."""
        import numpy as np

        from regraft.infra.embedding.pooling import flat, lengths_of, pieces, pooled

        parts = [pieces(text, _LONGEST) for text in texts]
        every = flat(parts)
        vectors = self._table.embed(every) if every else np.empty((0, _DIMENSIONS), dtype=np.float32)
        return pooled(lengths_of(parts), vectors)


def _package() -> Path:
    return Path(str(files("wordllama")))
