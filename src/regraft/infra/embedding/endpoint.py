"""A model server's ``/v1/embeddings``, asked through the gateway like any model."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import orjson
import pyarrow as pa

from regraft.domain.errors import UpstreamError
from regraft.infra.embedding import PieceVectors
from regraft.infra.gateway_endpoint import GatewayEndpoint
from regraft.infra.llm.client import GatewayClient

_LONGEST = 6_000  # characters at once: below the context of every embedding model in use
_AT_ONCE = 64  # texts in one request


class EndpointEmbedder:
    """``model`` as the gateway knows it. Its name is all that pins it: give a model of another build another name."""

    def __init__(self, gateway: GatewayEndpoint | str, model: str) -> None:
        self._gateway = gateway
        self._asked = model

    @property
    def model(self) -> str:
        """The model's name."""
        return self._asked

    def embed(self, texts: Sequence[str], known: PieceVectors | None = None) -> pa.ListArray:
        """See Embedder."""
        from regraft.infra.embedding.pooling import lengths_of, pieces, pooled, vectors_of

        parts = [pieces(text, _LONGEST) for text in texts]
        keys = [[piece.encode("utf-8", "surrogatepass") for piece in one] for one in parts]
        return pooled(lengths_of(parts), vectors_of(keys, self._vectors, known))

    def _vectors(self, pieces: Sequence[bytes]) -> list[list[float]]:
        return asyncio.run(self._ask([piece.decode("utf-8", "surrogatepass") for piece in pieces]))

    async def _ask(self, texts: list[str]) -> list[list[float]]:
        found: list[list[float]] = []
        async with GatewayClient(self._gateway) as client:
            for start in range(0, len(texts), _AT_ONCE):
                some = texts[start : start + _AT_ONCE]
                body = orjson.dumps({"model": self._asked, "input": some, "encoding_format": "float"}).decode()
                # Not captured: these texts were captured when they were said.
                reply = await client.post("/v1/embeddings", body, {"purpose": "embed", "capture": "off"})
                found += _vectors(reply.status, reply.body, len(some))
        return found


def _vectors(status: int, body: bytes, wanted: int) -> list[list[float]]:
    try:
        document: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        document = None
    data = document.get("data") if isinstance(document, dict) else None
    if status >= 400 or not isinstance(data, list) or len(data) != wanted:
        raise UpstreamError(
            f"The embedding model answered HTTP {status} and no {wanted} vectors: "
            f"{body[:200].decode('utf-8', 'replace')}. Check embedding.model and the upstream that serves it."
        )
    try:
        ordered = sorted(data, key=lambda each: each["index"])
        return [[float(number) for number in each["embedding"]] for each in ordered]
    except (TypeError, KeyError, ValueError) as error:
        raise UpstreamError(f"The embedding model's answer holds no vectors: {error!r}") from error
