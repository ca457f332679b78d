"""Read-only access to the truth for a process that serves many requests."""

from __future__ import annotations

from typing import TypeAlias

from regraft.infra.postgres.read_pool import ReadPool

Reader: TypeAlias = ReadPool


def open_reader(dsn: str, name: str) -> Reader:
    """A pool of read-only connections, each of which the readers of the flows accept. ``name``: in pg_stat_activity."""
    return ReadPool(dsn, name)
