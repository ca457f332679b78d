"""Metrics as Prometheus reads them: its own text format, or OpenMetrics for who asks for that."""

from __future__ import annotations

from dataclasses import dataclass

from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector


@dataclass(frozen=True, slots=True)
class Page:
    """A rendered page."""

    body: bytes
    content_type: str


def page(registry: Collector, accept: str = "") -> Page:
    """The page of a registry; ``accept`` is the header of the request."""
    encode, content_type = choose_encoder(accept)
    return Page(encode(registry), content_type)
