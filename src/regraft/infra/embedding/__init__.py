"""Embedders: texts into unit vectors, whose inner product says how near two texts are in meaning."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

import pyarrow as pa


class PieceVectors(Protocol):
    """Vectors of pieces of long texts, from earlier times: a conversation that grew begins with pieces that it had."""

    def find(self, pieces: Collection[bytes]) -> Mapping[bytes, Any]:
        """The vectors of those that are known: arrays of 32-bit floats, the same bits that were kept."""
        ...

    def keep(self, vectors: Mapping[bytes, Any]) -> None:
        """Keep the vectors of pieces; those that were not kept or found for the longest time may be forgotten."""
        ...


class Embedder(Protocol):
    """``model`` names the embedder and what pins it: vectors of different models are never compared."""

    @property
    def model(self) -> str:
        """For example ``wordllama-l2_supercat@0123456789abcdef``."""
        ...

    def embed(self, texts: Sequence[str], known: PieceVectors | None = None) -> pa.ListArray:
        """One vector of 32-bit floats per text, of length 1; of length 0 for a text that says nothing.

        A long text is embedded whole: in pieces, whose vectors are pooled by their lengths. Pieces that are ``known``
        are not embedded again, where that is dear.
        Raises UpstreamError where a server that embeds cannot be reached or refuses.
        """
        ...
