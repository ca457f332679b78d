"""Which embedder is configured: a model server behind the gateway, or the static table."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from regraft.infra.embedding import Embedder
from regraft.infra.settings import Settings

if TYPE_CHECKING:
    from regraft.infra.gateway_endpoint import GatewayEndpoint


def embedder_of(settings: Settings, gateway: Callable[[], GatewayEndpoint]) -> Embedder:
    """The embedder that the settings name. ``gateway`` starts the gateway; it is called only for a model server's."""
    if settings.embedding.model:
        from regraft.infra.embedding.endpoint import EndpointEmbedder

        return EndpointEmbedder(gateway(), settings.embedding.model)
    from regraft.infra.embedding.static import StaticEmbedder

    return StaticEmbedder()
