"""Which embedder is configured: MiniLM, the static table, or a model server behind the gateway."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from regraft.infra.embedding import Embedder
from regraft.infra.settings import Settings

if TYPE_CHECKING:
    from regraft.infra.gateway_endpoint import GatewayEndpoint


def embedder_of(settings: Settings, gateway: Callable[[], GatewayEndpoint]) -> Embedder:
    """The embedder that the settings name. ``gateway`` starts the gateway; it is called only for a model server's."""
    wanted = settings.embedding.model
    if wanted == "minilm":
        from regraft.infra.embedding.minilm import MiniLmEmbedder

        return MiniLmEmbedder()
    if wanted in ("static", ""):
        from regraft.infra.embedding.static import StaticEmbedder

        return StaticEmbedder()
    from regraft.infra.embedding.endpoint import EndpointEmbedder

    return EndpointEmbedder(gateway(), wanted)
