"""The chain of a history, computed message by message without the fold of the domain, as an independent reference."""

from __future__ import annotations

from collections.abc import Iterable

from regraft.domain.ids import Digest
from regraft.domain.lineage.history import EMPTY, Context, extend, extend_projection
from regraft.domain.lineage.projection import PROJECTION_VERSION


def chain(scope: str, messages: Iterable[tuple[Digest, Digest]], version: int = PROJECTION_VERSION) -> list[Context]:
    """Every prefix of a history, shortest first, from (exact, projected) message digests."""
    contexts: list[Context] = []
    exact = projected = EMPTY
    for depth, (message, projection) in enumerate(messages, start=1):
        parent = exact
        exact = extend(scope, parent, message)
        projected = extend_projection(scope, projected, projection, version)
        contexts.append(Context(exact, parent, message, depth, projected))
    return contexts
