"""A path that is near another in meaning."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """A path by its terminal node, and the cosine of its vector with the one that was asked for, -1 to 1."""

    unit_id: UUID
    session_id: UUID
    similarity: float
