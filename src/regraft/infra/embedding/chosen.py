"""The embedder that the settings name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from regraft.infra.embedding import Embedder
from regraft.infra.settings import Settings

if TYPE_CHECKING:
    from regraft.infra.llm.client import Door


def chosen(settings: Settings, gateway: Callable[[], Door]) -> Embedder:
    """``gateway`` gives its door, with the gateway running; it is only asked where a model server embeds."""
    if settings.embedding.model:
        from regraft.infra.embedding.endpoint import EndpointEmbedder

        return EndpointEmbedder(gateway(), settings.embedding.model)
    from regraft.infra.embedding.static import StaticEmbedder

    return StaticEmbedder()
