"""The state of the stream: the progress of ingest, and the servers of a cluster that store the calls."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamProgress:
    """``packs`` that ingest has not acknowledged, the ``oldest`` of them, and how many were ``redelivered``."""

    packs: int
    oldest: datetime | None
    redelivered: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Replication:
    """On how many servers of a cluster the stream is to be stored (0: there is none yet), which of them leads, how many
    have all of it now, and the names of those that do not, because they are away or have just come back."""

    replicas: int
    leader: str
    complete: int
    behind: tuple[str, ...]
