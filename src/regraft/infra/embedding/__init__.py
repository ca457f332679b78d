"""Embedders: texts into unit vectors, whose inner product says how near two texts are in meaning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import pyarrow as pa


class Embedder(Protocol):
    """``model`` names the embedder and what pins it: vectors of different models are never compared."""

    @property
    def model(self) -> str:
        """For example ``wordllama-l2_supercat@0123456789abcdef``."""
        ...

    def embed(self, texts: Sequence[str]) -> pa.ListArray:
        """One vector of 32-bit floats per text, of length 1; of length 0 for a text that says nothing.

        A long text is embedded whole: in pieces, whose vectors are pooled by their lengths.
        Raises UpstreamError where a server that embeds cannot be reached or refuses.
        """
        ...
